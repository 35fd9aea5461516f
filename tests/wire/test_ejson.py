from __future__ import annotations

import json
import math
import re
import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ddpcore.errors import DDPError
from ddpcore.wire import ejson
from ddpcore.wire.ejson import (
    MAX_DEPTH,
    EJSONError,
    ObjectID,
    RegExp,
    TooDeep,
    add_type,
    canonical,
    clone,
    decode,
    dump_plain,
    dumps,
    encode,
    equals,
    loads,
    number_text,
    parse,
    plain,
)

OID = "0123456789abcdef01234567"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(ms):
    return EPOCH + timedelta(milliseconds=ms)


def nested(depth, leaf=None):
    value = leaf
    for _ in range(depth):
        value = [value]
    return value


@pytest.fixture
def registry(monkeypatch):
    """Types added in a test are gone after it."""
    monkeypatch.setattr(ejson, "_by_name", dict(ejson._by_name))
    monkeypatch.setattr(ejson, "_by_class", dict(ejson._by_class))


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        raise AssertionError("EJSON compares JSON values")

    __hash__ = None


@pytest.fixture
def point(registry):
    add_type("Point", Point, lambda p: {"x": p.x, "y": p.y}, lambda v: Point(v["x"], v["y"]))


# --- encode ------------------------------------------------------------------------------------

FORMS = [
    (None, None),
    (True, True),
    (5, 5),
    (10**40, 10**40),
    (2.5, 2.5),
    ("é\ud800", "é\ud800"),
    ([1, (2, [3])], [1, [2, [3]]]),
    ({"a": {"b": 1}}, {"a": {"b": 1}}),
    (EPOCH, {"$date": 0}),
    (datetime(2020, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), {"$date": 1577836800000}),
    (datetime(2020, 1, 1), {"$date": 1577836800000}),
    (datetime(1970, 1, 1, 0, 0, 0, 1999), {"$date": 1}),
    (datetime(1969, 12, 31, 23, 59, 59, 999999), {"$date": -1}),
    (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), {"$date": -62135647200000}),
    (date(2020, 1, 1), {"$date": 1577836800000}),
    (b"xyz", {"$binary": "eHl6"}),
    (b"\xfb\xff", {"$binary": "+/8="}),
    (bytearray(b""), {"$binary": ""}),
    (memoryview(b"x"), {"$binary": "eA=="}),
    (math.nan, {"$InfNaN": 0}),
    (math.inf, {"$InfNaN": 1}),
    (-math.inf, {"$InfNaN": -1}),
    (re.compile("a.b"), {"$regexp": "a.b", "$flags": ""}),
    (
        re.compile("a", re.IGNORECASE | re.MULTILINE | re.DOTALL | re.ASCII),
        {"$regexp": "a", "$flags": "ims"},
    ),
    (RegExp("a", "gi"), {"$regexp": "a", "$flags": "gi"}),
    (ObjectID(OID), {"$type": "oid", "$value": OID}),
]


@pytest.mark.parametrize(("value", "form"), FORMS)
def test_encode_gives_meteors_forms(value, form):
    assert repr(encode(value)) == repr(form)
    assert repr(encode({"in": [value]})) == repr({"in": [form]})


# reference 4.2
ESCAPES = [
    ({"$date": at(1)}, {"$escape": {"$date": {"$date": 1}}}),
    ({"$escape": {}}, {"$escape": {"$escape": {}}}),
    ({"$escape": {"$escape": 1}}, {"$escape": {"$escape": {"$escape": {"$escape": 1}}}}),
    ({"$binary": "x"}, {"$escape": {"$binary": "x"}}),
    ({"$InfNaN": 1}, {"$escape": {"$InfNaN": 1}}),
    ({"$type": "oid", "$value": OID}, {"$escape": {"$type": "oid", "$value": OID}}),
    ({"$value": 1, "$type": 2}, {"$escape": {"$value": 1, "$type": 2}}),
    ({"$regexp": "a", "$flags": ""}, {"$escape": {"$regexp": "a", "$flags": ""}}),
    ([{"a": {"$date": 1}}], [{"a": {"$escape": {"$date": 1}}}]),
]

