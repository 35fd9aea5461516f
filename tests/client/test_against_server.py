"""The client's machine and the real server's, in memory: after any schedule they agree."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque

from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import Rooms

from ddpcore.client import Machine
from ddpcore.testing import turns
from ddpcore.testing.transport import RecordingTransport

# Most of the time things flow, or hardly any session would live to see anything.
STEPS = st.one_of(
    st.sampled_from(["drop", "open", "turn", "out", "in"]).map(lambda step: (step,)),
    st.tuples(st.just("flow"), st.integers(1, 12)),
    st.tuples(st.just("flow"), st.integers(1, 12)),
    st.tuples(st.just("again"), st.integers(1, 12)),
    st.tuples(st.just("sub"), st.sampled_from("ab")),
    st.tuples(st.just("unsub"), st.integers(0, 5)),
    st.tuples(st.just("change"), st.sampled_from("ab"), st.integers(0, 2)),
    st.tuples(st.just("call"), st.booleans()),
)


class World:
    """One client, one server, and a wire that brings things when told to."""

    def __init__(self, grace: int) -> None:
        self.rooms = Rooms(grace_period=grace)
        for room in "ab":
            self.rooms.rows.update({f"{room}{n}": {"room": room, "n": 0} for n in range(3)})
        self.machine = Machine(self, heartbeat_interval=0)
        self.grace, self.known = grace, None
        self.transport = None
        self.out, self.back = deque(), deque()
        self.shadow, self.over = {}, Counter()
        self.subs, self.calls = [], []

    def send(self, text):
        self.out.append(text)

    def close(self, reason, *, at_once=False):
        raise AssertionError(reason)

    def refused(self, reason):
        raise AssertionError(reason)

    def logged_out(self, error):
        raise AssertionError(error)

    def connected(self, resumed):
        if self.grace and self.known is not None:
            assert resumed, "both have counted alike"

    def ready(self, sub):
        shown = self.rooms.shown(sub.params[0])
        assert shown.keys() <= self.shadow.keys()

    def stopped(self, sub):
        assert sub.error is None

    def done(self, call):
        self.over[call.id] += 1
        assert call.result == call.params[0] or (not call.retry and call.error is not None)

    def changed(self, change):
        if change.kind == "removed":
            del self.shadow[change.id]
        else:
            old = self.shadow.get(change.id, {})
            assert old.get("n", -1) < change.fields["n"], "it never goes back"
            self.shadow[change.id] = {**old, **change.fields}

    # Steps

    def open(self):
        if self.transport is None:
            self.transport = RecordingTransport(on_message=self.back.append)
            self.rooms.server.accept(self.transport)
            self.known = self.machine.session
            self.machine.opened(0.0)

    def drop(self):
        if self.transport is not None:
            self.out.clear()
            transport, self.transport = self.transport, None
            transport._on_message = None
            self.back = deque()
            transport.lose()
            self.machine.lost()

    def deliver(self):
        if self.out:
            self.transport.put(self.out.popleft())

    def bring(self):
        if self.back:
            self.machine.receive(json.dumps(self.back.popleft()), 0.0)

    async def step(self, step):
        match step:
            case ("open",):
                self.open()
            case ("drop",):
                self.drop()
            case ("out",):
                self.deliver()
            case ("in",):
                self.bring()
            case ("flow", count):
                await self.flow(count)
            case ("again", count):
                self.drop()
                await turns(5)  # a server without grace ends the session
                await self.flow(count)
            case ("turn",):
                await turns(5)
            case ("sub", room):
                self.subs.append(self.machine.subscribe("room", [room, 0]))
            case ("unsub", at) if self.subs:
                self.machine.unsubscribe(self.subs[at % len(self.subs)])
            case ("change", room, n):
                await self.rooms.change(f"{room}{n}")
            case ("call", retry):
                self.calls.append(self.machine.call("echo", [len(self.calls)], retry=retry))
        if self.transport is None:
            self.out.clear()

    async def flow(self, count):
        self.open()
        for _ in range(count):
            self.deliver()
            await turns(3)
            self.bring()

    async def settle(self):
        self.open()
        quiet = 0
        while quiet < 20:
            quiet = 0 if self.out or self.back else quiet + 1
            self.deliver()
            self.bring()
            await turns(3)


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=60), st.sampled_from([0, 60]))
def test_they_agree(steps, grace):
    async def run():
        world = World(grace)
        await world.rooms.server.start()
        try:
            for step in steps:
                await world.step(step)
            await world.settle()
            active = [sub for sub in world.subs if sub.id in world.machine._subs]
            expected = {}
            for sub in active:
                expected |= world.rooms.shown(sub.params[0])
            assert world.shadow == expected == world.machine.documents.of("rows")
            assert world.over == Counter(call.id for call in world.calls)
            assert not world.machine.reviving
            for sub in world.subs:
                assert sub.ready if sub in active else sub.stopped
        finally:
            world.drop()
            await world.rooms.server.stop()

    asyncio.run(run())
