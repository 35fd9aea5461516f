"""A queryset as a live query: asked again when the tables it reads change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Collection as Container
from typing import Any

from django.core.exceptions import EmptyResultSet, FieldError, ValidationError
from django.db.models import QuerySet
from django.db.utils import DEFAULT_DB_ALIAS

from ddpcore.bus import Change, Op
from ddpcore.errors import DDPError
from ddpcore.live.document import Document
from ddpcore.live.query import LiveQuery
from ddpcore_django.collection import Collection
from ddpcore_django.serialize import document_id
from ddpcore_django.tables import tables_read, through_of, topic_of, topic_of_table

__all__ = ["QuerySetQuery"]

InThread = Callable[..., Awaitable[Any]]

# Up to so many rows are asked for by key; beyond, the whole query costs the database less.
MOST_ROWS = 200


class QuerySetQuery(LiveQuery):
    """A queryset whose rows appear as documents of a collection.

    Make it in a thread: finding out what the query reads compiles it.

    Args:
        collection: Makes documents of the rows.
        name: The collection's name for clients.
        queryset: Which rows; visibility rules are in it already.
        in_thread: Runs a blocking function in a thread that may use the database.

    Raises:
        ddpcore.DDPError: The query reads another database than the one the bus tells of.
    """

    def __init__(
        self, collection: Collection, name: str, queryset: QuerySet[Any], in_thread: InThread
    ) -> None:
        self.collection = name
        self._publishing = collection
        self._queryset = queryset
        self._in_thread = in_thread
        alias = queryset.db
        if alias != DEFAULT_DB_ALIAS:
            raise DDPError(
                f"{name} reads the database {alias!r}, but changes are heard of in "
                f"{DEFAULT_DB_ALIAS!r} only. Publish models of the default database."
            )
        self._own_topic = topic_of(queryset.model)
        try:
            sql = queryset.query.get_compiler(using=alias).as_sql()
        except EmptyResultSet:
            # Nothing can ever match, `.none()` for one: there is nothing to listen to.
            self.key = (name, None)
            self.topics = frozenset()
            self._empty, self._by_row = True, False
            return
        self._empty = False
        deferred = queryset.query.deferred_loading
        self.key = (name, type(collection), sql[0], repr(sql[1]), repr(deferred))
        tables = tables_read(queryset.query, alias)
        through = [topic_of(through_of(field)) for field in collection.published_many_to_many()]
        topics = {topic for table in tables if (topic := topic_of_table(table))}
        self.topics = frozenset({self._own_topic, *topics, *through})
        self._by_row = self._rows_stand_alone(tables)

    def _rows_stand_alone(self, tables: list[str]) -> bool:
        # Whether a change of one row of the model can only affect that row's own place in the
        # result. Not so if the query counts, orders and cuts, or reads its own table twice.
        query = self._queryset.query
        options = self._queryset.model._meta
        own = {options.db_table, *(parent._meta.db_table for parent in options.all_parents)}
        return not (
            query.is_sliced
            or query.combinator
            or query.distinct_fields
            or query.group_by is not None
            or query.extra_tables
            or sum(table in own for table in tables) > len(own)
        )

    def row_of(self, change: Change) -> str | None:
        """The changed row, if it is one of the model's own and can affect no other."""
        if change.topic == self._own_topic and change.op is not Op.RESET and self._by_row:
            return change.key
        return None

    async def fetch(self) -> Mapping[str, Document]:
        """Ask for all rows."""
        if self._empty:
            return {}
        documents: dict[str, Document] = await self._in_thread(self._read, None)
        return documents

    async def fetch_rows(self, keys: Container[str]) -> Mapping[str, Document]:
        """Ask for the rows with these primary keys."""
        if len(keys) > MOST_ROWS:
            found = await self.fetch()
            return {key: found[key] for key in keys if key in found}
        documents: dict[str, Document] = await self._in_thread(self._read, list(keys))
        return documents

    def _read(self, keys: list[str] | None) -> dict[str, Document]:
        queryset = self._queryset.all()  # a clone: querysets cache what they found
        if keys is not None:
            queryset = queryset.filter(pk__in=self._primary_keys(keys))
        rows = list(queryset)
        many = self._publishing.published_many_to_many()
        pks = [row.pk for row in rows]
        others = {f"{field.name}_ids": self._publishing.ids_of(pks, field) for field in many if pks}
        documents = {}
        for row in rows:
            fields = self._publishing.serialize(row)
            for name, ids in others.items():
                fields[name] = ids[row.pk]
            key = document_id(row.pk)
            documents[key] = Document.of(self.collection, key, fields)
        return documents

    def _primary_keys(self, keys: list[str]) -> list[Any]:
        to_python = self._queryset.model._meta.pk.to_python
        known = []
        for key in keys:
            try:
                known.append(to_python(key))
            except (ValidationError, FieldError, ValueError):
                continue  # no such row can exist
        return known