NOT_ESCAPED = [
    {"$date": 1, "x": 2},
    {"$date": 1, "$x": 2},
    {"$type": "x"},
    {"$value": 1},
    {"$regexp": "a"},
    {"$flags": ""},
    {"$oid": "x"},
    {"$foo": {"$bar": 1}},
    {"$type": 1, "$value": 2, "x": 3},
    {"$regexp": "a", "$value": 1},
    {},
]


@pytest.mark.parametrize(("value", "form"), ESCAPES)
def test_conformance_125_objects_that_look_like_types_are_escaped(value, form):
    assert encode(value) == form
    assert decode(form) == value


@pytest.mark.parametrize("value", NOT_ESCAPED)
def test_only_exact_key_sets_are_escaped(value):
    assert encode(value) == value
    assert decode(value) == value


def test_conformance_127_a_date_with_another_key_is_a_plain_object():
    assert loads('{"$date":1,"x":2}') == {"$date": 1, "x": 2}
    assert loads('{"$foo":{"$date":1}}') == {"$foo": at(1)}


def test_subclasses_travel_as_what_they_are():
    class Colour(StrEnum):
        RED = "red"

    class Level(int):
        pass

    class Real(float):
        pass

    class Pair(NamedTuple):
        a: int
        b: int

    got = encode(OrderedDict([(Colour.RED, [Colour.RED, Level(1), Real(1.5), Pair(1, 2)])]))
    assert got == {"red": ["red", 1, 1.5, [1, 2]]}
    assert {type(k) for k in got} | {type(v) for v in got["red"]} == {str, int, float, list}
    assert encode(Real("nan")) == {"$InfNaN": 0}


class Plain(Enum):
    A = 1


@pytest.mark.parametrize(
    "value",
    [
        Decimal("1.10"),
        uuid.UUID(int=1),
        time(1),
        timedelta(1),
        Plain.A,
        {1},
        frozenset(),
        1j,
        object(),
        int,
        range(3),
        iter([]),
        re.compile(b"x"),
        re.compile("x", re.VERBOSE),
    ],
)
@pytest.mark.parametrize("convert", [encode, dumps, plain, canonical])
def test_what_has_no_form_is_refused(value, convert):
    if convert is plain and isinstance(value, re.Pattern):
        return
    with pytest.raises(TypeError, match="EJSON has no form for"):
        convert({"a": [value]})


def test_the_refusal_names_the_type_and_a_way_out():
    with pytest.raises(TypeError, match=r"decimal\.Decimal.*add_type"):
        encode(Decimal(1))


@pytest.mark.parametrize("key", [1, None, b"a", (1, 2), 1.5, True])
@pytest.mark.parametrize("convert", [encode, plain])
def test_keys_are_strings(key, convert):
    with pytest.raises(TypeError, match="Keys of EJSON objects are strings, not "):
        convert({key: 1})
    with pytest.raises(TypeError, match="Keys of EJSON objects are strings, not "):
        convert({key: 1, "a": 2, "b": 3})


# --- decode ------------------------------------------------------------------------------------


def test_conformance_124_round_trip_of_every_type():
    value = {
        "date": at(1763550000123),
        "before": at(-1),
        "binary": bytes(range(256)),
        "numbers": [math.nan, math.inf, -math.inf, 0, -1, 1.5, 2**53, 1e300],
        "regexp": RegExp("a/b", "gi"),
        "oid": ObjectID(OID),
        "escapes": [looks for looks, _ in ESCAPES],
        "text": "\u2028 é 😀 \ud800 \x00 </script>",
        "nothing": [None, [], {}, "", True, False],
    }
    assert equals(loads(dumps(value)), value)
    assert equals(loads(dumps(value).encode()), value)
    assert dumps(loads(dumps(value))) == dumps(value)


