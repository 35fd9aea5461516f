"""Which tables a query reads, and which topic of the bus stands for each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.apps import apps
from django.core.exceptions import EmptyResultSet
from django.db.models import ManyToManyField, Model
from django.db.models.sql.query import Query

__all__ = ["tables_read", "through_of", "topic_of", "topic_of_table"]


def topic_of(model: type[Model]) -> str:
    """The topic of a model's table. Proxies share their model's."""
    concrete = model._meta.concrete_model or model
    return concrete._meta.label_lower


def through_of(field: ManyToManyField[Any, Any]) -> type[Model]:
    """The model of a many-to-many field's own table."""
    through = field.remote_field.through
    assert through is not None  # apps are ready, so it has been made
    return through


@cache
def _topics_by_table() -> dict[str, str]:
    return {
        model._meta.db_table: topic_of(model)
        for model in apps.get_models(include_auto_created=True)
        if not model._meta.proxy
    }


def topic_of_table(table: str) -> str | None:
    """The topic of a table; None if it belongs to no model."""
    return _topics_by_table().get(table)


def tables_read(query: Query, using: str) -> list[str]:
    """The tables a query reads, each as often as it stands in it, subqueries included."""
    return list(_tables(query, using, set()))


def _tables(node: Any, using: str, seen: set[int]) -> Iterator[str]:
    if node is None or isinstance(node, str | int | float) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Query):
        parts: list[Any] = [node.where, *node.annotations.values(), *node.combined_queries]
        parts += node.order_by
        yield from _joined(node, using)
    else:
        # Querysets, subqueries and Exists have a query, lookups two sides, nodes children,
        # expressions their sources.
        parts = [getattr(node, name, None) for name in ("query", "lhs", "rhs")]
        parts += getattr(node, "children", ())
        if hasattr(node, "get_source_expressions"):
            parts += node.get_source_expressions()
    for part in parts:
        if isinstance(part, list | tuple):
            for each in part:
                yield from _tables(each, using, seen)
        else:
            yield from _tables(part, using, seen)


def _joined(query: Query, using: str) -> Iterator[str]:
    # Some joins come only with the compiling, to a parent's table or for the ordering, and are
    # taken back after it: hence a clone, and a look at it half-way.
    clone = query.clone()
    try:
        clone.get_compiler(using).pre_sql_setup()
    except EmptyResultSet:
        return
    for alias, join in clone.alias_map.items():
        if clone.alias_refcount.get(alias) and join.table_name is not None:
            yield join.table_name
