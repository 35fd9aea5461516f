"""Word of changed rows, from whoever writes them to the bus.

On PostgreSQL one statement in the writer's own transaction has the database read the rows and
NOTIFY (`ddpcore_pg.images`): it arrives after the commit, in order, or never, and says what the
rows hold, whatever Python believes. With any other database the changes are put on the memory
buses of this process when the transaction has been committed: they name rows, and of links (rows
of a many-to-many field) what they link.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial, reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from django.db.models import Field, Model, Q, QuerySet
from django.db.utils import DEFAULT_DB_ALIAS

from ddpcore.bus import Bus, Change, MemoryBus, Op
from ddpcore.errors import DDPError
from ddpcore.live.fence import WriteFence
from ddpcore_django.conf import conf
from ddpcore_django.rows import source_of
from ddpcore_django.serialize import document_id
from ddpcore_django.tables import topic_of

if TYPE_CHECKING:
    from ddpcore_pg.images import Source

__all__ = ["Rows", "announce", "memory_buses", "source_or_none", "tell"]

memory_buses: weakref.WeakSet[Bus] = weakref.WeakSet()
"""The running buses of this process that hear of changes after the commit."""


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
        # What is about to be deleted is locked: nobody may change it after it was told of.
        lock = " FOR UPDATE OF t" if self.op is Op.DELETE else ""
        return " OR ".join(alternatives) + lock, params

    def changes(self) -> Iterator[Change]:
        """What to tell of them where the database does not tell it."""
        topic = topic_of(self.model)
        key = self.model._meta.pk
        references = [
            field for field in self.model._meta.local_concrete_fields if field.is_relation
        ]
        # Of a row that links others and goes nobody could say later whom it linked.
        going_link = self.op is Op.DELETE and len(references) > 1
        if all(each.keys() == {key} for each in self.where) and not going_link:
            for each in self.where:
                yield from (Change(topic, self.op, document_id(pk)) for pk in each[key])
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
    if memory_buses:
        _publish_after_commit([change for each in rows for change in each.changes()])


def tell(using: str, *changes: Change) -> None:
    """Tell the bus of changes that nobody needs to look up, if they get committed."""
    if using != DEFAULT_DB_ALIAS or not changes:
        return
    WriteFence.mark()
    connection = connections[using]
    if conf().captures(connection.vendor) == "notify":
        _notify_changes(connection, changes)
    if memory_buses:
        _publish_after_commit(changes)


@cache
def source_or_none(model: type[Model]) -> Source | None:
    """Where the database reads a model's rows; None if their keys are Python's secret."""
    try:
        return source_of(model)
    except DDPError:
        return None


def _notify(connection: Any, rows: Iterable[Rows]) -> None:
    from ddpcore_pg.images import announce_sql

    named: list[Change] = []
    read = []
    for each in rows:
        source = source_or_none(each.model)
        if source is None:
            named += each.changes()
        else:
            read.append((source, each.op, *each.condition(connection)))
    if read:
        with connection.cursor() as cursor:
            cursor.execute(*announce_sql(*read))
    if named:
        _notify_changes(connection, named)


def _notify_changes(connection: Any, changes: Iterable[Change]) -> None:
    from ddpcore_pg import notify_sql

    with connection.cursor() as cursor:
        cursor.execute(*notify_sql(*changes))


def _publish_after_commit(changes: Iterable[Change]) -> None:
    transaction.on_commit(partial(_publish, changes), using=DEFAULT_DB_ALIAS)


def _publish(changes: Iterable[Change]) -> None:
    for bus in list(memory_buses):
        if isinstance(bus, MemoryBus):
            for change in changes:
                bus.publish_threadsafe(change)


def _plain(value: Any) -> Any:
    # As PostgreSQL would write a reference in an image.
    return value if value is None or isinstance(value, bool | int | str) else str(value)
