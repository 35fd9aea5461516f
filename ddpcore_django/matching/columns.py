"""What is in a column, and how this very database compares it.

What a model says of a column is believed only as far as the database agrees: a column of another
type, a collation that takes different texts for equal, or a locale with letters of its own would
make answers of ours that are not the database's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from django.conf import settings
from django.db import connections
from django.db.models import Field, GeneratedField
from django.utils import timezone

__all__ = ["Column", "Content", "NotMatched", "column_of", "folds_ascii_alone", "in_utc"]

Content = Literal[
    "integer", "boolean", "text", "uuid", "float", "decimal",
    "date", "moment", "time", "duration", "opaque",
]  # fmt: skip


class NotMatched(Exception):
    """A queryset whose result is not decided in memory; its text is the reason, for people."""


_CONTENTS: dict[str, Content] = {
    "AutoField": "integer",
    "BigAutoField": "integer",
    "BigIntegerField": "integer",
    "BinaryField": "opaque",
    "BooleanField": "boolean",
    "CharField": "text",
    "DateField": "date",
    "DateTimeField": "moment",
    "DecimalField": "decimal",
    "DurationField": "duration",
    "FileField": "text",
    "FilePathField": "text",
    "FloatField": "float",
    "GenericIPAddressField": "opaque",
    "IntegerField": "integer",
    "PositiveBigIntegerField": "integer",
    "PositiveIntegerField": "integer",
    "PositiveSmallIntegerField": "integer",
    "SlugField": "text",
    "SmallAutoField": "integer",
    "SmallIntegerField": "integer",
    "TextField": "text",
    "TimeField": "time",
    "UUIDField": "uuid",
}
"""By internal type. Opaque contents are NULL or not, and that is all we ask of them."""

_POSTGRESQL_TYPES: dict[Content, tuple[str, ...]] = {
    "integer": ("int2", "int4", "int8"),
    "boolean": ("bool",),
    "text": ("text", "varchar"),
    "uuid": ("uuid",),
    "float": ("float8",),
    "decimal": ("numeric",),
    "date": ("date",),
    "moment": ("timestamptz",),
    "time": ("time",),
    "duration": ("interval",),
    "opaque": ("bytea", "inet"),
}

# A field that has one of these of its own, or a `from_db_value`, may hold anything.
_DJANGOS_OWN = (
    "cast_db_type",
    "db_parameters",
    "db_type",
    "get_col",
    "get_db_converters",
    "get_db_prep_value",
    "get_internal_type",
    "rel_db_type",
    "select_format",
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column that conditions may be on.

    Attributes:
        name: Its name in the database.
        content: What is in it.
        field: The field that says so: that of the column itself, or, of a reference, the one
            referred to.
        using: The alias of its database.
        usual_collation: Whether its texts are in the collation of the whole database.
    """

    name: str
    content: Content
    field: Field[Any, Any]
    using: str
    usual_collation: bool = True

    @property
    def vendor(self) -> str:
        """Which database it is in, e.g. ``"postgresql"``."""
        return connections[self.using].vendor


def column_of(field: Field[Any, Any], using: str) -> Column:
    """The column of a field.

    Raises:
        NotMatched: We cannot know all about it.
    """
    target: Any = field
    while target.remote_field is not None:
        _check_own(target)
        target = target.target_field
    _check_own(target)
    content = _CONTENTS.get(target.get_internal_type())
    if content is None:
        raise NotMatched(f"{_name(field)} is a {type(target).__name__}")
    name = str(field.column)
    vendor = connections[using].vendor
    if vendor == "postgresql":
        usual = _as_postgresql_has_it(field, name, content, using)
        return Column(name, content, target, using, usual)
    if vendor != "sqlite" and content not in {"integer", "boolean"}:
        raise NotMatched(f"{_name(field)}: on {vendor} only numbers and references are compared")
    if content == "text" and (
        getattr(field, "db_collation", None)
        or getattr(target, "db_collation", None)
        or not field.model._meta.managed
    ):
        raise NotMatched(f"{_name(field)} has a collation of its own, or may have")
    return Column(name, content, target, using)