@pytest.mark.parametrize(
    ("form", "ms"),
    [
        (0, 0),
        (-1, -1),
        (1.9, 1),
        (-1.9, -1),
        (None, 0),
        (True, 1),
        (False, 0),
        (253402300799999, 253402300799999),
        (-62135596800000, -62135596800000),
        # these as `new Date(text)` in Node 20 with TZ=UTC
        ("2020", 1577836800000),
        ("2020-02", 1580515200000),
        ("2020-02-03", 1580688000000),
        ("2020-02-03T10:11", 1580724660000),
        ("2020-02-03T10:11Z", 1580724660000),
        ("2020-02-03t10:11z", 1580724660000),
        ("2020-02-03T10:11:12", 1580724672000),
        ("2020-02-03T10:11:12.3Z", 1580724672300),
        ("2020-02-03T10:11:12.3456789Z", 1580724672345),
        ("2020-02-03T10:11:12.9999Z", 1580724672999),
        ("2020-02-03T10:11:12+02:00", 1580717472000),
        ("2020-02-03T10:11:12-0230", 1580733672000),
        ("2020-02-03T10:11+23:59", 1580638320000),
        ("2020-02-03T24:00:00Z", 1580774400000),
        ("2020-02-03T24:00Z", 1580774400000),
        ("+002020-02-03", 1580688000000),
        ("0001-01-01", -62135596800000),
    ],
)
def test_dates(form, ms):
    got = decode({"$date": form})
    assert got == at(ms)
    assert got.tzinfo is UTC
    assert got.microsecond % 1000 == 0


@pytest.mark.parametrize(
    "form",
    [
        "",
        "abc",
        "5",
        "20200203",
        " 2020-02-03",
        "2020-02-03 10:11",
        "2020-02-30",
        "2020-02-32",
        "2020-13-01",
        "2020-00-01",
        "2020-01-00",
        "2020-02-03T10",
        "2020-02-03T10:60",
        "2020-02-03T10:11:60",
        "2020-02-03T24:00:01",
        "2020-02-03T24:00:00.001",
        "2020-02-03T25:00",
        "2020-02-03T10:11:12.Z",
        "2020-02-03T10:11:12,5Z",
        "2020-02-03T10:11+02",
        "2020-02-03T10:11+24:00",
        "2020-02-03T10:11+14:60",
        "2020-02-03T10:11Z\n",
        "-000000-01-01",
        "٢٠٢٠",
        # dates to JavaScript, but not to Python
        "0000-01-01",
        "-000001-01-01",
        "+275760-09-13T00:00:00Z",
        "9999-12-31T24:00",
        253402300800000,
        -62135596800001,
        8.64e15,
        math.inf,
        math.nan,
        10**600,
        pytest.param(10**5000, id="huge"),
        [],
        [5],
        {},
        {"$date": 0},
    ],
)
def test_what_is_no_date_is_an_error(form):
    with pytest.raises(EJSONError, match=r"^Invalid \$date$"):
        decode({"$date": form})


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", b""),
        ("QQ==", b"A"),
        ("QUI=", b"AB"),
        ("QUJD", b"ABC"),
        ("QQ", b"A"),
        ("QQ=", b"A"),
        ("QUI", b"AB"),
        ("Q", b""),
        ("QR==", b"A"),  # left-over bits are dropped
        ("-_-_", b"\0\0\0"),
        ("Q-Q_", b"@\x04\x00"),
        ("QéJD", b"@\x02C"),
    ],
)
def test_binary(text, data):
    assert decode({"$binary": text}) == data


@pytest.mark.parametrize("form", [None, 5, [], {}, True, "=", "Q=", "Q===", "=QQQ", "QQ==="])
def test_what_is_no_binary_is_an_error(form):
    with pytest.raises(EJSONError, match=r"Invalid \$binary"):
        decode({"$binary": form})


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (1, math.inf),
        (0.5, math.inf),
        (7, math.inf),
        (-1, -math.inf),
        (-0.1, -math.inf),
        (0, math.nan),
        ("1", math.nan),
        (None, math.nan),
        ([], math.nan),
        ({}, math.nan),
        (math.nan, math.nan),
    ],
)
def test_infinities(form, value):
    assert repr(decode({"$InfNaN": form})) == repr(value)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ({"a": {"$date": 1}}, {"a": at(1)}),
        ({}, {}),
        ([{"$date": 1}, 2], {"0": at(1), "1": 2}),
        (5, {}),
        (True, {}),
    ],
)
def test_escape(form, value):
    assert decode({"$escape": form}) == value


