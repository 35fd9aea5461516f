"""The index finds all who care for a row, and hardly anybody else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpcore.live import index as index_module
from ddpcore.live.index import RowIndex
from ddpcore.live.predicate import Undecided

OBSERVERS = "abc"
KEYS = "123"
values = st.one_of(st.none(), st.integers(0, 2))
entries = st.one_of(
    st.none(), st.frozensets(st.tuples(st.sampled_from(("owner", "ref")), values), max_size=3)
)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.sampled_from(OBSERVERS), entries),
        st.tuples(st.just("remove"), st.sampled_from(OBSERVERS)),
        st.tuples(st.just("hold"), st.sampled_from(OBSERVERS), st.sampled_from(KEYS)),
        st.tuples(st.just("drop"), st.sampled_from(OBSERVERS), st.sampled_from(KEYS)),
    ),
    max_size=20,
)


@given(actions)
def test_whoever_cares_is_found(actions):
    index: RowIndex[str] = RowIndex()
    wants: dict[str, Any] = {}
    holds: dict[str, set[str]] = {}
    for name, observer, *rest in actions:
        match name:
            case "enter":
                index.enter(observer, rest[0], holds.setdefault(observer, set()))
                wants[observer] = rest[0]
            case "remove":
                index.remove(observer, holds.pop(observer, ()))
                wants.pop(observer, None)
            case "hold" if observer in wants:
                index.hold(rest[0], observer)
                holds[observer].add(rest[0])
            case "drop" if observer in wants:
                index.drop(rest[0], observer)
                holds[observer].discard(rest[0])
        check(index, wants, holds)
    for observer in OBSERVERS:
        index.remove(observer, holds.get(observer, ()))
    assert (len(index), list(index), index.columns) == (0, [], frozenset())
    assert index._holders == {}


def check(index: RowIndex[str], wants: dict[str, Any], holds: dict[str, set[str]]) -> None:
    assert len(index) == len(wants)
    assert set(index) == set(wants)
    assert index.columns == {column for each in wants.values() if each for column, _ in each}
    for key in KEYS:
        every = {each for each in wants if wants[each] is None}
        held = {each for each in wants if key in holds[each]}
        assert set(index.concerned(key, None)) == every | held
        assert set(index.holding(key)) == every | held
        for owner in (None, 0, 1, 2):
            row = {"owner": owner, "ref": 1}
            wanted = {each for each in wants if wants[each] and wants[each] & row.items()}
            found = list(index.concerned(key, row))
            assert len(found) == len(set(found))
            assert set(found) == every | held | wanted


def test_a_row_that_does_not_tell_is_undecided():
    class Silent(dict[str, Any]):
        def __missing__(self, column: str) -> Any:
            raise Undecided(column)

    index: RowIndex[str] = RowIndex()
    index.enter("a", None, ())
    assert list(index.concerned("1", Silent())) == ["a"]
    index.enter("b", frozenset({("owner", 1)}), ())
    with pytest.raises(Undecided):
        index.concerned("1", Silent())
    assert list(index.concerned("1", None)) == ["a"]


def test_a_condition_with_too_many_alternatives_hears_of_everything(monkeypatch):
    monkeypatch.setattr(index_module, "MOST_ENTRIES", 2)
    index: RowIndex[str] = RowIndex()
    index.enter("a", frozenset({("owner", 1), ("owner", 2), ("owner", 3)}), ["1"])
    assert index.columns == frozenset()
    assert list(index.concerned("2", {"owner": 9})) == ["a"]
    index.enter("a", frozenset({("owner", 1), ("owner", 2)}), ["1"])
    assert list(index.concerned("2", {"owner": 9})) == []
    assert list(index.concerned("1", {"owner": 9})) == ["a"]