def _check_own(field: Any) -> None:
    if isinstance(field, GeneratedField) or hasattr(field, "from_db_value"):
        raise NotMatched(f"{_name(field)} is a {type(field).__name__}")
    for method in _DJANGOS_OWN:
        module: str = getattr(getattr(type(field), method), "__module__", "")
        if not module.startswith("django.db.models."):
            raise NotMatched(f"{_name(field)} is a {type(field).__name__} with its own {method}()")


def _name(field: Any) -> str:
    return f"{field.model._meta.label}.{field.name}"


# --- what PostgreSQL says of its columns ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Attribute:
    type: str
    deterministic: bool
    usual: bool


_ATTRIBUTES = """
    SELECT a.attname, CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname::text
                           ELSE format_type(t.oid, NULL) END,
           COALESCE(c.collisdeterministic, TRUE), COALESCE(c.collname = 'default', TRUE)
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation
    WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""

# Asked for once per process: (alias, database, table) → column → attribute.
_tables: dict[tuple[str, str, str], dict[str, _Attribute]] = {}


def _as_postgresql_has_it(field: Field[Any, Any], name: str, content: Content, using: str) -> bool:
    connection = connections[using]
    table = field.model._meta.db_table
    place = (using, str(connection.settings_dict["NAME"]), table)
    if name not in _tables.get(place, ()):
        with connection.cursor() as cursor:
            cursor.execute(_ATTRIBUTES, [connection.ops.quote_name(table)])
            _tables[place] = {column: _Attribute(*rest) for column, *rest in cursor.fetchall()}
    attribute = _tables[place].get(name)
    if attribute is None:
        raise NotMatched(f"the database has no column {name} in {table}")
    if attribute.type not in _POSTGRESQL_TYPES[content]:
        raise NotMatched(f"{_name(field)} is of the type {attribute.type} in the database")
    if not attribute.deterministic:
        raise NotMatched(f"{_name(field)} has a collation that takes different texts for equal")
    return attribute.usual


# --- how it compares -----------------------------------------------------------------------------

# Asked for once per process: (alias, database) → answer.
_folding: dict[tuple[str, str], bool] = {}


def folds_ascii_alone(using: str) -> bool:
    """Whether case is folded as we think, in the collation of the whole database.

    On PostgreSQL: `UPPER()` makes of ASCII what everybody expects (in Turkish it does not), and
    of no other letter ASCII, except where Unicode says so (`ß` and its like). On SQLite:
    `LIKE` makes no difference between `a` and `A`, but one between `ä` and `Ä`.
    """
    connection = connections[using]
    place = (using, str(connection.settings_dict["NAME"]))
    if place not in _folding:
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SHOW server_encoding")
                if known := cursor.fetchone() == ("UTF8",):  # others have not all these letters
                    cursor.execute("SELECT UPPER(%s)", [_probe()])
                    known = _as_expected(cursor.fetchone()[0])
                _folding[place] = known
            else:
                cursor.execute("SELECT 'a' LIKE 'A', 'ä' LIKE 'Ä'")
                _folding[place] = cursor.fetchone() == (1, 0)
    return _folding[place]


_ASCII = "".join(map(chr, range(32, 127)))
_DOTTED = "i\u0307j\u0307"  # Lithuanian would drop the dots


def _probe() -> str:
    others = map(chr, (*range(0x80, 0xD800), *range(0xE000, 0x20000)))
    lower = (letter for letter in others if letter.islower())
    letters = (letter for letter in lower if not any(map(str.isascii, letter.upper())))
    return _ASCII + _DOTTED + "".join(letters)


def _as_expected(upper: str) -> bool:
    known = _ASCII.upper() + _DOTTED.upper()
    return upper.startswith(known) and not any(map(str.isascii, upper[len(known) :]))


_UTC = frozenset(("UTC", "Etc/UTC", "UCT", "Etc/UCT", "Zulu", "Etc/Zulu", "Universal"))


def in_utc(using: str, *, parts: bool = False) -> bool:
    """Whether points in time are read in UTC.

    Args:
        using: The alias of the database.
        parts: Whether also their dates and hours are those of UTC, wherever it is that the
            queryset is evaluated.
    """
    zones = {connections[using].timezone_name}
    if parts and settings.USE_TZ:
        zones |= {timezone.get_current_timezone_name(), str(timezone.get_default_timezone())}
    return zones <= _UTC
