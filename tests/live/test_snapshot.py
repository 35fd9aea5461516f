"""Snapshots, against a model that begins and ends transactions one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_database import MemoryDatabase

from ddpcore.live.snapshot import Found, Snapshot

schedules = st.lists(
    st.one_of(
        st.just(("begin", 0)),
        st.tuples(st.sampled_from(("commit", "rollback")), st.integers(0, 4)),
        st.just(("look", 0)),
    ),
    max_size=30,
)


@given(schedules)
def test_a_snapshot_sees_what_had_committed(schedule):
    database = MemoryDatabase()
    committed: set[int] = set()
    taken: list[tuple[Snapshot, set[int]]] = []
    for name, number in schedule:
        running = database.running
        match name:
            case "begin":
                database.begin()
            case "commit" if running:
                transaction = running[number % len(running)]
                database.commit(transaction)
                committed.add(transaction.xid)
            case "rollback" if running:
                database.rollback(running[number % len(running)])
            case "look":
                taken.append((database.snapshot(), set(committed)))
    for snapshot, seen in taken:
        assert {xid for xid in committed if snapshot.sees(xid)} == seen
    for place, (snapshot, seen) in enumerate(taken):
        assert snapshot.covers(snapshot)
        for later, more in taken[place:]:
            assert later.covers(snapshot)
            if seen != more:
                assert not snapshot.covers(later)


@pytest.mark.parametrize(
    ("text", "snapshot"),
    [
        ("10:10:", Snapshot(10, 10)),
        ("10:20:10,14,15", Snapshot(10, 20, frozenset({10, 14, 15}))),
    ],
)
def test_as_postgresql_writes_it(text, snapshot):
    assert Snapshot.parse(text) == snapshot


@pytest.mark.parametrize("text", ["", "10:20", "a:b:", "10:20:x", "1:2:3:4"])
def test_what_is_no_snapshot(text):
    with pytest.raises(ValueError):
        Snapshot.parse(text)


def test_the_borders():
    snapshot = Snapshot.parse("10:20:10,15")
    assert [xid for xid in range(8, 23) if snapshot.sees(xid)] == [
        8, 9, 11, 12, 13, 14, 16, 17, 18, 19,
    ]  # fmt: skip


def test_an_answer_says_as_of_when():
    snapshot = Snapshot(1, 1)
    assert Found({"1": 2}, snapshot) == {"1": 2}
    assert Found({"1": 2}, snapshot).snapshot is snapshot
    assert Found().snapshot is None