def test_escape_of_null_is_an_error():
    with pytest.raises(EJSONError):
        decode({"$escape": None})


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        ("", ""),
        ("gi", "gi"),
        ("yumig", "gimuy"),
        ("ggii", "gi"),
        ("sdvx", ""),
        ("x" * 50 + "i", ""),
    ],
)
def test_regexp_flags(flags, kept):
    assert decode({"$regexp": "a", "$flags": flags}) == RegExp("a", kept)
    assert decode({"$flags": flags, "$regexp": "a"}) == RegExp("a", kept)


@pytest.mark.parametrize(("source", "flags"), [(1, ""), (None, ""), ("a", None), ("a", ["i"])])
def test_regexp_needs_strings(source, flags):
    with pytest.raises(EJSONError, match=r"Invalid \$regexp"):
        decode({"$regexp": source, "$flags": flags})


def test_regexp_compiles_on_request():
    pattern = RegExp("^a.", "gimsuy").compile()
    assert (
        pattern.flags & (re.IGNORECASE | re.MULTILINE | re.DOTALL)
        == re.IGNORECASE | re.MULTILINE | re.DOTALL
    )
    assert pattern.search("x\nA\n")
    assert RegExp("a").compile() == re.compile("a")


@pytest.mark.parametrize("source", ["(", "(?<year>a)", "a{99999999999}", "(" * 5000])
def test_regexp_python_cannot_read(source):
    regexp = decode({"$regexp": source, "$flags": ""})
    with pytest.raises(EJSONError, match="Invalid regular expression"):
        regexp.compile()


def test_decode_leaves_its_input_alone():
    form = {"a": [{"$date": 1}], "b": {"c": []}}
    got = decode(form)
    got["b"]["c"].append(1)
    assert form == {"a": [{"$date": 1}], "b": {"c": []}}


# --- custom types ------------------------------------------------------------------------------


def test_conformance_126_unknown_types_are_an_error():
    with pytest.raises(EJSONError, match=r"^Custom EJSON type Decimal is not defined$"):
        loads('{"$type":"Decimal","$value":"1"}')
    for name in (5, None, [], {}):
        with pytest.raises(EJSONError, match="is not defined"):
            decode([{"$value": 1, "$type": name}])


def test_custom_types_travel(point):
    form = {"$type": "Point", "$value": {"x": 1, "y": [2]}}
    got = loads(dumps([Point(1, [2])]))[0]
    assert encode(got) == form
    assert isinstance(got, Point)
    assert equals(got, Point(1.0, [2]))
    assert not equals(got, Point(1, [3]))
    assert not equals(got, {"x": 1, "y": [2]})
    assert not equals({"x": 1, "y": [2]}, got)
    copy = clone({"p": got})["p"]
    assert equals(copy, got)
    assert copy.y is not got.y

    class Pixel(Point):
        pass

    assert encode(Pixel(1, [2])) == form
    assert plain(got) == {"x": 1, "y": [2]}


def test_the_inside_of_a_custom_type_is_plain(point):
    assert encode(Point(at(0), math.nan))["$value"] == {"x": "1970-01-01T00:00:00.000Z", "y": None}
    assert encode(Point({"$date": 1}, 0))["$value"] == {"x": {"$date": 1}, "y": 0}
    assert decode({"$type": "Point", "$value": {"x": {"$date": 1}, "y": 0}}).x == {"$date": 1}
    with pytest.raises(TypeError):
        encode(Point(Decimal(1), 0))


def test_what_from_json_raises_is_a_parse_error(point):
    with pytest.raises(EJSONError, match="Invalid Point"):
        decode({"$type": "Point", "$value": 5})


