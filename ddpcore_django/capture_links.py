"""Capture of links, the rows of many-to-many fields, by signals.

What is announced are the rows of the through table, with their references: whoever reads the
field knows from them whose links changed. Of links that are a model of the project's own, Django
signals each row that goes; of all others, and of those that it adds, the field as a whole.

A link that another transaction adds between the announcement of a removal and the removal itself
goes unseen. Only triggers are exact there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Field, Model
from django.db.models.signals import m2m_changed

from ddpcore.bus import Op
from ddpcore_django.announcing import Rows, announce
from ddpcore_django.tables import through_of

__all__ = ["ends_of_links", "links_to_watch", "watch_links"]


def links_to_watch(tables: Collection[type[Model]]) -> list[Any]:
    """The many-to-many fields whose links are in one of these tables."""
    return [
        field
        for model in apps.get_models()
        for field in model._meta.local_many_to_many
        if through_of(field) in tables
    ]


def ends_of_links(
    model: type[Model], fields: Iterable[Any]
) -> list[tuple[type[Model], list[Field[Any, Any]]]]:
    """The links that go with a row of this model without signals: table and references."""
    ends = []
    for field in fields:
        through = through_of(field)
        fields_of_link: list[Any] = list(through._meta.local_concrete_fields)
        references = [
            each
            for each in fields_of_link
            if each.is_relation and _concrete(each.related_model) is _concrete(model)
        ]
        if through._meta.auto_created and references:
            ends.append((through, references))
    return ends


def watch_links(field: Any) -> None:
    """Announce what is linked and unlinked by a many-to-many field."""
    m2m_changed.connect(
        partial(_linked, field),
        sender=through_of(field),
        weak=False,
        dispatch_uid=f"ddpcore.{field.model._meta.label_lower}.{field.name}",
    )


def _linked(
    field: Any,
    *,
    instance: Model,
    action: str,
    reverse: bool,
    model: type[Model],
    pk_set: Collection[Any] | None,
    using: str,
    **_: object,
) -> None:
    if pk_set is not None and not pk_set:
        return
    through = through_of(field)
    link, mirrored = _conditions(field, instance, reverse, pk_set)
    both = [link, mirrored] if mirrored else [link]
    if action == "post_add":
        announce(using, Rows(through, Op.INSERT, [link]))
        if mirrored:
            # It is not there yet, and Django says nothing when it is.
            later = partial(announce, using, Rows(through, Op.INSERT, [mirrored]))
            transaction.on_commit(later, using=using)
    elif not through._meta.auto_created:
        pass  # a model of the project's own, whose rows go one by one and with signals
    elif action in ("pre_remove", "pre_clear"):
        announce(using, Rows(through, Op.DELETE, both))
    elif action in ("post_remove", "post_clear") and _hides_rows(model):
        announce(using, Rows(through, Op.INSERT, both))  # those that stayed


def _conditions(
    field: Any, instance: Model, reverse: bool, pk_set: Collection[Any] | None
) -> tuple[Mapping[Any, Collection[Any]], Mapping[Any, Collection[Any]] | None]:
    # Which links: from the instance to some others, or to all. In a symmetrical field there is
    # the opposite link to each.
    options = through_of(field)._meta
    near: Any = options.get_field(field.m2m_field_name())
    far: Any = options.get_field(field.m2m_reverse_field_name())
    if reverse:
        near, far = far, near
    own = near.get_foreign_related_value(instance)
    link = {near: own} if pk_set is None else {near: own, far: pk_set}
    if not field.remote_field.symmetrical:
        return link, None
    return link, {far: own} if pk_set is None else {far: own, near: pk_set}


def _hides_rows(model: type[Model]) -> bool:
    # Django unlinks only what the model's own manager lets it see.
    return bool(model._default_manager.get_queryset().query.has_filters())


def _concrete(model: type[Model]) -> type[Model]:
    return model._meta.concrete_model or model
