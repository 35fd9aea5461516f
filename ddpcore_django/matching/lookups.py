"""A single lookup, such as ``pages__gt=3``, as a predicate on its column.

Which lookups are understood is a list of classes: one of the same name may do something else. The
values compared with are those that Django has prepared and would send.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections
from django.db.models import IntegerField, functions, lookups
from django.db.models.expressions import Col
from django.db.models.fields import related_lookups
from django.db.models.sql.query import Query
from django.db.models.sql.where import ExtraWhere

from ddpcore.live.predicate import Constant, Equals, IsNull, Not, Predicate, Test, Undecided
from ddpcore_django.matching.columns import (
    Column,
    Content,
    NotMatched,
    column_of,
    folds_ascii_alone,
    in_utc,
)
from ddpcore_django.matching.regex import searches

__all__ = ["NULL_TESTS", "column_looked_at", "predicate_of"]

Passes = Callable[[Any], bool]

NULL_TESTS = (lookups.IsNull, related_lookups.RelatedIsNull)

_EXACT = {lookups.Exact, lookups.IntegerFieldExact, related_lookups.RelatedExact, lookups.YearExact}
_IN = {lookups.In, related_lookups.RelatedIn}
_ORDER: dict[type, tuple[str, Callable[[Any, Any], bool]]] = {
    lookups.GreaterThan: (">", operator.gt),
    lookups.GreaterThanOrEqual: (">=", operator.ge),
    lookups.LessThan: ("<", operator.lt),
    lookups.LessThanOrEqual: ("<=", operator.le),
    lookups.IntegerGreaterThan: (">", operator.gt),
    lookups.IntegerGreaterThanOrEqual: (">=", operator.ge),
    lookups.IntegerLessThan: ("<", operator.lt),
    lookups.IntegerLessThanOrEqual: ("<=", operator.le),
    related_lookups.RelatedGreaterThan: (">", operator.gt),
    related_lookups.RelatedGreaterThanOrEqual: (">=", operator.ge),
    related_lookups.RelatedLessThan: ("<", operator.lt),
    related_lookups.RelatedLessThanOrEqual: ("<=", operator.le),
    lookups.YearGt: (">", operator.gt),
    lookups.YearGte: (">=", operator.ge),
    lookups.YearLt: ("<", operator.lt),
    lookups.YearLte: ("<=", operator.le),
}
_PATTERNS: dict[type, tuple[str, Callable[[str, str], bool]]] = {
    lookups.IExact: ("is", operator.eq),
    lookups.Contains: ("contains", operator.contains),
    lookups.IContains: ("contains", operator.contains),
    lookups.StartsWith: ("starts with", str.startswith),
    lookups.IStartsWith: ("starts with", str.startswith),
    lookups.EndsWith: ("ends with", str.endswith),
    lookups.IEndsWith: ("ends with", str.endswith),
}
_ANY_CASE = {lookups.IExact, lookups.IContains, lookups.IStartsWith, lookups.IEndsWith}
_REGEXES = {lookups.Regex, lookups.IRegex}

_KNOWN = _EXACT | _IN | {*_ORDER, *_PATTERNS} | _REGEXES | {lookups.Range, *NULL_TESTS}

_DAYS = {"date", "moment"}
_HOURS = {"time", "moment"}
_PARTS: dict[type, tuple[set[str], Content, Passes]] = {
    functions.ExtractYear: (_DAYS, "integer", lambda value: value.year),
    functions.ExtractIsoYear: (_DAYS, "integer", lambda value: value.isocalendar()[0]),
    functions.ExtractQuarter: (_DAYS, "integer", lambda value: (value.month + 2) // 3),
    functions.ExtractMonth: (_DAYS, "integer", lambda value: value.month),
    functions.ExtractWeek: (_DAYS, "integer", lambda value: value.isocalendar()[1]),
    functions.ExtractWeekDay: (_DAYS, "integer", lambda value: value.isoweekday() % 7 + 1),
    functions.ExtractIsoWeekDay: (_DAYS, "integer", lambda value: value.isoweekday()),
    functions.ExtractDay: (_DAYS, "integer", lambda value: value.day),
    functions.ExtractHour: (_HOURS, "integer", lambda value: value.hour),
    functions.ExtractMinute: (_HOURS, "integer", lambda value: value.minute),
    functions.ExtractSecond: (_HOURS, "integer", lambda value: value.second),
    functions.TruncDate: ({"moment"}, "date", lambda value: value.date()),
    functions.TruncTime: ({"moment"}, "time", lambda value: value.time()),
}
"""Of which contents they are parts, what they are themselves, and how they are taken."""

_TYPES: dict[Content, type] = {
    "integer": int,
    "boolean": bool,
    "text": str,
    "uuid": UUID,
    "float": float,
    "decimal": Decimal,
    "date": date,
    "moment": datetime,
    "time": time,
    "duration": timedelta,
}

# SQLite keeps these as texts or binary fractions, in whatever notation they were written.
_INEXACT_ON_SQLITE = frozenset(("float", "decimal", "date", "moment", "time", "duration"))


def column_looked_at(lookup: Any) -> Col:
    """The one column that a lookup is about.

    Raises:
        NotMatched: It is about more, or is none that we know.
    """
    side: Any = getattr(lookup, "lhs", None)
    if type(side) in _PARTS:
        if side.tzinfo is not None:
            raise NotMatched(f"{side.lookup_name} in a time zone of its own")
        (side,) = side.get_source_expressions()
    if type(lookup) not in _KNOWN or type(side) is not Col:
        raise NotMatched(_foreign(lookup))
    return side


def _foreign(lookup: Any) -> str:
    if not isinstance(lookup, lookups.Lookup):
        return f"a condition is {_kind_of_expression(lookup)}"
    if type(lookup.lhs) is not Col:
        return f"a condition is on {_kind_of_expression(lookup.lhs)}"
    if getattr(type(lookup), "__module__", "").startswith("django.contrib.postgres"):
        return f"{lookup.lookup_name} is PostgreSQL's own"
    return f"the lookup {lookup.lookup_name} ({type(lookup).__name__})"


def _kind_of_expression(expression: Any) -> str:
    if isinstance(expression, Query) or hasattr(expression, "query"):
        return "a subquery"
    if isinstance(expression, ExtraWhere):
        return "extra()"
    if isinstance(expression, Col):
        return "another column"
    return f"an expression ({type(expression).__name__})"


def predicate_of(lookup: Any, using: str) -> Predicate:
    """A lookup as a predicate on its column, in the table that the column is in.

    Args:
        lookup: A resolved lookup that `column_looked_at` knows.
        using: The alias of the database.

    Raises:
        NotMatched: We cannot do exactly what the database does.
    """
    column = column_of(column_looked_at(lookup).target, using)
    part = lookup.lhs if type(lookup.lhs) in _PARTS else None
    if isinstance(lookup, NULL_TESTS):
        return _null_test(column, lookup.rhs)
    if column.content == "opaque":
        raise NotMatched(f"{column.name}: such values are not compared")
    if column.vendor == "sqlite" and column.content in _INEXACT_ON_SQLITE:
        raise NotMatched(f"{column.name}: SQLite has no type of its own for a {column.content}")
    if column.content == "moment" and not in_utc(using, parts=part is not None):
        raise NotMatched(f"{column.name}: the time zone is not UTC")
    if not lookup.rhs_is_direct_value() or hasattr(lookup.rhs, "resolve_expression"):
        kind = _kind_of_expression(lookup.rhs)
        raise NotMatched(f"{column.name} is compared with {kind}")
    if type(lookup) in _PATTERNS:
        return _pattern(lookup, column)
    if type(lookup) in _REGEXES:
        return _regex(lookup, column)
    if part is not None:
        return _part(lookup, column, part)
    return _comparison(lookup, column, column.content, lambda value: value, "")


def _null_test(column: Column, wanted: Any) -> Predicate:
    if not isinstance(wanted, bool):
        raise NotMatched(f"isnull={wanted!r}")
    test = IsNull(column.name)
    return test if wanted else Not(test)


# --- comparisons ---------------------------------------------------------------------------------


def _part(lookup: Any, column: Column, part: Any) -> Predicate:
    wholes, content, take = _PARTS[type(part)]
    if column.content not in wholes:
        raise NotMatched(f"{column.name} has no {part.lookup_name}")
    if type(lookup).__name__.startswith("Year"):
        # Django compares with the first and the last day of the year: they must exist.
        years = (date.min.year, date.max.year - (part.lookup_name == "iso_year"))
        if type(lookup.rhs) is not int or not years[0] <= lookup.rhs <= years[1]:
            raise NotMatched(f"there is no year {lookup.rhs!r}")

    def taken(value: Any) -> Any:
        return take(value.astimezone(UTC) if getattr(value, "tzinfo", None) else value)

    return _comparison(lookup, column, content, taken, f"{part.lookup_name} ")


def _comparison(
    lookup: Any, column: Column, content: Content, take: Callable[[Any], Any], of: str
) -> Predicate:
    # `content` is that of what `take` takes of the column's value.
    kind = type(lookup)
    given = lookup.rhs
    if kind in _IN or kind is lookups.Range:
        if not isinstance(given, list | tuple | set | frozenset):
            raise NotMatched(f"{column.name} is compared with a {type(given).__name__}")
        values = [value for value in given if value is not None]
    else:
        values = [given]
    values = [_prepared(value, column, content) for value in values]
    if kind in _EXACT or kind in _IN:
        return _one_of(values, column, take, of)
    if content == "text":
        raise NotMatched(f"{column.name}: the order of texts depends on the collation")
    if content in {"boolean", "uuid"} and column.vendor != "postgresql":
        raise NotMatched(f"{column.name}: {content} values have no order")
    if kind is lookups.Range:
        if len(given) != 2 or len(values) != 2:
            raise NotMatched(f"{column.name} is compared with the range {given!r}")
        low, high = map(_rank, values)
        return _test(
            column,
            lambda value: low <= _rank(take(value)) <= high,
            f"{of}BETWEEN {values[0]!r} AND {values[1]!r}",
        )
    sign, compare = _ORDER[kind]
    limit = _rank(values[0])
    return _test(column, lambda value: compare(_rank(take(value)), limit), f"{of}{sign} {given!r}")


def _one_of(values: list[Any], column: Column, take: Callable[[Any], Any], of: str) -> Predicate:
    if not values:
        return Constant(False)
    if not of and not any(map(_is_nan, values)):
        return Equals(column.name, values)
    ranks = frozenset(map(_rank, values))
    label = f"{of}IN ({', '.join(sorted(map(repr, values)))})"
    return _test(column, lambda value: _rank(take(value)) in ranks, label)


def _test(column: Column, passes: Passes, label: str) -> Test:
    # What is of another type than it should be, in a column without types as SQLite's or in a
    # row from elsewhere, is left to the database.
    expected = _TYPES[column.content]
    naive = not settings.USE_TZ

    def test(value: Any) -> bool:
        is_expected: bool = type(value) is expected
        if not is_expected:
            raise Undecided(f"{column.name} is a {type(value).__name__}")
        if expected is datetime and (value.tzinfo is None) is not naive:
            raise Undecided(f"{column.name} has another kind of time zone")
        return passes(value)

    return Test(column.name, test, label)


def _rank(value: Any) -> Any:
    # PostgreSQL's order of numbers: all NaN are one, and greater than anything.
    if isinstance(value, float | Decimal):
        return (1, 0) if _is_nan(value) else (0, value)
    return value


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | Decimal) and math.isnan(value)


def _prepared(value: Any, column: Column, content: Content) -> Any:
    # A value that Django would send, as rows have it.
    kind = _TYPES[content]
    exotic = NotMatched(f"{column.name} is compared with the {type(value).__name__} {value!r}")
    if content == "text":
        if not isinstance(value, str) or not _is_unicode(value):
            raise exotic
        return str.__str__(value)
    is_exact: bool = type(value) is kind
    if not is_exact:
        raise exotic
    if content == "integer":
        field = column.field if column.content == "integer" else IntegerField()
        low, high = connections[column.using].ops.integer_field_range(field.get_internal_type())
        if not low <= value <= high:
            raise NotMatched(f"{column.name} is compared with {value}, which it cannot be")
    if content == "decimal" and (not value.is_finite() or abs(value.adjusted()) > 1000):
        raise exotic
    if content == "moment":
        if (value.tzinfo is None) is settings.USE_TZ:
            raise exotic
        return value.astimezone(UTC) if settings.USE_TZ else value
    if content == "time" and value.tzinfo is not None:
        raise exotic
    return value


def _is_unicode(text: str) -> bool:
    # PostgreSQL has no text with a NUL, SQLite's LIKE stops there; half a surrogate is no text.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


# --- texts ---------------------------------------------------------------------------------------


def _pattern(lookup: Any, column: Column) -> Predicate:
    word, compare = _PATTERNS[type(lookup)]
    given = lookup.rhs
    if type(lookup) is not lookups.IExact and type(given) is int:
        given = str(given)  # as Django does
    wanted = _searched_for(given, column)
    any_case = type(lookup) in _ANY_CASE
    label = f"{word} {wanted!r}" + (" in any case" if any_case else "")
    if column.vendor == "sqlite":
        # LIKE is all there is: it folds ASCII, always, and stops at a NUL.
        if not folds_ascii_alone(column.using):
            raise NotMatched(f"{column.name}: LIKE has been redefined")
        wanted = _ascii_upper(wanted)
        return _test(column, lambda value: compare(_ascii_upper(_no_nul(value)), wanted), label)
    if not any_case:
        return _test(column, lambda value: compare(value, wanted), label)
    if not wanted.isascii():
        raise NotMatched(f"{column.name}: the case of {wanted!r} depends on the locale")
    if not column.usual_collation:
        raise NotMatched(f"{column.name}: the case depends on a collation of its own")
    if not folds_ascii_alone(column.using):
        raise NotMatched(f"{column.name}: this locale has upper cases of its own")
    wanted = wanted.upper()
    return _test(column, lambda value: compare(_upper(value), wanted), label)


def _searched_for(given: Any, column: Column) -> str:
    if column.content != "text":
        raise NotMatched(f"{column.name} is searched as text, but holds none")
    if not isinstance(given, str) or not _is_unicode(given):
        raise NotMatched(f"{column.name} is searched for {given!r}")
    return str.__str__(given)


def _upper(text: str) -> str:
    # Enough of UPPER() for a search for ASCII. Where Unicode makes ASCII of another letter, as it
    # does of `ß`, databases differ.
    if text.isascii():
        return text.upper()
    others = "".join(character for character in text if not character.isascii())
    if any(map(str.isascii, others.upper())):
        raise Undecided("the upper case of a text depends on the locale")
    return _ascii_upper(text)


_UPPER = {ordinal: ordinal - 32 for ordinal in range(ord("a"), ord("z") + 1)}


def _ascii_upper(text: str) -> str:
    return text.translate(_UPPER)


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise Undecided("a NUL in a text")
    return text


def _regex(lookup: Any, column: Column) -> Predicate:
    pattern = _searched_for(lookup.rhs, column)
    folds = type(lookup) is lookups.IRegex
    if column.vendor == "sqlite":
        found = searches(pattern, flags="(?i)" if folds else "")
    elif folds:
        raise NotMatched(f"{column.name}: a regular expression in any case depends on the locale")
    else:
        found = searches(pattern)
    label = f"matches {pattern!r}" + (" in any case" if folds else "")
    return _test(column, found, label)
