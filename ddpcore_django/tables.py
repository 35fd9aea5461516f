"""Which tables a query reads, and which topic of the bus stands for each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.apps import apps
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


def tables_read(query: Query) -> list[str]:
    """The tables a query reads, each as often as it stands in it, subqueries included."""
    # Compiling settles the joins; before, some are not in the alias map yet.
    return list(_tables(query, set()))


def _tables(node: Any, seen: set[int]) -> Iterator[str]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Query):
        for alias, join in node.alias_map.items():
            if node.alias_refcount.get(alias, 0) and join.table_name is not None:
                yield join.table_name
        if node.alias_map == {} and node.model is not None:
            yield node.model._meta.db_table
        for part in (node.where, *node.annotations.values(), *node.combined_queries):
            yield from _tables(part, seen)
        if isinstance(node.distinct_fields, tuple | list) or node.order_by:
            for part in node.order_by:
                yield from _tables(part, seen)
        return
    query = getattr(node, "query", None)
    if isinstance(query, Query):  # querysets, Subquery, Exists
        yield from _tables(query, seen)
    for attribute in ("children", "lhs", "rhs"):
        part = getattr(node, attribute, None)
        if isinstance(part, list | tuple):
            for each in part:
                yield from _tables(each, seen)
        elif part is not None and not isinstance(part, str | int | float):
            yield from _tables(part, seen)
    if hasattr(node, "get_source_expressions") and not isinstance(node, Query):
        for each in node.get_source_expressions():
            if each is not None:
                yield from _tables(each, seen)
