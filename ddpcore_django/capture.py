"""Capture by signals: announces what the ORM does to the models that are published.

With PostgreSQL a change is announced by one NOTIFY in the writer's own transaction: it arrives
after the commit, in order, or never. With any other database it is put on the memory bus of this
process when the transaction has been committed.

Only the models concerned get receivers, so that Django's fast deletes stay fast for all others.
Signals do not see `bulk_create`, `bulk_update`, `QuerySet.update`, raw SQL, or what the database
does by itself.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import connections, transaction
from django.db.models import Model
from django.db.models.constants import LOOKUP_SEP
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete
from django.db.utils import DEFAULT_DB_ALIAS

from ddpcore.bus import Bus, Change, MemoryBus, Op
from ddpcore.errors import DDPError
from ddpcore.live.fence import WriteFence
from ddpcore_django.collection import Collection
from ddpcore_django.conf import conf
from ddpcore_django.registry import Registry
from ddpcore_django.serialize import document_id
from ddpcore_django.tables import through_of, topic_of

__all__ = ["announce", "captured_topics", "connect", "memory_buses"]

logger = logging.getLogger(__name__)

memory_buses: weakref.WeakSet[Bus] = weakref.WeakSet()
"""The running buses of this process that hear of changes after the commit."""

_captured: set[str] = set()


def captured_topics() -> frozenset[str]:
    """The topics whose changes are announced."""
    return frozenset(_captured)


def announce(using: str, *changes: Change) -> None:
    """Tell the bus of changes made on a connection, if they get committed."""
    if using != DEFAULT_DB_ALIAS:
        return
    WriteFence.mark()
    connection = connections[using]
    if conf().captures(connection.vendor) == "notify":
        from ddpcore_pg import notify_sql

        with connection.cursor() as cursor:
            cursor.execute(*notify_sql(*changes))
    if memory_buses:
        transaction.on_commit(partial(_publish, changes), using=using)


def _publish(changes: Iterable[Change]) -> None:
    for bus in list(memory_buses):
        if isinstance(bus, MemoryBus):
            for change in changes:
                bus.publish_threadsafe(change)


def connect(registry: Registry) -> None:
    """Start to watch the models of all collections, and what their visibility depends on.

    Raises:
        ddpcore.DDPError: `DDPCORE["WATCH"]` names a model that does not exist.
    """
    published = {collection.model for collection in registry.collections.values()}
    for collection in registry.collections.values():
        published |= set(_models_on_the_way(collection))
    for label in conf().watch:
        try:
            published.add(apps.get_model(label))
        except (LookupError, ValueError) as problem:
            raise DDPError(f"DDPCORE['WATCH'] names {label!r}: {problem}") from problem
    tables = {topic_of(model) for model in published}
    for model in apps.get_models():
        topics = [topic for topic in _topics_of_row(model) if topic in tables]
        if topics:
            _watch(model, topics)
    for model in published:
        for field in model._meta.many_to_many:
            _watch_many_to_many(field)


def _models_on_the_way(collection: Collection) -> Iterable[type[Model]]:
    # user_rel "room__members" reads Room and the table of members: their changes count.
    lookups = collection.user_rel or ()
    for lookup in [lookups] if isinstance(lookups, str) else lookups:
        model: type[Model] = collection.model
        for name in lookup.split(LOOKUP_SEP):
            try:
                field: Any = model._meta.get_field(name) if name != "pk" else None
            except FieldDoesNotExist:
                break  # a lookup such as __exact
            if field is None or not field.is_relation or field.related_model is None:
                break
            through = getattr(field, "through", None) or getattr(
                field.remote_field, "through", None
            )
            if through is not None:
                yield through
            model = field.related_model
            yield model


def _topics_of_row(model: type[Model]) -> list[str]:
    # With multi-table inheritance a child's row has a part in each parent's table.
    concrete = model._meta.concrete_model or model
    return [topic_of(concrete), *(topic_of(parent) for parent in concrete._meta.all_parents)]


def _watch(model: type[Model], topics: list[str]) -> None:
    _captured.update(topics)
    name = f"ddpcore.{model._meta.label_lower}"
    # Weak references would die with this function's frame.
    post_save.connect(
        partial(_saved, topics), sender=model, weak=False, dispatch_uid=f"{name}.save"
    )
    # A deleted child has no primary key any more when the signal comes: it is kept before.
    pre_delete.connect(_deleting, sender=model, weak=False, dispatch_uid=f"{name}.deleting")
    post_delete.connect(
        partial(_deleted, topics), sender=model, weak=False, dispatch_uid=f"{name}.delete"
    )


def _saved(topics: list[str], *, instance: Model, created: bool, using: str, **_: object) -> None:
    op = Op.INSERT if created else Op.UPDATE
    announce(using, *(Change(topic, op, document_id(instance.pk)) for topic in topics))


def _deleting(*, instance: Model, **_: object) -> None:
    instance._ddpcore_key = document_id(instance.pk)  # type: ignore[attr-defined]


def _deleted(topics: list[str], *, instance: Model, using: str, **_: object) -> None:
    key: str = instance.__dict__.pop("_ddpcore_key", None) or document_id(instance.pk)
    announce(using, *(Change(topic, Op.DELETE, key) for topic in topics))


def _watch_many_to_many(field: Any) -> None:
    through = through_of(field)
    _captured.add(topic_of(through))
    m2m_changed.connect(
        partial(_related, field),
        sender=through,
        weak=False,
        dispatch_uid=f"ddpcore.{field.model._meta.label_lower}.{field.name}",
    )


def _related(
    field: Any,
    *,
    instance: Model,
    action: str,
    reverse: bool,
    pk_set: set[Any] | None,
    using: str,
    **_: object,
) -> None:
    if action == "pre_clear" and reverse:
        # Afterwards nobody can say which rows there were.
        near, far = field.m2m_field_name(), field.m2m_reverse_field_name()
        rows = through_of(field)._default_manager.using(using).filter(**{far: instance.pk})
        instance._ddpcore_cleared = set(rows.values_list(near, flat=True))  # type: ignore[attr-defined]
    if not action.startswith("post_"):
        return
    if not reverse:
        owners: set[Any] = {instance.pk}
    elif pk_set is not None:
        owners = pk_set
    else:
        owners = instance.__dict__.pop("_ddpcore_cleared", set())
    if owners and (pk_set is None or pk_set):
        topic = topic_of(field.model)
        announce(
            using,
            *(Change(topic, Op.UPDATE, document_id(pk)) for pk in sorted(owners)),
            Change(topic_of(through_of(field)), Op.RESET),
        )