def test_names_and_classes_are_taken_once(point):
    class Other:
        pass

    with pytest.raises(DDPError, match="EJSON type Point is already present"):
        add_type("Point", Other, str, Other)
    with pytest.raises(DDPError, match="has a form for"):
        add_type("Other", Point, str, Point)
    for cls in (str, dict, datetime, RegExp, object):
        with pytest.raises(DDPError, match="has a form for"):
            add_type("Other", cls, str, cls)
    add_type("Decimal", Decimal, str, Decimal)
    assert loads(dumps([Decimal("1.10")])) == [Decimal("1.10")]


def test_object_id():
    oid = ObjectID(OID.upper())
    assert oid == ObjectID(OID)
    assert {oid: 1}[ObjectID(OID)] == 1
    assert str(oid) == oid.hex == OID
    assert decode({"$value": OID.upper(), "$type": "oid"}) == oid
    with pytest.raises(AttributeError):
        oid.hex = "x"
    for bad in ("", "x", OID[:-1], OID + "0", OID[:-1] + "g", OID[:-1] + "\n", 5, None, [], {}):
        with pytest.raises(EJSONError):
            decode({"$type": "oid", "$value": bad})


# --- JSON text ---------------------------------------------------------------------------------

# An independent judge of what JSON is: the grammar of RFC 8259, flattened by rewriting.
STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"', re.ASCII)
VALUE = re.compile(
    r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII
)
PUNCTUATION = re.compile(r"[\[\]{},:]")


def is_json(text):
    tokens, i = [], 0
    while i < len(text):
        if text[i] in " \t\n\r":
            i += 1
            continue
        if found := STRING.match(text, i):
            tokens.append("s")
        elif found := VALUE.match(text, i):
            tokens.append("v")
        elif found := PUNCTUATION.match(text, i):
            tokens.append(found[0])
        else:
            return False
        # two numbers or words with nothing between are one wrong token
        if (
            found.end() < len(text)
            and tokens[-1] == "v"
            and re.match(r"[\w.+-]", text[found.end()])
        ):
            return False
        i = found.end()
    flat, before = "".join(tokens), None
    while flat != before:
        before = flat
        flat = re.sub(r"\{(?:s:[sv](?:,s:[sv])*)?\}|\[(?:[sv](?:,[sv])*)?\]", "v", flat)
    return flat in ("s", "v")


ATOMS = [
    *'[]{},:"\\01-+.eE \t\n\r\x0b\x00\x1f\x7f\u00a0\u2028\ufeffé/\'',
    '"a":', "true", "null", "NaN", "Infinity", "-Infinity", "\\u00", "\\ud800", "\\n", "1e5", "10",
    "-0", "1.5", '"x"', "😀", "٣", "\ud800",
]  # fmt: skip


@given(
    st.lists(st.sampled_from(ATOMS), max_size=12).map("".join),
    st.sampled_from(["{}", '"{}"', "[{}]", '{{"a":{}}}']),
)
def test_parse_reads_json_and_nothing_else(text, around):
    text = around.format(text)
    if is_json(text):
        got = parse(text)
        assert equals(got, json.loads(text))
    else:
        with pytest.raises(EJSONError):
            parse(text)


