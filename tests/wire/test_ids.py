from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpcore.wire.ejson import EJSONError, ObjectID, equals
from ddpcore.wire.ids import id_parse, id_stringify

OID = "0123456789abcdef01234567"

PAIRS = [
    ("abc", "abc"),
    ("", ""),
    ("5", "5"),
    ("-", "--"),
    ("-a", "--a"),
    ("~5", "-~5"),
    ("{}", "-{}"),
    ("a-~{", "a-~{"),
    (OID, f"-{OID}"),
    (OID.upper(), OID.upper()),
    (OID + "0", OID + "0"),
    (OID + "\n", OID + "\n"),
    (ObjectID(OID), OID),
    (5, "~5"),
    (-1.5, "~-1.5"),
    (5.0, "~5"),
    (1e-7, "~1e-7"),
    (2**60, f"~{2**60}"),
    (2.0**60, f"~{2**60}"),
    (True, "~true"),
    (False, "~false"),
    (None, "~null"),
]


@pytest.mark.parametrize(("id_", "text"), PAIRS)
def test_ids_both_ways(id_, text):
    assert id_stringify(id_) == text
    got = id_parse(text)
    assert equals(got, id_)
    assert isinstance(got, ObjectID) == isinstance(id_, ObjectID)


def test_numbers_json_lacks_are_null():
    assert {id_stringify(n) for n in (math.nan, math.inf, -math.inf)} == {"~null"}


def test_what_only_javascript_sends():
    assert id_parse("-") is None  # undefined
    assert id_parse("{x") == "{x"
    for text in ("~", "~NaN", "~01", "~{"):
        with pytest.raises(EJSONError):
            id_parse(text)


@pytest.mark.parametrize("bad", [[], {}, b"a", object(), (1,)])
def test_nothing_else_is_an_id(bad):
    with pytest.raises(TypeError, match="No document id"):
        id_stringify(bad)


@given(
    st.text()
    | st.text("0123456789abcdef", min_size=23, max_size=25)
    | st.text("-~{a", max_size=4)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
)
def test_round_trip(id_):
    assert equals(id_parse(id_stringify(id_)), id_)
