"""What a client may make a session hold: messages that wait, methods at work, subscriptions."""

from __future__ import annotations

import json
from collections import deque

from hypothesis import given
from hypothesis import strategies as st
from machine_world import connected


def method(number, size=0):
    return json.dumps(
        {"msg": "method", "id": str(number), "method": "work", "params": ["x" * size]}
    )


def test_one_subscription_too_many_is_refused_and_the_others_stay():
    world = connected(max_subscriptions=2)
    for name in "abc":
        said = world.put(msg="sub", id=name, name="books")
        if name < "c":
            world.session.handler_settled(world.publications[-1])
    [nosub] = said
    assert (nosub["msg"], nosub["id"]) == ("nosub", "c")
    assert nosub["error"]["error"] == 429
    assert nosub["error"]["reason"] == "Too many subscriptions"
    assert sorted(world.session.subscriptions) == ["a", "b"]
    assert world.put(msg="sub", id="a", name="books") == []  # it is the same one
    world.put(msg="unsub", id="a")
    world.put(msg="sub", id="c", name="books")
    assert sorted(world.session.subscriptions) == ["b", "c"]


def test_methods_that_let_others_overtake_are_so_many_at_once():
    world = connected(max_queue=3)
    world.on_method = world.session.unblock
    for number in range(10):
        world.put_text(method(1))  # the same id is no way around it
        assert len(world.methods) == min(number + 1, 4)
    assert "pause" in world.events
    world.done(world.methods[0])
    assert len(world.methods) == 5
    while len(world.methods) < 10:
        world.done(world.methods[-1])
    assert "resume" in world.events


class Naive:
    """One method at a time; what waits is counted anew each time."""

    def __init__(self, most, most_bytes):
        self.most, self.most_bytes = most, most_bytes
        self.waiting = deque()
        self.started = []
        self.busy = False
        self.reading = True

    def full(self, part):
        return len(self.waiting) > self.most // part or sum(self.waiting) > self.most_bytes // part

    def put(self, size):
        self.waiting.append(size)
        self.go_on()
        if len(self.waiting) >= self.most or sum(self.waiting) >= self.most_bytes:
            self.reading = False

    def go_on(self):
        if self.waiting and not self.busy:
            self.busy = True
            self.started.append(self.waiting.popleft())
            self.reading = self.reading or not self.full(2)

    def done(self):
        self.busy = False
        self.go_on()


@given(
    st.lists(st.one_of(st.integers(0, 400), st.none()), max_size=60),
    st.integers(1, 6),
    st.integers(1, 1000),
)
def test_what_waits_is_bounded_in_messages_and_bytes(steps, most, most_bytes):
    """A number: a message of so many bytes more; None: the method at work is done."""
    world = connected(max_queue=most, max_queue_size=most_bytes)
    naive = Naive(most, most_bytes)
    done = 0
    for number, step in enumerate(steps):
        if step is not None:
            text = method(number, step)
            world.put_text(text)
            naive.put(len(text))
        elif naive.busy:
            world.done(world.methods[done])
            done += 1
            naive.done()
        told = [each for each in world.events if each in ("pause", "resume")]
        assert naive.reading == (told[-1:] != ["pause"])
        assert told == ["pause", "resume"] * (len(told) // 2) + ["pause"] * (len(told) % 2)
        assert len(world.methods) == len(naive.started)
