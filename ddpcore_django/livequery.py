"""A queryset as a live query, of the first kind that is exact.

*Matched*: rows of one table under a condition that can be decided in memory. *Matched through
joins*: the same, with conditions on rows that it refers to. *Polled*: everything else is asked
again when a table that it reads has changed; where a change can only affect its own row, for just
that row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from collections.abc import Collection as Container
from dataclasses import dataclass
from typing import Any, Literal

from django.core.exceptions import EmptyResultSet, FieldError, ValidationError
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable
from django.db.utils import DEFAULT_DB_ALIAS

from ddpcore.bus import Change, Op
from ddpcore.errors import DDPError
from ddpcore.live.document import Document
from ddpcore.live.predicate import Predicate, Row
from ddpcore.live.query import KeyQuery, LiveQuery, MatchedQuery
from ddpcore.live.snapshot import Found
from ddpcore_django.collection import Collection
from ddpcore_django.conf import conf
from ddpcore_django.documents import Projection
from ddpcore_django.links import link_of
from ddpcore_django.matching import NotMatched, compile_where
from ddpcore_django.rows import ModelTable, reading
from ddpcore_django.tables import tables_read, topic_of, topic_of_table

__all__ = ["MatchedQuerySet", "Plan", "PolledQuerySet", "live_query", "plan_of"]

InThread = Callable[..., Awaitable[Any]]

# Up to so many rows are asked for by key; beyond, the whole query costs the database less.
MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """How a live query is kept current.

    Attributes:
        collection: What clients call the collection.
        kind: Which of the three kinds.
        reason: Why it is not matched, or how it is decided.
        topics: The topics whose changes matter, in order.
        index: The columns by whose values its observer is found: by one of these, or by several
            together; empty: it looks at every change.
        sql: What the database is asked.
    """

    collection: str
    kind: Literal["matched", "matched through joins", "polled"]
    reason: str
    topics: tuple[str, ...]
    index: tuple[str, ...]
    sql: str


def live_query(
    collection: Collection, name: str, queryset: QuerySet[Any], in_thread: InThread
) -> LiveQuery:
    """The live query of a queryset. Call it in a thread: finding out what it reads compiles it.

    Args:
        collection: Makes documents of the rows.
        name: The collection's name for clients.
        queryset: Which rows; visibility rules are in it already.
        in_thread: Runs a blocking function in a thread that may use the database.

    Raises:
        ddpcore.DDPError: The query reads another database than the one the bus tells of.
        TypeError: No documents can be made of its rows.
    """
    if queryset.db != DEFAULT_DB_ALIAS:
        raise DDPError(
            f"{name} reads the database {queryset.db!r}, but changes are heard of in "
            f"{DEFAULT_DB_ALIAS!r} only. Publish models of the default database."
        )
    asked = _Asked(Projection(collection, name, queryset), name, queryset)
    if asked.sql is None:
        return PolledQuerySet(asked, in_thread, "nothing can ever match")
    if asked.projection.unmatched is not None:
        return PolledQuerySet(asked, in_thread, asked.projection.unmatched)
    try:
        compiled = compile_where(_rows_of(queryset), in_thread)
    except NotMatched as reason:
        return PolledQuerySet(asked, in_thread, str(reason))
    return MatchedQuerySet(asked, in_thread, compiled.predicate)


def _rows_of(queryset: QuerySet[Any]) -> QuerySet[Any]:
    # The same rows, whole: which values are published is the projection's business.
    rows = queryset.all()
    if rows.query.values_select:
        rows._iterable_class = ModelIterable
        rows.query.clear_select_clause()
        rows.query.default_cols = True
        rows.query.values_select = ()
    return rows


class _Asked:
    """What the database is asked, and how its answer becomes documents."""

    def __init__(self, projection: Projection, name: str, queryset: QuerySet[Any]) -> None:
        self.projection = projection
        self.name = name
        self.queryset = queryset
        self.sql: str | None
        try:
            self.sql, params = queryset.query.get_compiler(using=queryset.db).as_sql()
        except EmptyResultSet:
            # Nothing can ever match, `.none()` for one: there is nothing to listen to.
            self.sql, params = None, ()
        self.key: Hashable = (name, self.sql, repr(params), projection.key)

    def read(self, pks: list[Any] | None = None) -> Found[Document]:
        """Ask for all rows, or those with these primary keys; in a thread."""
        queryset = self.queryset if pks is None else self.queryset.filter(pk__in=pks)
        with reading() as snapshot:
            return Found(self.projection.read(queryset), snapshot)


class MatchedQuerySet(MatchedQuery):
    """A queryset that is decided in memory."""

    def __init__(self, asked: _Asked, in_thread: InThread, predicate: Predicate) -> None:
        self.key = asked.key
        self.collection = asked.name
        self.interval = conf().poll_interval
        self.maker = asked.projection.key
        self.predicate = predicate
        self.table = ModelTable(asked.queryset.model, in_thread)
        self.links = asked.projection.links
        self.topics = frozenset((self.table.topic, *(link.topic for link in self.links)))
        self._asked = asked
        self._in_thread = in_thread

    async def fetch(self) -> Mapping[str, Document]:
        """Ask for all rows."""
        found: Found[Document] = await self._in_thread(self._asked.read)
        return found

    def item(self, key: str, row: Row) -> Document:
        """The document of a row; see `ddpcore.live.query.RowQuery`."""
        return self._asked.projection.document(key, row)

    @property
    def plan(self) -> Plan:
        """How it is kept current."""
        related = _topics(self.predicate)
        alternatives = self.predicate.bound(lambda _: frozenset(("…",))).alternatives()
        columns = [sorted({column for column, _ in entries}) for entries in alternatives]
        return Plan(
            self.collection,
            "matched through joins" if related else "matched",
            repr(self.predicate),
            tuple(sorted(related | self.topics)),
            tuple(dict.fromkeys(" and ".join(each) for each in columns if each)),
            str(self._asked.sql),
        )


class PolledQuerySet(LiveQuery):
    """A queryset that is asked again.

    Args:
        asked: What.
        in_thread: Runs a blocking function in a thread that may use the database.
        reason: Why it is not decided in memory.
    """

    def __init__(self, asked: _Asked, in_thread: InThread, reason: str) -> None:
        self.key = asked.key
        self.collection = asked.name
        self.interval = conf().poll_interval
        self.reason = reason
        self._asked = asked
        self._in_thread = in_thread
        self._model: type[Model] = asked.queryset.model
        self.topics = frozenset()
        self._row_topics: frozenset[str] = frozenset()
        self._links: dict[str, str] = {}
        if asked.sql is None:
            return
        tables = tables_read(asked.queryset.query, asked.queryset.db)
        topics = {topic for table in tables if (topic := topic_of_table(table))}
        self.topics = frozenset({topic_of(self._model), *topics, *asked.projection.topics})
        if self._rows_stand_alone(tables):
            self._row_topics = frozenset(topic_of(model) for model in _same_key(self._model))
            links = map(link_of, asked.projection.many_to_many)
            self._links = {link.topic: link.near for link in links if link is not None}

    def _rows_stand_alone(self, tables: list[str]) -> bool:
        # Whether a change of one row of the model can only affect that row's own place in the
        # result. Not so if the query counts, orders and cuts, or reads its own table twice.
        query = self._asked.queryset.query
        options = self._model._meta
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
        """The changed row, or the one whose links changed, if it can affect no other."""
        if change.op is Op.RESET:
            return None
        if change.topic in self._row_topics:
            return change.key
        if (column := self._links.get(change.topic)) is not None:
            # A link that was moved is missing in one document and new in another.
            link = {Op.INSERT: change.after, Op.DELETE: change.before}.get(change.op)
            owner = link.get(column) if link is not None else None
            return None if owner is None else str(owner)
        return None

    async def fetch(self) -> Mapping[str, Document]:
        """Ask for all rows."""
        if self._asked.sql is None:
            return {}
        found: Found[Document] = await self._in_thread(self._asked.read)
        return found

    async def fetch_rows(self, keys: Container[str]) -> Mapping[str, Document]:
        """Ask for the rows with these primary keys."""
        if len(keys) > MOST_ROWS:
            found = await self.fetch()
            return {key: found[key] for key in keys if key in found}
        rows: Found[Document] = await self._in_thread(self._asked.read, self._primary_keys(keys))
        return rows

    def _primary_keys(self, keys: Container[str]) -> list[Any]:
        to_python = self._model._meta.pk.to_python
        known = []
        for key in keys:
            try:
                known.append(to_python(key))
            except (ValidationError, FieldError, ValueError):
                continue  # no such row can exist
        return known

    @property
    def plan(self) -> Plan:
        """How it is kept current."""
        rows = "; a change asks for its row alone" if self._row_topics else ""
        return Plan(
            self.collection,
            "polled" if self._asked.sql else "matched",
            self.reason + rows,
            tuple(sorted(self.topics)),
            (),
            self._asked.sql or "",
        )


def plan_of(query: LiveQuery) -> Plan | None:
    """How a live query is kept current, if it was made of a queryset."""
    return query.plan if isinstance(query, MatchedQuerySet | PolledQuerySet) else None


def _same_key(model: type[Model]) -> list[type[Model]]:
    # The model, and with multi-table inheritance the parents whose primary key is also its own.
    models = [model]
    while (link := models[-1]._meta.pk).remote_field is not None and link.remote_field.parent_link:
        models.append(link.remote_field.model)
    return models


def _topics(predicate: Predicate) -> frozenset[str]:
    # Those of the related rows, however far away.
    found: set[str] = set()
    stack: list[KeyQuery] = list(predicate.key_queries())
    while stack:
        query = stack.pop()
        found.add(query.table.topic)
        stack += query.predicate.key_queries()
    return frozenset(found)
