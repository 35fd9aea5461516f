"""Documents and the steps between them, as they travel."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpcore import UNSET, Document, ejson
from ddpcore.live.document import Step


def document(**fields):
    return Document.of("c", "1", fields)


def sent(before, after):
    frame = Step(before, after).frame
    return None if frame is None else json.loads(frame.data)


def test_060_added_without_fields_omits_them():
    assert sent(None, document()) == {"msg": "added", "collection": "c", "id": "1"}


def test_062_changed_may_only_clear():
    message = sent(document(a=1), document())
    assert message == {"msg": "changed", "collection": "c", "id": "1", "cleared": ["a"]}


def test_073_an_underscore_id_never_travels():
    made = Document.of("c", "1", {"_id": "x", "a": 1}).updated({"_id": "y"})
    assert made.fields == {"a": 1}


@pytest.mark.parametrize(
    "name", ["constructor", "__proto__", "length", "", 'q"\\', "é", "\U0001f600"]
)
def test_074_any_name_is_a_fields_name(name):
    made = Document.of("c", "1", {name: 1})
    assert sent(None, made)["fields"] == {name: 1}
    assert made.updated({name: 2}).fields == {name: 2}
    assert made.updated({name: UNSET}).fields == {}


def test_075_a_value_mutated_afterwards_does_not_matter():
    value = [1]
    made = document(a=value)
    value.append(2)
    made.fields["a"].append(3)
    assert made.fields == {"a": [1]}


def test_076_a_nested_change_resends_the_whole_value():
    assert sent(document(a={"x": 1}), document(a={"x": 2}))["fields"] == {"a": {"x": 2}}


@pytest.mark.parametrize(
    ("one", "other"), [({"x": 1, "y": 2}, {"y": 2, "x": 1}), (1, 1.0), ([{}], [{}])]
)
def test_077_equal_values_are_no_change(one, other):
    assert sent(document(a=one), document(a=other)) is None


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), (None, 0), ("1", 1), ([], {})])
def test_values_of_different_types_differ(one, other):
    assert sent(document(a=one), document(a=other))["fields"] == {"a": other}


def test_fields_that_look_like_ejson_are_escaped():
    made = Document.of("c", "1", {"$date": 5})
    assert sent(None, made)["fields"] == {"$escape": {"$date": 5}}
    assert sent(document(), made)["fields"] == {"$escape": {"$date": 5}}
    assert sent(document(b=1), Document.of("c", "1", {"b": 1, "$date": 5}))["fields"] == {
        "$escape": {"$date": 5}
    }


@pytest.mark.parametrize("wrong", [{"a": Decimal(1)}, {"a": {1: 2}}, {1: 2}, {"a": object()}])
def test_what_ejson_cannot_carry_is_refused_at_once(wrong):
    with pytest.raises(TypeError):
        Document.of("c", "1", wrong)
    with pytest.raises(TypeError):
        document().updated(wrong)


fields = st.dictionaries(
    st.sampled_from(["a", "b", "$date", "$binary", "$escape"]),
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.binary(max_size=3)
        | st.just(datetime(2020, 1, 1, tzinfo=UTC)),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner),
        max_leaves=4,
    ),
    max_size=3,
)  # fmt: skip


@given(fields, fields)
def test_whoever_takes_the_step_arrives(before, after):
    message = sent(Document.of("c", "1", before), Document.of("c", "1", after))
    client = dict(before)
    if message is not None:
        client.update(ejson.decode(message.get("fields", {})))
        for name in message.get("cleared", ()):
            del client[name]
    assert client == after


def test_the_frame_of_a_step_is_made_once():
    step = Step(None, document(a=1))
    assert step.frame is step.frame
