"""EJSON: JSON that also carries dates, binary, regular expressions, NaN and your own types.

Three forms of a value, and the functions between them::

    Python value  --encode-->  plain value  --dump_plain-->  JSON text      (dumps does both)
    Python value  <--decode--  plain value  <-----parse----  JSON text      (loads does both)

A *plain* value is made of ``dict`` (with ``str`` keys), ``list``, ``str``, ``int``, ``float``,
``bool`` and ``None`` alone. Text is read by the standard library and written by ujson: ujson
reads what is not JSON (``01``, ``1.``, ``-``, ``NaN``, raw control characters), and the checks
that would make it strict cost more than the C scanner of `json`, which needs none.

Reading, writing and copying go `MAX_DEPTH` deep and no further, so neither a hostile message nor
a value that contains itself can exhaust the stack.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NoReturn, TypeVar

import ujson

from ddpcore.errors import DDPError

__all__ = [
    "MAX_DEPTH",
    "EJSONError",
    "ObjectID",
    "RegExp",
    "TooDeep",
    "add_type",
    "canonical",
    "clone",
    "decode",
    "dump_plain",
    "dumps",
    "encode",
    "equals",
    "loads",
    "number_text",
    "parse",
    "plain",
]

MAX_DEPTH = 128
"""How many containers may stand inside one another, in a message or in a value.

MongoDB, where Meteor keeps its documents, stores 100 levels at most; the others are for the
message around them and for escapes. Python has 1,000 frames, and a level here takes up to three.
"""

MAX_INT_DIGITS = 640
"""Integers with more digits are read as floats, which makes them infinite, as in JavaScript.

`int()` is quadratic in their number, and this many are allowed whatever limit Python is run with.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DAY = timedelta(days=1)

_T = TypeVar("_T")

# Exact types that are the same in Python, in plain JSON, and as clones of themselves.
_AS_IS = frozenset({str, int, bool, type(None)})


class EJSONError(ValueError):
    """The text is not JSON, the JSON is not EJSON, or the value is too deep for either."""


class TooDeep(EJSONError):
    """More containers inside one another than `MAX_DEPTH`, or a value that contains itself."""


# --- JSON text ---------------------------------------------------------------------------------


