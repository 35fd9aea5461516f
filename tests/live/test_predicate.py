"""Predicates say what SQL would say, with its three truth values."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_database import (
    COLUMNS,
    NOTHING,
    Condition,
    Image,
    MemoryDatabase,
    Unknown,
    decide,
    keys_of,
    predicate_of,
    referred,
)

from ddpcore.live.predicate import (
    And,
    Constant,
    Equals,
    IsNull,
    Not,
    Or,
    Predicate,
    Test,
    Truth,
    Undecided,
    Within,
    Xor,
)

T, F, N = Constant(True), Constant(False), Constant(None)
EACH = (T, F, N)


@pytest.mark.parametrize(("part", "truth"), [(T, False), (F, True), (N, None)])
def test_not(part, truth):
    assert Not(part)({}) is truth


@pytest.mark.parametrize(
    ("parts", "conjunction", "disjunction", "parity"),
    [
        ((), True, False, False),
        ((T,), True, True, True),
        ((F,), False, False, False),
        ((N,), None, None, False),
        ((T, T), True, True, False),
        ((T, F), False, True, True),
        ((T, N), None, True, True),
        ((F, T), False, True, True),
        ((F, F), False, False, False),
        ((F, N), False, None, False),
        ((N, T), None, True, True),
        ((N, F), False, None, False),
        ((N, N), None, None, False),
        ((T, T, T), True, True, True),
        ((T, N, T), None, True, False),
        ((N, T, F), False, True, True),
    ],
)
def test_several_parts(parts, conjunction, disjunction, parity):
    assert And(*parts)({}) is conjunction
    assert Or(*parts)({}) is disjunction
    assert Xor(*parts)({}) is parity


@pytest.mark.parametrize("parts", list(product(EACH, repeat=3)))
def test_de_morgan(parts):
    assert Not(And(*parts))({}) is Or(*map(Not, parts))({})
    assert Not(Or(*parts))({}) is And(*map(Not, parts))({})


def test_columns_that_are_null():
    row = {"owner": None}
    assert Equals("owner", [1, 2])(row) is None
    assert Test("owner", lambda _: True, "> 0")(row) is None
    assert IsNull("owner")(row) is True
    assert IsNull("owner")({"owner": 0}) is False


def test_columns_that_are_not():
    assert Equals("owner", [1, 2])({"owner": 2}) is True
    assert Equals("owner", [])({"owner": 2}) is False
    assert Test("owner", lambda owner: owner > 2, "> 2")({"owner": 2}) is False


def test_what_is_not_known_is_undecided():
    with pytest.raises(Undecided):
        And(T, Equals("owner", [1]))(Image())
    assert And(F, Equals("owner", [1]))(Image()) is False
    assert Or(T, Equals("owner", [1]))(Image()) is True


def within(keys: Any, unknown: Any = None, absent: Truth = None) -> Predicate:
    return Within("ref", keys, unknown, absent).bound(lambda keys: keys)


@pytest.mark.parametrize("absent", [True, False, None])
def test_within_a_set_of_keys(absent):
    assert within({1})({"ref": 1}) is True
    assert within({1})({"ref": 2}) is False
    assert within({1}, {2})({"ref": 1}) is True
    assert within({1}, {2})({"ref": 2}) is None
    assert within({1}, {2})({"ref": 3}) is False
    assert within({1}, {2}, absent)({"ref": None}) is absent


def test_entries():
    one, two = Equals("owner", [1]), Equals("owner", [1, 2])
    assert one.entries() == {("owner", 1)}
    assert T.entries() is None
    assert F.entries() == N.entries() == frozenset()
    assert IsNull("owner").entries() == {("owner", None)}
    assert Test("owner", bool, "").entries() is None
    assert Not(one).entries() is None
    assert Xor(one, two).entries() is None
    assert And().entries() is None
    assert And(T, two, one).entries() == one.entries()
    assert And(T, Test("ref", bool, "")).entries() is None
    assert Or().entries() == frozenset()
    assert Or(one, Equals("ref", [3])).entries() == {("owner", 1), ("ref", 3)}
    assert Or(one, T).entries() is None
    assert within({1, 2}).entries() == {("ref", 1), ("ref", 2)}
    assert within({1}, {2}, absent=True).entries() == {("ref", 1), ("ref", None)}


def test_key_queries_and_columns_are_found_in_all_parts():
    first, second, third = object(), object(), object()
    predicate = And(
        Not(Within("ref", first)),
        Or(Within("owner", second, third), IsNull("grade")),
        T,
    )
    assert list(predicate.key_queries()) == [first, second, third]
    assert predicate.columns == {"ref", "owner", "grade"}
    sets = {first: {1}, second: {2}, third: {3}}
    bound = predicate.bound(lambda query: sets[query])
    assert bound({"ref": 4, "owner": 2, "grade": 1}) is True
    assert bound({"ref": 1, "owner": 2, "grade": 1}) is False
    assert bound({"ref": 4, "owner": 3, "grade": 1}) is None


def test_predicates_can_be_read():
    predicate = Or(
        And(Equals("owner", [2, 1]), Not(IsNull("grade"))),
        Xor(Test("grade", bool, "> 3"), T, F, N),
        within({1}),
    )
    assert repr(predicate) == (
        "((owner IN (1, 2) AND NOT grade IS NULL) OR (grade > 3 XOR TRUE XOR FALSE XOR NULL)"
        " OR ref WITHIN ({1}))"
    )


# Any condition


def conditions(depth: int = 2) -> st.SearchStrategy[Condition]:
    values = st.frozensets(st.integers(0, 2), max_size=2)
    plain = st.one_of(
        st.tuples(st.just("equals"), st.sampled_from(COLUMNS), values),
        st.tuples(st.just("above"), st.sampled_from(COLUMNS), st.integers(0, 1)),
        st.tuples(st.just("null"), st.sampled_from(COLUMNS)),
        st.tuples(st.just("constant"), st.sampled_from((True, False, None))),
    )
    if depth:
        within = st.tuples(st.just("within"), conditions(depth - 1), st.booleans())
        plain = st.one_of(plain, within)
    return st.recursive(
        plain,
        lambda parts: st.one_of(
            st.tuples(st.just("not"), parts),
            st.lists(parts, max_size=3).flatmap(
                lambda several: st.sampled_from(("and", "or", "xor")).map(
                    lambda word: (word, *several)
                )
            ),
        ),
        max_leaves=6,
    )


rows = st.fixed_dictionaries(
    {name: st.one_of(st.none(), st.integers(0, 2)) for name in COLUMNS}
).map(lambda values: {**NOTHING, **values})


@given(conditions(), rows, st.lists(rows, max_size=3), st.lists(rows, max_size=3))
def test_a_predicate_decides_as_the_database_does(condition, row, ones, zeros):
    state = {
        (topic, str(number)): {**each, "id": number}
        for topic, rows in (("one", ones), ("zero", zeros))
        for number, each in enumerate(rows)
    }

    def keys(topic: str, part: Condition) -> set[Any]:
        inner = predicate_of(part, topic, keys)
        of_topic = [each for (its, _), each in state.items() if its == topic]
        return {each["id"] for each in of_topic if inner(each) is True}

    predicate = predicate_of(condition, "two", keys).bound(lambda keys: keys)
    truth = predicate(row)
    assert truth is decide(condition, "two", row, state)
    entries = predicate.entries()
    if truth is True and entries is not None:
        assert any((column, row[column]) in entries for column in predicate.columns)
    assert predicate({name: row[name] for name in predicate.columns}) is truth


def test_the_unknown_is_known_as_such():
    predicate = predicate_of(
        ("unknown", ("within", ("null", "owner"), True)), "two", keys_of(MemoryDatabase())
    )
    assert isinstance(predicate, Unknown)
    assert [query.table.topic for query in predicate.key_queries()] == [referred("two")] * 2