@pytest.mark.parametrize(
    "text",
    # what ujson would let pass
    [
     "-", "[-]", "01", "-01", "[00]", "1.", "[1.]", "1.e5", "NaN", "[NaN]", "Infinity", "-Infinity",
     '"\t"', '"\n"', '"\x00"', '"\x1f"',
     # what it would not
     "", " ", "+1", ".5", "1e", "1e+", "0x1", "'a'", "[1,]", '{"a":1,}', "{a:1}", "//", "[1] x",
     "\ufeff1", "\u00a01", '"\\x"', '"\\u12g4"', '"\\u12"', "undefined", "tru", "[", '{"a"', "٣",
    ],
)  # fmt: skip
def test_parse_refuses(text):
    with pytest.raises(EJSONError, match="Not JSON"):
        parse(text)
    with pytest.raises(EJSONError, match="Not JSON"):
        parse(text.encode())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (" [1 , 2]\r\n", [1, 2]),
        ('{"a":1,"b":2,"a":3}', {"a": 3, "b": 2}),
        ("1e400", math.inf),
        ("[-1e400]", [-math.inf]),
        ("-0", 0),
        ('"\\ud800"', "\ud800"),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\u2028\\/\x7f"', "\u2028/\x7f"),
        ("9" * 640, int("9" * 640)),
        ("9" * 641, math.inf),
        ("-" + "9" * 5000, -math.inf),
        pytest.param("1" * 1_000_000, math.inf, id="million"),
        ("1." + "1" * 5000, 1.1111111111111112),
        ('{"__proto__":1}', {"__proto__": 1}),
    ],
)
def test_parse_accepts(text, value):
    assert parse(text) == value
    assert parse(text.encode("utf-8", "surrogatepass")) == value


@pytest.mark.parametrize("data", [b"\xff", b'"\xed\xa0\x80"', b'"\xc0\x80"', b"\xef\xbb\xbf1"])
def test_bytes_are_utf_8(data):
    with pytest.raises(EJSONError):
        parse(data)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 300, 1000, 100_000])
def test_parse_too_deep(opening, depth):
    closing = "]" if opening == "[" else "}"
    with pytest.raises(TooDeep, match="deeper than 128"):
        parse(opening * depth + "1" + closing * depth)


