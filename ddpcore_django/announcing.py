"""Word of changed rows, from whoever writes them to the bus.

On PostgreSQL one statement in the writer's own transaction has the database read the rows and
NOTIFY (`ddpcore_pg.images`): it arrives after the commit, in order, or never, and says what the
rows hold, whatever Python believes. With any other database, and any other bus, the transaction's
changes are given to a publisher (`ddpcore.bus.Publisher`) when it has been committed: they name
rows, and of links (rows of a many-to-many field) what they link. The publisher is that of the bus
that runs in this process, or else of the bus in the settings. The changes bear no number of a
transaction, so whoever hears of them reads the rows: two processes may announce their commits in
another order than that in which they were made.

To read a row and be sure that it stays as it is until the word is out, PostgreSQL must lock it,
for which it asks for the right to UPDATE the table. Of tables on which the role has no such right,
as of a log to which it may only add, only keys are told, and whoever wants to know more asks the
database. Each process asks for these rights once for each table.

Outside a transaction the write is committed when it is announced. Should that fail, because of a
lock that is not to be had, say, the keys are told without a look at the table, and the writer is
not bothered. Only if the connection is lost nothing can be told, and the writer gets the error.
In a transaction any failure is the writer's, and takes what was written with it.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, connections, transaction
from django.db.models import Field, Model, Q, QuerySet
from django.db.utils import DEFAULT_DB_ALIAS

from ddpcore.bus import Bus, Change, Op, Publisher
from ddpcore.errors import DDPError
from ddpcore.live.fence import WriteFence
from ddpcore_django.conf import conf
from ddpcore_django.publishing import publisher_of
from ddpcore_django.rows import source_of
from ddpcore_django.serialize import document_id
from ddpcore_django.tables import topic_of

if TYPE_CHECKING:
    from ddpcore_pg.images import RowSet, Source

__all__ = ["Rows", "announce", "forget", "tell", "told_buses"]

log = logging.getLogger(__name__)

told_buses: weakref.WeakSet[Bus] = weakref.WeakSet()
"""The running buses of this process that have publishers."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a model's own table of which to tell.

    Attributes:
        model: The model; not a proxy.
        op: What was done to them; for `Op.DELETE` what is going to be done.
        where: Which rows: those that meet any of these conditions, which are fields of the
            table, each with the values that it may have.
    """

    model: type[Model]
    op: Op
    where: Sequence[Mapping[Field[Any, Any], Collection[Any]]]

    @classmethod
    def of(cls, model: type[Model], op: Op, pk: Any) -> Rows:
        """The row with this primary key."""
        return cls(model, op, [{model._meta.pk: [pk]}])

    def condition(self, connection: Any) -> tuple[str, list[Any]]:
        """The SQL of `where` on a table called ``t``, and its parameters."""
        alternatives, params = [], []
        for each in self.where:
            tests = []
            for field, values in each.items():
                name = connection.ops.quote_name(field.column).replace("%", "%%")
                tests.append(f"t.{name} IN ({', '.join(['%s'] * len(values))})")
                params += [field.get_db_prep_value(value, connection) for value in values]
            alternatives.append(f"({' AND '.join(tests)})")
        return " OR ".join(alternatives), params

    @property
    def keys(self) -> list[Any] | None:
        """The primary keys, if it is these that say which rows."""
        key = self.model._meta.pk
        if any(each.keys() != {key} for each in self.where):
            return None
        return [key.to_python(pk) for each in self.where for pk in each[key]]

    def blindly(self) -> Iterator[Change]:
        """What to tell of them without a look at the table."""
        topic, keys = topic_of(self.model), self.keys
        if keys is None:
            yield Change(topic, Op.RESET)
        else:
            yield from (Change(topic, self.op, document_id(pk)) for pk in keys)

    def changes(self) -> Iterator[Change]:
        """What to tell of them where the database does not tell it."""
        topic, keys = topic_of(self.model), self.keys
        references = [
            field for field in self.model._meta.local_concrete_fields if field.is_relation
        ]
        # Of a row that links others and goes nobody could say later whom it linked.
        going_link = self.op is Op.DELETE and len(references) > 1
        if keys is not None and not going_link:
            yield from (Change(topic, self.op, document_id(pk)) for pk in keys)
            return
        for pk, image in self._read(references):
            if self.op is Op.DELETE:
                yield Change(topic, self.op, pk, before=image)
            else:
                yield Change(topic, self.op, pk, after=image)

    def _read(self, fields: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        conditions = [
            Q(**{f"{field.attname}__in": list(values) for field, values in each.items()})
            for each in self.where
        ]
        table: QuerySet[Any] = QuerySet(self.model, using=DEFAULT_DB_ALIAS)
        found = table.filter(reduce(or_, conditions)).order_by("pk")
        columns = [str(field.column) for field in fields]
        for pk, *values in found.values_list("pk", *(field.attname for field in fields)):
            yield document_id(pk), dict(zip(columns, map(_plain, values), strict=True))


def announce(using: str, *rows: Rows) -> None:
    """Tell the bus of rows written on a connection, if that gets committed."""
    if using != DEFAULT_DB_ALIAS or not rows:
        return
    WriteFence.mark()
    connection = connections[using]
    if conf().captures(connection.vendor) == "notify":
        _notify(connection, rows)
    if _publishers():
        _publish_after_commit([change for each in rows for change in each.changes()])


def tell(using: str, *changes: Change) -> None:
    """Tell the bus of changes that nobody needs to look up, if they get committed."""
    if using != DEFAULT_DB_ALIAS or not changes:
        return
    WriteFence.mark()
    connection = connections[using]
    if conf().captures(connection.vendor) == "notify":
        _notify_changes(connection, changes)
    if _publishers():
        _publish_after_commit(changes)


@cache
def _source_or_none(model: type[Model]) -> Source | None:
    # Where the database reads a model's rows; None if their keys are Python's secret.
    try:
        return source_of(model)
    except DDPError:
        return None


_lockable: dict[str, bool] = {}


def forget() -> None:
    """Forget what is known of the tables: what is published has changed."""
    _source_or_none.cache_clear()
    _lockable.clear()


def _notify(connection: Any, rows: Sequence[Rows]) -> None:
    if not connection.get_autocommit():
        _notify_rows(connection, rows)
        return
    try:
        _notify_rows(connection, rows)
    except DatabaseError as problem:
        if not connection.is_usable():
            raise
        topics = ", ".join(topic_of(each.model) for each in rows)
        log.warning("Changes of %s are told without their rows: %s", topics, problem)
        _notify_changes(connection, [change for each in rows for change in each.blindly()])


def _notify_rows(connection: Any, rows: Sequence[Rows]) -> None:
    from ddpcore_pg.images import RowSet, announce_row_sql, announce_sql

    named: list[Change] = []
    read = []
    for each in rows:
        source = _source_or_none(each.model)
        if source is None:
            named += each.changes()
        else:
            read.append(RowSet(source, each.op, *each.condition(connection)))
    if read:
        with connection.cursor() as cursor:
            _ask_for_rights(cursor, [each.source for each in read])
            sets = [each if _lockable[each.source.table] else _key_only(each) for each in read]
            alone = len(sets) == len(rows) == len(rows[0].keys or ()) == 1
            if alone:
                cursor.execute(*announce_row_sql(*sets))
            if not alone or (None,) in cursor.fetchall():
                cursor.execute(*announce_sql(*sets))
    if named:
        _notify_changes(connection, named)


def _ask_for_rights(cursor: Any, sources: Iterable[Source]) -> None:
    from ddpcore_pg.images import quote

    unknown = [source.table for source in sources if source.table not in _lockable]
    if unknown:
        cursor.execute(
            "SELECT coalesce(has_any_column_privilege(to_regclass(name), 'UPDATE'), false)"
            " FROM unnest(%s::text[]) WITH ORDINALITY AS names(name, place) ORDER BY place",
            [list(map(quote, unknown))],
        )
        answers = [may for (may,) in cursor.fetchall()]
        _lockable.update(zip(unknown, answers, strict=True))


def _key_only(row_set: RowSet) -> RowSet:
    return row_set._replace(source=replace(row_set.source, columns=()), lock=False)


def _notify_changes(connection: Any, changes: Iterable[Change]) -> None:
    from ddpcore_pg import notify_sql

    with connection.cursor() as cursor:
        cursor.execute(*notify_sql(*changes))


def _publishers() -> list[Publisher]:
    """Whom to tell after a commit."""
    running = [publisher for bus in list(told_buses) if (publisher := bus.publisher()) is not None]
    if running:
        return running
    own = publisher_of(conf().bus)
    return [] if own is None else [own]


class _Committed:
    """Changes of one transaction that stand and fall together: of the same savepoints."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self.changes = list(changes)

    def __call__(self) -> None:
        for publisher in _publishers():
            try:
                publisher.publish(self.changes)
            except Exception as problem:
                # They are committed. The writer cannot help it, and has other hooks to run.
                log.error("Changes could not be announced: %s", problem)  # noqa: TRY400


def _publish_after_commit(changes: Iterable[Change]) -> None:
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.in_atomic_block and connection.run_on_commit:
        savepoints, last = connection.run_on_commit[-1][:2]
        # Together they are one message to the bus. What a savepoint may undo stays by itself.
        # (None stands for an atomic block without a savepoint.)
        now = {*connection.savepoint_ids, None}
        if isinstance(last, _Committed) and {*savepoints, None} == now:
            last.changes += changes
            return
    transaction.on_commit(_Committed(changes), using=DEFAULT_DB_ALIAS)


def _plain(value: Any) -> Any:
    # As PostgreSQL would write a reference in an image.
    return value if value is None or isinstance(value, bool | int | str) else str(value)
