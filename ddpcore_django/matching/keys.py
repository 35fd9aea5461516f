"""Which rows of a related table meet a condition, by the key that other rows refer to them with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import Field, QuerySet

from ddpcore.live.predicate import Predicate, Row
from ddpcore.live.query import KeyQuery
from ddpcore.live.snapshot import Found
from ddpcore_django.rows import ModelTable, reading
from ddpcore_django.serialize import document_id

__all__ = ["RelatedKeys"]

InThread = Callable[..., Awaitable[Any]]


class RelatedKeys(KeyQuery):
    """The values of the column referred to, of the rows that meet a condition.

    Args:
        rows: A queryset of these rows, of which nothing but the condition is set.
        predicate: The same condition, to be decided in memory.
        target: The field whose column is referred to.
        in_thread: Runs a blocking function in a thread that may use the database.
    """

    def __init__(
        self,
        rows: QuerySet[Any],
        predicate: Predicate,
        target: Field[Any, Any],
        in_thread: InThread,
    ) -> None:
        self.table = ModelTable(rows.model, in_thread)
        self.predicate = predicate
        self._column = str(target.column)
        self._using = rows.db
        self._in_thread = in_thread
        self._rows = rows.order_by().values_list("pk", target.attname)
        try:
            sql, parameters = self._rows.query.get_compiler(using=rows.db).as_sql()
        except EmptyResultSet:  # nothing can meet it
            sql, parameters = "", ()
        self.key = (self.table.topic, self._column, sql, repr(parameters))

    async def fetch(self) -> Found[Any]:
        """Ask for all: row key → what `item` would make of the row."""
        found: Found[Any] = await self._in_thread(self._read)
        return found

    def _read(self) -> Found[Any]:
        with reading(self._using) as snapshot:
            rows = self._rows.all()  # a clone: querysets cache what they found
            return Found({document_id(pk): value for pk, value in rows}, snapshot)

    def item(self, key: str, row: Row) -> Any:  # noqa: ARG002
        """The value that others refer to the row with."""
        return row[self._column]

    def __repr__(self) -> str:
        return f"{self.table.topic}.{self._column} WHERE {self.predicate!r}"