def test_parse_as_deep_as_allowed():
    assert parse("[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH) == nested(MAX_DEPTH, 1)
    many = [[]] * 1000 + ["[" * 500]
    assert parse(json.dumps(many)) == many


@pytest.mark.parametrize("convert", [encode, dumps, plain, dump_plain, clone, canonical])
def test_values_too_deep(convert):
    convert(nested(MAX_DEPTH, 1.5))
    cycle = []
    cycle.append({"a": (cycle,)})
    for value in (nested(MAX_DEPTH + 2), nested(100_000), cycle):
        if convert is dump_plain and value is not cycle:
            continue  # such a value is not plain to begin with; a cycle must not hang, though
        with pytest.raises(TooDeep, match="deeper than 128"):
            convert(value)


def test_depth_counts_what_encoding_adds():
    for leaf in (EPOCH, math.nan, b"", ObjectID(OID), {"$date": 1}):
        levels = 2 if isinstance(leaf, dict) else 1
        assert equals(
            loads(dumps(nested(MAX_DEPTH - levels, leaf))), nested(MAX_DEPTH - levels, leaf)
        )
        with pytest.raises(EJSONError):
            dumps(nested(MAX_DEPTH - levels + 1, leaf))
    value = {"$escape": 1}
    value["$escape"] = value
    with pytest.raises(EJSONError):
        encode(value)


@pytest.mark.parametrize("decoder", [decode, loads])
def test_decode_too_deep(decoder):
    deep = nested(MAX_DEPTH + 1)
    with pytest.raises(TooDeep, match="deeper than 128"):
        decoder(deep if decoder is decode else json.dumps(deep))
    for wrapper in ("a", "$escape"):
        form = 1
        for _ in range(500):
            form = {wrapper: form}
        with pytest.raises(TooDeep, match="deeper than 128"):
            decode(form)


def test_text_is_ascii_and_valid():
    text = dumps({"é": "😀\ud800\u2028/\x00", "n": [5.0, 1e22, 1e-7, math.nan], "i": 10**30})
    assert text.isascii()
    assert json.loads(text, parse_constant=pytest.fail)["i"] == 10**30
    assert parse(text)["é"] == "😀\ud800\u2028/\x00"
    assert " " not in dumps({"a": [1, 2], "b": {}})


def test_plain_text_has_no_nan():
    assert dump_plain({"a": [math.nan, math.inf, 1.5]}) == '{"a":[null,null,1.5]}'
    assert dump_plain(parse('{"msg":1e400}')) == '{"msg":null}'
    assert dump_plain({"$date": 1}) == '{"$date":1}'


def test_integers_too_long_for_text_are_an_error_and_no_hang():
    assert encode(10**5000) == 10**5000
    with pytest.raises(ValueError, match="digits"):
        dumps(10**5000)


def test_plain_is_what_json_stringify_makes():
    value = {
        "date": at(1),
        "day": date(2020, 1, 1),
        "binary": b"\x01\x02",
        "regexp": [RegExp("a"), re.compile("a")],
        "oid": ObjectID(OID),
        "n": [math.nan, -math.inf, 1.5, 1, True, None],
        "$date": (1,),
    }
    assert plain(value) == {
        "date": "1970-01-01T00:00:00.001Z",
        "day": "2020-01-01T00:00:00.000Z",
        "binary": {"0": 1, "1": 2},
        "regexp": [{}, {}],
        "oid": OID,
        "n": [None, None, 1.5, 1, True, None],
        "$date": [1],
    }
    assert plain({"$date": 1}) == {"$date": 1}
    assert plain(datetime.min)[:10] == "0001-01-01"


# --- equals, clone, canonical ------------------------------------------------------------------

EQUAL = [
    (1, 1.0),
    (0, -0.0),
    (2**53, float(2**53)),
    (math.nan, float("nan")),
    (at(1), datetime(1970, 1, 1, 0, 0, 0, 1999)),
    (at(0), date(1970, 1, 1)),
    (at(0), at(0).astimezone(timezone(timedelta(hours=5)))),
    (b"a", bytearray(b"a")),
    (b"a", memoryview(b"a")),
    ([1, (2,)], (1.0, [2])),
    ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
    ({"a": 1}, OrderedDict(a=1.0)),
    (ObjectID(OID), ObjectID(OID)),
    (re.compile("a", re.IGNORECASE), RegExp("a", "i")),
    (RegExp("a", "i"), re.compile("a", re.IGNORECASE)),
    (re.compile("a"), re.compile("a", re.ASCII)),
    ([], ()),
]

UNEQUAL = [
    (1, True),
    (0, False),
    (0, None),
    (0, ""),
    (1, "1"),
    (2**53 + 1, float(2**53)),
    (10**400, math.inf),
    (math.nan, 0),
    (math.inf, -math.inf),
    (1.5, "1.5"),
    ([1], [True]),
    ({"a": 1}, {"a": True}),
    ([], {}),
    ([], None),
    ({}, None),
    ({"a": None}, {}),
    ({"a": None}, {"b": None}),
    ({"a": 1, "b": 2}, {"a": 1, "c": 2}),
    ([1, 2], [2, 1]),
    ([1], [1, 2]),
    (at(1), at(2)),
    (at(0), 0),
    (b"a", "a"),
    (b"a", b"b"),
    (b"", []),
    (ObjectID(OID), OID),
    # the holes of Meteor's
    (at(0), {}),
    ({}, at(0)),
    (RegExp("a"), RegExp("b")),
    (RegExp("a"), RegExp("a", "i")),
    (re.compile("a"), re.compile("b")),
    (RegExp("a"), {}),
    ({}, re.compile("a")),
    (object(), object()),
    (Decimal(1), 1),
]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_equal(a, b):
    assert equals(a, b) is True
    assert equals(b, a) is True
    assert equals({"x": [a]}, {"x": [b]}) is True
    assert canonical(a) == canonical(b)


@pytest.mark.parametrize(("a", "b"), UNEQUAL)
def test_unequal(a, b):
    assert equals(a, b) is False
    assert equals(b, a) is False
    assert equals({"x": [a]}, {"x": [b]}) is False


def test_clone_shares_nothing_that_can_change():
    value = {"a": [1, {"b": bytearray(b"x")}], "t": (1, []), "d": at(0), "r": RegExp("a")}
    copy = clone(value)
    assert equals(copy, value)
    copy["a"][1]["c"] = 1
    copy["t"][1].append(1)
    value["a"][1]["b"][0] = 0
    assert value["t"] == (1, [])
    assert value["a"][1] == {"b": bytearray(b"\0")}
    assert copy["a"][1]["b"] == b"x"
    assert copy["d"] is value["d"]
    with pytest.raises(TypeError):
        clone([Decimal(1)])


def test_canonical_sorts_by_utf_16_at_every_level():
    # U+FFFF is above the surrogates that 😀 begins with, though below it as a code point
    value = {"\uffff": 1, "😀": 2, "a": 3, "Z": {"9": 1, "10": 2}, "\ud800": 4}
    text = canonical(value)
    assert list(json.loads(text)) == ["Z", "a", "\ud800", "😀", "\uffff"]
    assert '{"10":2,"9":1}' in text
    assert canonical([1.0, 1e21, -0.0]) == "[1,1000000000000000000000,0]"
    assert canonical(at(1)) == '{"$date":1}'


# --- properties --------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=()), max_size=8)
keys = st.one_of(
    texts,
    st.sampled_from(
        ["$date", "$binary", "$escape", "$InfNaN", "$type", "$value", "$regexp", "$flags", "$x"]
    ),
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**1100), max_value=2**1100),
    st.floats(),
    texts,
    st.binary(max_size=8),
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))])),
    st.datetimes(),
    st.dates(),
    st.builds(RegExp, texts, st.sets(st.sampled_from("gimuy")).map(lambda s: "".join(sorted(s)))),
    st.binary(min_size=12, max_size=12).map(lambda b: ObjectID(b.hex())),
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@given(values)
def test_round_trip(value):
    text = dumps(value)
    assert text.isascii()
    json.loads(text, parse_constant=pytest.fail)
    got = loads(text)
    assert equals(got, value)
    assert equals(value, got)
    assert canonical(got) == canonical(value)
    assert equals(clone(value), value)
    assert encode(got) == encode(value)


