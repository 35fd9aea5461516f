"""Rows: which columns of a model travel, and from what travelled back to the ORM's values.

A row image is read by PostgreSQL (`ddpcore_pg.images`) and holds JSON. What the predicates and
documents need are the very Python values that the ORM would have read, of the same types: they
are made here, each when it is first looked at. A value that cannot be told for certain, be it an
infinite date or nonsense that somebody put on the bus, is `Undecided`, and the database is asked.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from collections.abc import Collection as Container
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import Field, ForeignKey, Model, QuerySet

from ddpcore.errors import DDPError
from ddpcore.live.predicate import Row, Undecided
from ddpcore.live.query import Table
from ddpcore.live.snapshot import Found, Snapshot
from ddpcore_django.serialize import document_id
from ddpcore_django.tables import topic_of
from ddpcore_django.users import is_user_model

if TYPE_CHECKING:
    from ddpcore_pg.images import Column, Source

__all__ = ["ImageRow", "Kind", "ModelTable", "kind_of", "reading", "source_of", "travelling"]

Kind = Literal["plain", "text", "hex", "epoch", "float"]
InThread = Callable[..., Awaitable[Any]]

T = TypeVar("T")

MOST_KEYS = 500
"""Rows asked for with one query; SQLite allows no more than 999 parameters everywhere."""


# --- from what travels to what Django's PostgreSQL backend reads ------------------------------


def _boolean(value: Any) -> bool:
    return _exactly(bool, value)


def _integer(value: Any) -> int:
    return _exactly(int, value)


def _text(value: Any) -> str:
    return _exactly(str, value)


def _uuid(value: Any) -> UUID:
    return UUID(_text(value))


def _decimal(value: Any) -> Decimal:
    return Decimal(_text(value))


def _float(value: Any) -> float:
    text = _text(value)
    if not text.startswith("x"):  # a column of another type than double precision
        return float(text)
    number: float = struct.unpack("!d", bytes.fromhex(text[1:]))[0]
    return number


def _date(value: Any) -> date:
    text = _text(value)
    if len(text) != len("2020-02-20"):  # a year of five digits, or BC, or infinity
        raise Undecided(text)
    return date.fromisoformat(text)


def _time(value: Any) -> time:
    text = _text(value)
    if text.startswith("24"):  # the end of the day: PostgreSQL has such a time, Python has not
        raise Undecided(text)
    return time.fromisoformat(text)


def _moment(value: Any) -> datetime:
    text = _text(value)
    moment = datetime.fromisoformat(text)
    if text[10:11] != "T" or moment.tzinfo is None:  # a year of five digits; a column without zone
        raise Undecided(text)
    connection = connections[DEFAULT_DB_ALIAS]
    zone = connection.timezone  # None without USE_TZ: then the ORM reads the session's local time
    if zone is UTC:
        return moment.astimezone(UTC)
    local = moment.astimezone(zone or ZoneInfo(connection.timezone_name))
    if local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset():
        raise Undecided(text)  # the clocks were changed: this local time came twice
    return local if zone is not None else local.replace(tzinfo=None)


def _duration(value: Any) -> timedelta:
    seconds = Decimal(_text(value))  # "months" is no number
    return timedelta(microseconds=int(seconds.scaleb(6)))


def _binary(value: Any) -> memoryview[bytes]:
    # As psycopg2 has it: of another format a memoryview with the same bytes would not be equal.
    return memoryview(bytes.fromhex(_text(value))).cast("c")


def _exactly(kind: type[T], value: Any) -> T:
    # Also: a column may be of another type than the model says.
    if type(value) is not kind:
        raise Undecided(repr(value))
    return value


_TYPES: dict[str, tuple[Kind, Callable[[Any], Any]]] = {
    "AutoField": ("plain", _integer),
    "BigAutoField": ("plain", _integer),
    "BigIntegerField": ("plain", _integer),
    "BinaryField": ("hex", _binary),
    "BooleanField": ("plain", _boolean),
    "CharField": ("plain", _text),
    "DateField": ("plain", _date),
    "DateTimeField": ("plain", _moment),
    "DecimalField": ("text", _decimal),
    "DurationField": ("epoch", _duration),
    "FileField": ("plain", _text),
    "FilePathField": ("plain", _text),
    "FloatField": ("float", _float),
    "GenericIPAddressField": ("plain", _text),
    "IntegerField": ("plain", _integer),
    "JSONField": ("text", _text),
    "PositiveBigIntegerField": ("plain", _integer),
    "PositiveIntegerField": ("plain", _integer),
    "PositiveSmallIntegerField": ("plain", _integer),
    "SlugField": ("plain", _text),
    "SmallAutoField": ("plain", _integer),
    "SmallIntegerField": ("plain", _integer),
    "TextField": ("plain", _text),
    "TimeField": ("plain", _time),
    "UUIDField": ("plain", _uuid),
}
"""By internal type: how it travels, and what makes the value that the driver would have given."""

_PRINTED_ALIKE = frozenset((_integer, _text, _uuid, _date))
"""Of these, `str()` and PostgreSQL make the same text."""

# A field that has one of these of its own has a column, or reads it, in a way unknown to us.
_DJANGOS_OWN = ("db_type", "db_parameters", "get_db_converters", "get_col", "select_format")


def kind_of(field: Field[Any, Any]) -> Kind | None:
    """How the column of a field travels on PostgreSQL; None if it does not.

    References travel as what they refer to. A field of somebody else's making travels if Django
    makes its column, whatever `from_db_value` it has.
    """
    target = _stored(field)
    return _TYPES[target.get_internal_type()][0] if target is not None else None


def _stored(field: Any) -> Any:
    # The field that says what is in the column; None if we cannot know.
    if getattr(field, "generated", False) and not field.db_persist:
        return None
    internal = field.get_internal_type()
    if any(not _is_djangos_own(field, name) for name in _DJANGOS_OWN):
        return None
    if isinstance(field, ForeignKey):
        return _stored(field.target_field)
    return field if internal in _TYPES else None


def _is_djangos_own(field: Field[Any, Any], name: str) -> bool:
    module: str = getattr(getattr(type(field), name), "__module__", "")
    return module.startswith("django.db.models.")


def _converter(field: Field[Any, Any]) -> Callable[[Any], Any] | None:
    # As the ORM does it: first the driver, then the backend, then the field's `from_db_value`.
    target = _stored(field)
    if target is None:
        return None
    driver = _TYPES[target.get_internal_type()][1]
    connection = connections[DEFAULT_DB_ALIAS]
    column = field.get_col(field.model._meta.db_table)
    steps = column.get_db_converters(connection)
    if connection.vendor == "postgresql":
        # Those of other backends expect what their drivers give.
        steps = [*connection.ops.get_db_converters(column), *steps]
    if not steps:
        return lambda value: None if value is None else driver(value)

    def convert(value: Any) -> Any:
        value = None if value is None else driver(value)
        for step in steps:
            value = step(value, column, connection)
        return value

    return convert


# --- what travels ------------------------------------------------------------------------------


def travelling(model: type[Model]) -> tuple[Column, ...]:
    """The columns of a model's own table that are in its row images, with their kinds.

    Whoever may connect to the database may listen to its changes. So what nobody publishes of the
    project's users stays at home, and `Collection.carries` limits the columns of any model.
    """
    from ddpcore_pg.images import Column

    travels = _selection(model)
    return tuple(
        Column(str(field.column), kind)
        for field in _local_fields(model)
        if (kind := kind_of(field)) is not None and (field.primary_key or travels(field))
    )


def source_of(model: type[Model]) -> Source:
    """A model's own table as a source of row images; proxies share their model's.

    Raises:
        ddpcore.DDPError: PostgreSQL cannot tell its primary keys as Python prints them: they have
            several columns, or a type such as datetime, or a `from_db_value` of their own.
    """
    from ddpcore_pg.images import Source

    concrete = _concrete(model)
    key = concrete._meta.pk
    if not _prints_alike(key):
        raise DDPError(
            f"The primary key of {concrete._meta.label} cannot be told by the database: use "
            "integers, text, UUIDs or dates."
        )
    name = concrete._meta.db_table
    return Source(topic_of(concrete), name, str(key.column), travelling(concrete))


def _prints_alike(key: Any) -> bool:
    target = _stored(key)
    if target is None or _TYPES[target.get_internal_type()][1] not in _PRINTED_ALIKE:
        return False
    column = key.get_col(key.model._meta.db_table)
    return not column.get_db_converters(connections[DEFAULT_DB_ALIAS])


def _concrete(model: type[Model]) -> type[Model]:
    return model._meta.concrete_model or model


def _local_fields(model: type[Model]) -> list[Any]:
    # With multi-table inheritance each table is a source of its own.
    return list(_concrete(model)._meta.local_concrete_fields)


def _selection(model: type[Model]) -> Callable[[Field[Any, Any]], bool]:
    concrete = _concrete(model)
    published = _collections_of(concrete)
    limits = [c.carries for c in published if getattr(c, "carries", None) is not None]
    watched = _watched_of(concrete)
    if is_user_model(concrete) and not limits:
        shown = [*watched, *(c.fields for c in published if c.fields is not None)]
        return lambda field: isinstance(field, ForeignKey) or _names(shown, field)
    if limits or watched:
        return lambda field: _names([*limits, *watched], field)
    return lambda field: True  # noqa: ARG005


def _names(choices: list[Container[str]], field: Field[Any, Any]) -> bool:
    return any(field.name in names or field.attname in names for names in choices)


def _collections_of(concrete: type[Model]) -> list[Any]:
    # Those of children and proxies, too: part of their rows is in this table.
    from ddpcore_django.registry import API  # it knows the collections, and they know of rows

    return [each for each in API.collections.values() if issubclass(each.model, concrete)]


def _watched_of(concrete: type[Model]) -> list[tuple[str, ...]]:
    from ddpcore_django.registry import API  # as above

    return [names for model, names in API.watched.items() if issubclass(model, concrete)]


# --- rows --------------------------------------------------------------------------------------


class ImageRow(Mapping[str, Any]):
    """A row image as a row of the ORM's values, each made when it is first looked at.

    Args:
        image: Column → JSON value.
        converters: Column → what makes the ORM's value of it.
    """

    __slots__ = ("_converters", "_image", "_values")

    def __init__(
        self, image: Mapping[str, Any], converters: Mapping[str, Callable[[Any], Any]]
    ) -> None:
        self._image = image
        self._converters = converters
        self._values: dict[str, Any] = {}

    def __getitem__(self, column: str) -> Any:
        """The value of a column.

        Raises:
            ddpcore.live.predicate.Undecided: It is not in the image, or makes no sense.
        """
        values = self._values
        if column in values:
            return values[column]
        try:
            value = self._converters[column](self._image[column])
        except Undecided:
            raise
        except Exception as problem:  # a field's own from_db_value may raise anything
            raise Undecided(f"{column}: {problem!r}") from problem
        values[column] = value
        return value

    def __contains__(self, column: object) -> bool:
        return column in self._image and column in self._converters

    def __iter__(self) -> Iterator[str]:
        return (column for column in self._image if column in self._converters)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class ModelTable(Table):
    """The table of a model: with multi-table inheritance its own alone.

    Args:
        model: The model; proxies share their model's table.
        in_thread: Runs a blocking function in a thread that may use the database.
    """

    def __init__(self, model: type[Model], in_thread: InThread) -> None:
        self.model = _concrete(model)
        self.topic = topic_of(model)
        self._in_thread = in_thread
        self._fields = _local_fields(model)
        self._converters = {
            str(field.column): converter
            for field in self._fields
            if (converter := _converter(field)) is not None
        }

    def row(self, image: Mapping[str, Any]) -> Row:
        """The row of an image off the bus; see `ImageRow`."""
        return ImageRow(image, self._converters)

    async def read(self, keys: Container[str]) -> Found[Row]:
        """Ask the database for the rows with these primary keys, all columns of them."""
        found: Found[Row] = await self._in_thread(self._read, list(keys))
        return found

    def _read(self, keys: list[str]) -> Found[Row]:
        pks = self._primary_keys(keys)
        names = [field.attname for field in self._fields]
        columns = [str(field.column) for field in self._fields]
        # No manager: one of the project's might hide rows.
        table: QuerySet[Any] = QuerySet(self.model, using=DEFAULT_DB_ALIAS).order_by()
        with reading() as snapshot:
            found: Found[Row] = Found({}, snapshot)
            for start in range(0, len(pks), MOST_KEYS):
                batch = table.filter(pk__in=pks[start : start + MOST_KEYS])
                for pk, *values in batch.values_list("pk", *names):
                    found[document_id(pk)] = dict(zip(columns, values, strict=True))
        return found

    def _primary_keys(self, keys: list[str]) -> list[Any]:
        key = self.model._meta.pk
        known = []
        for text in keys:
            try:
                pk = key.to_python(text)
            except (ValidationError, ValueError, TypeError):
                continue  # no such row can exist
            if "\0" in text or (isinstance(pk, int) and not -(2**63) <= pk < 2**63):
                continue  # databases refuse these
            known.append(pk)
        return known


# --- reads -------------------------------------------------------------------------------------


@contextmanager
def reading(using: str = DEFAULT_DB_ALIAS) -> Iterator[Snapshot | None]:
    """Read with several statements as of one moment, and say which moment that was.

    On PostgreSQL a read-only transaction of one snapshot, which is given. Elsewhere the statements
    stand alone and there is no snapshot: SQLite would have to keep writers waiting (Django may
    be told to begin every transaction as IMMEDIATE), and whoever reads hears of the next commit
    anyway. The same within a transaction that was begun before: it has its isolation level, and
    perhaps rows of its own that nobody else sees.
    """
    connection = connections[using]
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        yield None
        return
    with transaction.atomic(using=using):
        with connection.cursor() as cursor:
            cursor.execute(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
                " SELECT pg_current_snapshot()::text"
            )
            (text,) = cursor.fetchone()
        yield Snapshot.parse(text)