def parse(text: str | bytes) -> Any:
    """Read JSON `text`, as strictly as JavaScript does, into a plain value.

    Accepts and refuses what `JSON.parse` does (ECMA-262, 25.5.1): no ``NaN``, no byte order
    mark, the last of equal keys wins, ``1e400`` is infinite, lone surrogates survive. Unlike
    there, integers keep all their digits up to `MAX_INT_DIGITS`.

    Raises:
        TooDeep: It is deeper than `MAX_DEPTH`.
        EJSONError: It is not JSON, or not UTF-8.
    """
    try:
        if not isinstance(text, str):
            text = text.decode()
        value = _read(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise EJSONError(f"Not JSON: {error}") from error
    # A level takes two characters, so most messages are too short to be too deep.
    if len(text) > 2 * MAX_DEPTH and text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


def dump_plain(value: Any) -> str:
    """The JSON text of a plain `value`, in ASCII.

    Numbers that JSON lacks become null, as `JSON.stringify` has it. The value must be plain:
    ujson would write a `Decimal` as a float without a word. Pass what may not be through `plain`
    or `encode` first.
    """
    try:
        return ujson.dumps(value, allow_nan=False)
    except OverflowError:  # NaN or infinity, or too deep: the walk tells which
        return ujson.dumps(plain(value))


def dumps(value: Any) -> str:
    """The EJSON text of a `value` (Meteor 3.0.4, `EJSON.stringify` in ejson/ejson.js).

    Raises:
        ValueError: As `encode`, or an integer has more digits than Python writes (4,300).
        TypeError: As `encode`.
    """
    return ujson.dumps(_encode(value, 0))


def loads(text: str | bytes) -> Any:
    """Read EJSON `text` (Meteor 3.0.4, `EJSON.parse` in ejson/ejson.js).

    Raises:
        EJSONError: As `parse` and `decode`.
    """
    return _decode(parse(text), 0)


def _no_constant(name: str) -> NoReturn:
    raise EJSONError(f"{name} is no JSON")


def _read_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INT_DIGITS else float(digits)


_JSON = json.JSONDecoder(parse_int=_read_int, parse_constant=_no_constant)


def _read(text: str) -> Any:
    # Most messages have no white space around them; looking for it costs a sixth of the whole.
    try:
        value, end = _JSON.raw_decode(text)
        if end == len(text):
            return value
    except json.JSONDecodeError:
        pass
    return _JSON.decode(text)


def _check_depth(value: Any) -> None:
    level = [value]  # all values of one level at a time
    for _ in range(MAX_DEPTH + 1):
        containers = [v for v in level if type(v) is dict or type(v) is list]
        if not containers:
            return
        level = [v for c in containers for v in (c.values() if type(c) is dict else c)]
    raise _too_deep()


def _too_deep() -> TooDeep:
    return TooDeep(f"Nested deeper than {MAX_DEPTH} levels, or contains itself")


# --- types of our own --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RegExp:
    """A regular expression of JavaScript, kept as it came.

    It is no `re.Pattern` because that cannot hold it: half the flags and some of the syntax
    have no counterpart in Python. And compiling what a stranger sent can take seconds, so it is
    for the one who needs the pattern to ask for it.

    Attributes:
        source: What stands between the slashes.
        flags: Letters, in JavaScript's (alphabetical) order.
    """

    source: str
    flags: str = ""

    def compile(self) -> re.Pattern[str]:
        """The same pattern for Python; of the flags, ``i``, ``m`` and ``s`` count.

        Raises:
            EJSONError: Python cannot read this pattern.
        """
        flags = re.NOFLAG
        for letter, flag in _FLAGS:
            if letter in self.flags:
                flags |= flag
        try:
            return re.compile(self.source, flags)
        except (re.error, OverflowError, RecursionError) as error:
            raise EJSONError(f"Invalid regular expression: {error}") from error


_FLAGS = (("i", re.IGNORECASE), ("m", re.MULTILINE), ("s", re.DOTALL))


def _from_pattern(pattern: re.Pattern[Any]) -> RegExp:
    if not isinstance(pattern.pattern, str) or pattern.flags & re.VERBOSE:
        raise TypeError("EJSON has no form for patterns of bytes or with re.VERBOSE")
    return RegExp(
        pattern.pattern, "".join(letter for letter, flag in _FLAGS if pattern.flags & flag)
    )


_OBJECT_ID = re.compile("[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class ObjectID:
    """MongoDB's kind of document id (Meteor 3.0.4, mongo-id/id.js).

    Attributes:
        hex: 24 lower-case hexadecimal digits.

    Raises:
        EJSONError: It is something else.
    """

    hex: str

    def __post_init__(self) -> None:
        text = str(self.hex).lower()
        if not _OBJECT_ID.fullmatch(text):
            raise EJSONError("Invalid hexadecimal string for creating an ObjectID")
        object.__setattr__(self, "hex", text)

    def __str__(self) -> str:
        return self.hex


@dataclass(frozen=True, slots=True)
class _CustomType:
    name: str
    to_json: Callable[[Any], Any]
    from_json: Callable[[Any], Any]


_by_name: dict[str, _CustomType] = {}
_by_class: dict[type, _CustomType] = {}


def add_type(
    name: str, cls: type[_T], to_json: Callable[[_T], Any], from_json: Callable[[Any], _T]
) -> None:
    """Teach EJSON a type of your own (Meteor 3.0.4, `EJSON.addType` in ejson/ejson.js).

    Args:
        name: Its name on the wire; clients must know it too, or they drop the whole message.
        cls: The Python class; instances of subclasses travel as it.
        to_json: Makes an instance plain. What it returns is not converted again, so a date in
            there arrives as a string.
        from_json: Makes an instance of that again. Whatever it raises becomes an `EJSONError`.

    Raises:
        DDPError: The name or the class is taken.
    """
    if name in _by_name:
        raise DDPError(f"EJSON type {name} is already present")
    if cls in _by_class or cls in _BUILT_IN:
        raise DDPError(f"EJSON has a form for {cls.__qualname__} already")
    _by_name[name] = _by_class[cls] = _CustomType(name, to_json, from_json)


def _custom_type(value: Any) -> _CustomType | None:
    kind = type(value)
    if kind in _BUILT_IN:
        return None
    for cls in kind.__mro__:
        if custom := _by_class.get(cls):
            return custom
    return None


_BUILT_IN = frozenset(
    {object, dict, list, tuple, float, datetime, date, bytes, bytearray, memoryview}
    | {re.Pattern, RegExp}
    | _AS_IS
)

add_type("oid", ObjectID, str, ObjectID)


# --- Python value to plain value ---------------------------------------------------------------


def encode(value: Any) -> Any:
    """Make a `value` plain: what JSON lacks becomes an object with ``$`` keys.

    As Meteor 3.0.4 (`EJSON.toJSONValue` in ejson/ejson.js), from these Python types: ``datetime``
    (a naive one is taken as UTC; below a millisecond it is rounded down), ``date`` (its midnight
    in UTC), ``bytes``, ``bytearray`` and ``memoryview``, infinite and NaN ``float``, `RegExp` and
    ``re.Pattern``, `ObjectID`, and what `add_type` knows. Tuples become lists. Objects that look
    like such a form are escaped.

    Raises:
        TypeError: There is no form for a type (`decimal.Decimal`, sets, …), or a key is no string.
        TooDeep: The value contains itself, or its form is deeper than `MAX_DEPTH`.
    """
    return _encode(value, 0)


def _encode(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _AS_IS:
        return value
    if kind is float and math.isfinite(value):
        return value
    if depth >= MAX_DEPTH:  # all that follow make a container
        raise _too_deep()
    if kind is dict:
        return _encode_dict(value, depth)
    if kind is list or kind is tuple:
        return [v if type(v) in _AS_IS else _encode(v, depth + 1) for v in value]
    return _encode_other(value, depth)


def _encode_dict(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    escape = len(value) <= 2 and _looks_typed(value)
    if escape:
        depth += 1
        if depth >= MAX_DEPTH:
            raise _too_deep()
    items = {
        k if type(k) is str else _key(k): v if type(v) in _AS_IS else _encode(v, depth + 1)
        for k, v in value.items()
    }
    return {"$escape": items} if escape else items


def _encode_other(value: Any, depth: int) -> Any:
    """The rarer types: our own, and subclasses of the common ones."""
    if custom := _custom_type(value):
        return {"$type": custom.name, "$value": _plain(custom.to_json(value), depth + 1)}
    match value:
        case date():
            return {"$date": _milliseconds(value)}
        case bytes() | bytearray() | memoryview():
            return {"$binary": b64encode(value).decode()}
        case re.Pattern():
            return _encode_other(_from_pattern(value), depth)
        case RegExp():
            return {"$regexp": value.source, "$flags": value.flags}
        case str():
            return str.__str__(value)  # an enumeration's own __str__ may say something else
        case int():
            return int(value)
        case float():
            if math.isfinite(value):
                return float(value)
            return {"$InfNaN": 0 if math.isnan(value) else 1 if value > 0 else -1}
        case dict():
            return _encode_dict(value, depth)
        case list() | tuple():
            return [_encode(item, depth + 1) for item in value]
    raise _no_form(value)


def _looks_typed(value: dict[Any, Any]) -> bool:
    """Whether an object of one or two keys has exactly those of some form."""
    if len(value) == 1:
        return next(iter(value)) in _ONE_KEY
    return ("$type" in value and "$value" in value) or ("$regexp" in value and "$flags" in value)


_ONE_KEY = frozenset({"$date", "$binary", "$InfNaN", "$escape"})


def _milliseconds(value: date) -> int:
    if not isinstance(value, datetime):
        value = datetime.combine(value, time.min)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return (value - _EPOCH) // _MILLISECOND


def _key(key: object) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    raise TypeError(f"Keys of EJSON objects are strings, not {type(key).__qualname__}: {key!r}")


def _no_form(value: object) -> TypeError:
    kind = type(value)
    return TypeError(
        f"EJSON has no form for {kind.__module__}.{kind.__qualname__}: turn it into a string, "
        "a number or a list first, or teach EJSON the type with add_type()"
    )


def plain(value: Any) -> Any:
    """Make a `value` plain with what JSON has, as `JSON.stringify` does with Meteor's values.

    A date becomes an ISO string, binary an object of numbers by index, a regular expression an
    empty object, NaN null. That is how Meteor 3.0.4 sends what it does not send as EJSON:
    ``error.details``, ``offendingMessage``, and the inside of a custom type
    (`ddp-common/utils.js`, ejson/ejson.js). A custom type becomes its JSON value.

    Raises:
        TypeError: As `encode`.
        TooDeep: As `encode`.
    """
    return _plain(value, 0)


def _plain(value: Any, depth: int) -> Any:
    if type(value) in _AS_IS:
        return value
    if depth >= MAX_DEPTH and not isinstance(value, float):
        raise _too_deep()
    if custom := _custom_type(value):
        return _plain(custom.to_json(value), depth + 1)
    match value:
        case float():
            return float(value) if math.isfinite(value) else None
        case dict():
            return {_key(k): _plain(v, depth + 1) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v, depth + 1) for v in value]
        case date():
            return _iso(value)
        case bytes() | bytearray() | memoryview():
            return {str(i): byte for i, byte in enumerate(bytes(value))}
        case re.Pattern() | RegExp():
            return {}
    return _encode_other(value, depth)


def _iso(value: date) -> str:
    moment = _EPOCH + _milliseconds(value) * _MILLISECOND
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- plain value to Python value ---------------------------------------------------------------


def decode(value: Any) -> Any:
    """Make of a plain `value` what it stands for: the objects with ``$`` keys in it are replaced.

    As Meteor 3.0.4 (`EJSON.fromJSONValue` in ejson/ejson.js): an object is such a form only if
    its keys are exactly those of the form, and all else passes. Dates are aware, in UTC, and
    whole milliseconds. Meteor makes an Invalid Date of what is no date; Python has none, nor
    years before 1 or after 9999, so that is an error here. A string for a date must be in
    JavaScript's own format (ECMA-262, 21.4.1.32); without an offset it is taken as UTC.

    Raises:
        EJSONError: Something looks like a form and is not, or names an unknown custom type
            (Meteor answers such a message with "Parse error").
        TooDeep: It is deeper than `MAX_DEPTH`.
    """
    return _decode(value, 0)


def _decode(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is dict:
        if depth >= MAX_DEPTH:
            raise _too_deep()
        if len(value) <= 2 and _looks_typed(value):
            return _decode_typed(value, depth)
        return _decode_items(value, depth)
    if kind is list:
        if depth >= MAX_DEPTH:
            raise _too_deep()
        return [v if type(v) in _AS_IS else _decode(v, depth + 1) for v in value]
    return value


def _decode_items(value: dict[str, Any], depth: int) -> dict[str, Any]:
    return {k: v if type(v) in _AS_IS else _decode(v, depth + 1) for k, v in value.items()}


def _decode_typed(form: dict[str, Any], depth: int) -> Any:
    if len(form) == 1:
        ((key, value),) = form.items()
        return _decode_escape(value, depth) if key == "$escape" else _DECODERS[key](value)
    if "$regexp" in form:
        return _decode_regexp(form["$regexp"], form["$flags"])
    name = form["$type"]
    custom = _by_name.get(name) if isinstance(name, str) else None
    if custom is None:
        raise EJSONError(f"Custom EJSON type {name} is not defined")
    try:
        return custom.from_json(form["$value"])
    except Exception as error:
        raise EJSONError(f"Invalid {name}: {error}") from error


def _decode_escape(value: Any, depth: int) -> dict[str, Any]:
    """Keys one level below are literal; junk comes out as JavaScript's `Object.keys` sees it."""
    if value is None:
        raise EJSONError("Invalid $escape: null")
    if isinstance(value, list):
        value = {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, dict):
        return {}
    if depth + 1 >= MAX_DEPTH:
        raise _too_deep()
    return _decode_items(value, depth + 1)


def _decode_regexp(source: Any, flags: Any) -> RegExp:
    if not isinstance(source, str) or not isinstance(flags, str):
        raise EJSONError("Invalid $regexp: source and flags are strings")
    return RegExp(source, "".join(flag for flag in "gimuy" if flag in flags[:50]))


def _decode_infnan(value: Any) -> float:
    """The value divided by zero; what is no number divides to NaN."""
    sign = value if isinstance(value, int | float) else 0
    return math.inf if sign > 0 else -math.inf if sign < 0 else math.nan


def _decode_binary(text: Any) -> bytes:
    """Base64 as Meteor reads it (Meteor 3.0.4, base64/base64.js).

    Padding may be missing, and unknown characters count as zero bits.
    """
    if not isinstance(text, str):
        raise EJSONError("Invalid $binary: not a string")
    if "=" in text[0::4] or "=" in text[1::4]:
        raise EJSONError("Invalid $binary: padding in the wrong place")
    try:
        return b64decode(text, validate=True)
    except ValueError:  # of which binascii.Error is one; the text may also not be ASCII
        pass
    size = len(text) * 3 // 4 - (len(text) - len(text.rstrip("=")))
    zeroed = _NOT_BASE64.sub("A", text)
    return b64decode(zeroed + "A" * (-len(zeroed) % 4))[:size]


_NOT_BASE64 = re.compile("[^A-Za-z0-9+/]")


def _decode_date(value: Any) -> datetime:
    try:
        if isinstance(value, str):
            return _parse_date(value)
        if value is None:  # what an Invalid Date is encoded as, and reads as the epoch
            return _EPOCH
        return _EPOCH + int(value) * _MILLISECOND
    except (ValueError, TypeError, OverflowError) as error:
        raise EJSONError("Invalid $date") from error


_DATE = re.compile(
    r"(\d{4}|\+\d{6}|-(?!000000)\d{6})(?:-(\d\d)(?:-(\d\d))?)?"
    r"(?:[Tt](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(?:[Zz]|([+-])(\d\d):?(\d\d))?)?",
    re.ASCII,
)


def _parse_date(text: str) -> datetime:
    found = _DATE.fullmatch(text)
    if not found:
        raise ValueError(text)
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups()
    midnight = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
    clock = _span(hour, minute, second, (fraction or "")[:3].ljust(3, "0"))
    ahead = _span(hours, minutes)
    # The end of a day has two names, 24:00 and the next day's 00:00; offsets stay below it.
    if clock > _DAY or ahead >= _DAY:
        raise ValueError(text)
    return midnight + clock + ahead if sign == "-" else midnight + clock - ahead


def _span(*parts: str | None) -> timedelta:
    """Hours, minutes, seconds, milliseconds; a missing part is none of them."""
    hours, minutes, seconds, milliseconds = [int(part or 0) for part in (*parts, *"000")][:4]
    if minutes > 59 or seconds > 59:
        raise ValueError(parts)
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$date": _decode_date,
    "$binary": _decode_binary,
    "$InfNaN": _decode_infnan,
}


# --- comparing and copying ---------------------------------------------------------------------


def equals(a: Any, b: Any) -> bool:
    """Whether `a` and `b` are the same value to EJSON, whatever the order of keys.

    As Meteor 3.0.4 (`EJSON.equals` in ejson/ejson.js): NaN equals itself, dates compare by the
    millisecond, binary by its bytes, custom types by their JSON value; and 1 equals 1.0, which
    are one number in JavaScript, but not True. Not copied from there: any two regular
    expressions, and a date and an empty object, passing for equal. Values that EJSON has no form
    for are equal to themselves only.
    """
    if a is b:
        return True
    kind = type(a)
    if kind is type(b):  # the merge box asks about every field, so the common types come first
        if kind in _AS_IS:
            return bool(a == b)
        if kind is dict:
            return len(a) == len(b) and all(k in b and equals(v, b[k]) for k, v in a.items())
        if kind is list:
            return len(a) == len(b) and all(map(equals, a, b))
    return _equal_others(a, b)


def _equal_others(a: Any, b: Any) -> bool:
    custom = _custom_type(a)
    if custom is not _custom_type(b):
        return False
    if custom:
        return equals(custom.to_json(a), custom.to_json(b))
    match a:
        case bool() | None:
            return False  # or it would have been the very same
        case str():
            return isinstance(b, str) and a == b
        case int() | float():
            if isinstance(b, bool) or not isinstance(b, int | float):
                return False
            return a == b or (a != a and b != b)  # noqa: PLR0124 - NaN, and no int overflows
        case dict():
            return isinstance(b, dict) and equals(dict(a), dict(b))
        case list() | tuple():
            return isinstance(b, list | tuple) and equals(list(a), list(b))
        case date():
            return isinstance(b, date) and _milliseconds(a) == _milliseconds(b)
        case bytes() | bytearray() | memoryview():
            return isinstance(b, bytes | bytearray | memoryview) and bytes(a) == bytes(b)
        case re.Pattern():
            return equals(_from_pattern(a), b)
        case RegExp():
            return a == (_from_pattern(b) if isinstance(b, re.Pattern) else b)
    return False


def clone(value: Any) -> Any:
    """Copy a `value` so deep that no change to one is seen in the other.

    As Meteor 3.0.4 (`EJSON.clone` in ejson/ejson.js); what cannot change is shared, and custom
    types go through their JSON value.
    """
    return _clone(value, 0)


def _clone(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _AS_IS:
        return value
    if depth > MAX_DEPTH:
        raise _too_deep()
    if custom := _custom_type(value):
        return custom.from_json(_plain(custom.to_json(value), depth + 1))
    match value:
        case dict():
            return {k: v if type(v) in _AS_IS else _clone(v, depth + 1) for k, v in value.items()}
        case list() | tuple():
            return [_clone(item, depth + 1) for item in value]
        case bytearray() | memoryview():
            return bytes(value)
        case str() | float() | int() | date() | bytes() | re.Pattern() | RegExp():
            return value
    raise _no_form(value)


def canonical(value: Any) -> str:
    """Text of a `value` that another one shares exactly if `equals` holds: for keys of caches.

    Keys are sorted by UTF-16 code units at every level, as Meteor 3.0.4 does with
    ``{canonical: true}`` (ejson/stringify.js). Numbers are not rounded to a double as there, or
    2**53 and 2**53 + 1 would share an entry.
    """
    return ujson.dumps(_sorted(_encode(value, 0)))


def _sorted(value: Any) -> Any:
    match value:
        case dict():
            return {key: _sorted(value[key]) for key in sorted(value, key=_code_units)}
        case list():
            return [_sorted(item) for item in value]
        case float() if value.is_integer():
            return int(value)
    return value


def _code_units(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def number_text(value: float) -> str:
    """A number `value` as JavaScript prints it: ``5``, ``0.000001``, ``1e-7``, ``1e+21``.

    As ECMA-262, 6.1.6.1.20 (Number::toString). Integers beyond 2**53 are rounded as there.
    """
    if isinstance(value, int):
        if abs(value) <= 2**53:
            return str(int(value))
        try:
            value = float(value)
        except OverflowError:
            value = math.inf if value > 0 else -math.inf
    if math.isnan(value):
        return "NaN"
    sign = "-" if value < 0 else ""
    if math.isinf(value):
        return f"{sign}Infinity"
    # repr() finds the same shortest digits; only where the point goes differs.
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)
    padded = whole + fraction
    digits = padded.lstrip("0")
    point -= len(padded) - len(digits)
    digits = digits.rstrip("0")
    if not digits:
        return "0"
    if len(digits) <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        text = f"{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{point - 1:+d}"
    return sign + text