@given(values, values)
def test_canonical_and_equals_agree(a, b):
    assert equals(a, b) == (canonical(a) == canonical(b))
    assert equals(a, b) == equals(b, a)


@given(values)
def test_plain_is_plain(value):
    assert equals(parse(dump_plain(plain(value))), plain(value))


plains = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=2),
    max_leaves=10,
)


@given(plains)
def test_decode_answers_any_json_with_a_value_or_an_ejson_error(form):
    try:
        value = decode(form)
    except EJSONError:
        return
    assert equals(decode(encode(value)), value)


@example("0000=")
@given(st.text(max_size=12) | st.text("ABab01+/=-_", max_size=12))
def test_base64_never_fails_otherwise(text):
    try:
        data = decode({"$binary": text})
    except EJSONError:
        assert "=" in text
    else:
        assert len(data) == len(text) * 3 // 4 - (len(text) - len(text.rstrip("=")))


@given(st.text("0123456789-+:.TZtz", max_size=25))
def test_date_texts_never_fail_otherwise(text):
    try:
        assert decode({"$date": text}).tzinfo is UTC
    except EJSONError:
        pass


@pytest.mark.parametrize(
    ("number", "text"),
    # as String(number) in Node 20
    [
        (0, "0"), (-0.0, "0"), (5.0, "5"), (-5, "-5"), (1.5, "1.5"), (123.456, "123.456"), (0.1, "0.1"),
        (1e-6, "0.000001"), (1.5e-6, "0.0000015"), (1e-7, "1e-7"), (1.5e-7, "1.5e-7"), (1e20, "100000000000000000000"),
        (1e21, "1e+21"), (1.5e21, "1.5e+21"), (123456789012345680000.0, "123456789012345680000"),
        (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"), (2**53, "9007199254740992"),
        (2**53 + 1, "9007199254740992"), (10**21, "1e+21"), (2**1100, "Infinity"), (-(2**1100), "-Infinity"),
        (math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (2**1024 - 1, "Infinity"),
    ],
)  # fmt: skip
def test_numbers_as_javascript_prints_them(number, text):
    assert number_text(number) == text
