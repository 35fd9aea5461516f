"""Capture by signals: announces what the ORM does to the models that are published.

Only the models concerned get receivers, so that Django's fast deletes stay fast for all others,
and those captured by triggers of the database get none. Each receiver announces with one
statement, see `ddpcore_django.announcing`.

Signals do not see `bulk_create`, `bulk_update`, `QuerySet.update`, raw SQL, or what the database
does by itself.

A deletion is announced before it happens, while the database can still read the row and the links
that go with it without signals. They are locked, so nobody else changes them any more. A receiver
of the project may: if this thread saved anything in between, the deletion is announced once more.
If the deletion fails, its transaction is rolled back, and what was announced with it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.models import Field, Model
from django.db.models.constants import LOOKUP_SEP
from django.db.models.signals import post_delete, post_save, pre_delete
from django.db.utils import DEFAULT_DB_ALIAS

from ddpcore.bus import Change, Op
from ddpcore.errors import DDPError
from ddpcore.live.fence import WriteFence
from ddpcore_django.announcing import Rows, announce, forget, tell, told_buses
from ddpcore_django.capture_links import ends_of_links, links_to_watch, watch_links
from ddpcore_django.collection import Collection
from ddpcore_django.conf import conf
from ddpcore_django.publishing import publisher_of
from ddpcore_django.registry import Registry
from ddpcore_django.serialize import document_id
from ddpcore_django.tables import through_of, topic_of
from ddpcore_django.triggers import captured_by_triggers

__all__ = ["announce", "captured_topics", "connect", "told_buses"]

_captured: set[str] = set()


def captured_topics() -> frozenset[str]:
    """The topics whose changes are announced, by signals or by triggers."""
    return frozenset(_captured)


# --- whom to watch -----------------------------------------------------------------------------


def connect(registry: Registry) -> None:
    """Start to watch the models of all collections, and what their visibility depends on.

    Raises:
        ddpcore.DDPError: `DDPCORE["WATCH"]` names a model that does not exist, or `"BUS"` a bus
            that no installed plugin knows.
    """
    forget()
    publisher_of(conf().bus)  # whoever cannot tell of changes had better not make any
    tables = _tables_to_watch(registry)
    _captured.update(map(topic_of, tables))
    by_signals = {table for table in tables if not captured_by_triggers(table)}
    if len(by_signals) < len(tables):
        _mark_fences()
    links = links_to_watch(by_signals)
    for model in apps.get_models():
        _watch(model, [each for each in _tables_of(model) if each in by_signals], links)
    for field in links:
        watch_links(field)


def _tables_to_watch(registry: Registry) -> set[type[Model]]:
    models = {collection.model for collection in registry.collections.values()}
    for collection in registry.collections.values():
        models |= set(_models_on_the_way(collection))
    for label in conf().watch:
        try:
            models.add(apps.get_model(label))
        except (LookupError, ValueError) as problem:
            raise DDPError(f"DDPCORE['WATCH'] names {label!r}: {problem}") from problem
    tables = {table for model in models for table in _tables_of(model)}
    tables |= {through_of(field) for table in tables for field in table._meta.local_many_to_many}
    return tables | {table for model in registry.watched for table in _tables_of(model)}


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


def _tables_of(model: type[Model]) -> list[type[Model]]:
    # With multi-table inheritance a child's row has a part in each parent's table. In the order
    # in which they are written.
    own = _concrete(model)
    parents = [_concrete(parent) for parent in reversed(own._meta.all_parents)]
    return list(dict.fromkeys([*parents, own]))


def _concrete(model: type[Model]) -> type[Model]:
    return model._meta.concrete_model or model


def _watch(model: type[Model], tables: list[type[Model]], fields: Iterable[Any]) -> None:
    ends = ends_of_links(model, fields)
    name = f"ddpcore.{model._meta.label_lower}"
    table = _concrete(model) if _concrete(model) in tables else None
    # Weak references would die with this function's frame.
    if tables:
        post_save.connect(
            partial(_saved, tables), sender=model, weak=False, dispatch_uid=f"{name}.save"
        )
    if table is not None or ends:
        pre_delete.connect(
            partial(_deleting, table, ends),
            sender=model,
            weak=False,
            dispatch_uid=f"{name}.deleting",
        )
    if table is not None:
        post_delete.connect(
            partial(_deleted, table), sender=model, weak=False, dispatch_uid=f"{name}.delete"
        )


# --- rows --------------------------------------------------------------------------------------


class _Thread(threading.local):
    saves = 0


_thread = _Thread()


def _saved(
    tables: Sequence[type[Model]], *, instance: Model, created: bool, using: str, **_: object
) -> None:
    _thread.saves += 1
    op = Op.INSERT if created else Op.UPDATE
    keys = [(table, _key_in(table, instance)) for table in tables]
    # A child of a fixture is saved alone, and knows nothing of its parent.
    announce(using, *(Rows.of(table, op, key) for table, key in keys if key is not None))


def _key_in(table: type[Model], instance: Model) -> Any:
    # A row with several parents has another key in each table.
    return instance._get_pk_val(table._meta)


def _deleting(
    table: type[Model] | None,
    ends: Iterable[tuple[type[Model], list[Field[Any, Any]]]],
    *,
    instance: Model,
    using: str,
    **_: object,
) -> None:
    # The parents' rows come with signals of their own, if they go.
    rows = [
        Rows(through, Op.DELETE, [{each: [instance.pk]} for each in references])
        for through, references in ends
    ]
    if table is not None:
        key = _key_in(table, instance)
        rows.append(Rows.of(table, Op.DELETE, key))
        instance._ddpcore_deleting = (key, _thread.saves)  # type: ignore[attr-defined]
    announce(using, *rows)


def _deleted(table: type[Model], *, instance: Model, using: str, **_: object) -> None:
    key, saves = instance.__dict__.pop("_ddpcore_deleting", (instance.pk, None))
    if saves != _thread.saves:
        tell(using, Change(topic_of(table), Op.DELETE, document_id(key)))


# --- the write fence ---------------------------------------------------------------------------


def _mark_fences() -> None:
    """Take every statement for a write: nobody tells Python what triggers of the database see."""
    connection_created.connect(_mark_fence_of, dispatch_uid="ddpcore.fence")
    for connection in connections.all(initialized_only=True):
        _mark_fence_of(connection=connection)


def _mark_fence_of(*, connection: Any, **_: object) -> None:
    wrappers = connection.execute_wrappers
    if connection.alias == DEFAULT_DB_ALIAS and _marking not in wrappers:
        wrappers.append(_marking)


def _marking(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    WriteFence.mark()
    return execute(sql, params, many, context)
