"""A session under random schedules of requests, frames, slow networks and time, beside a naive model."""

from __future__ import annotations

import asyncio
import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sockjs_services import Echo, Services

from ddpcore.testing import FakeClock, turns
from ddpcore.wire.frame import Frame
from ddpcore_tornado.clients import Clients
from ddpcore_tornado.sockjs import Options
from ddpcore_tornado.sockjs.session import CLOSE_PATIENCE
from ddpcore_tornado.sockjs.sessions import Sessions

HIGH_WATER = 100
HEARTBEAT, DISCONNECT = 25.0, 60.0


class Request:
    """A `Carrier` in memory: a network that takes frames at once, or when it is told to."""

    def __init__(self, limit: int, fast: bool) -> None:
        self.limit = limit
        self.fast = fast
        self.frames: list[str] = []
        self.complete = False
        self.closed = False
        self.was_cut = False
        self.untaken: asyncio.Future[None] | None = None

    def carry(self, frame: bytes) -> asyncio.Future[None]:
        assert not self.complete
        assert not self.closed
        assert self.untaken is None, "more is written while the network takes nothing"
        self.frames.append(frame.decode())
        self.complete = len(self.frames) >= self.limit
        taken = asyncio.get_running_loop().create_future()
        if self.fast:
            taken.set_result(None)
        else:
            self.untaken = taken
        return taken

    def end(self) -> None:
        assert not self.complete
        self.complete = True

    def cut(self) -> None:
        self.was_cut = self.closed = True

    def take(self) -> None:
        if self.untaken is not None:
            self.untaken.set_result(None)
            self.untaken = None


class Watchful(Echo):
    """It is told in time: of the mark, and of half of it."""

    def load(self) -> int:
        return self.transport._waiting + self.transport._untaken

    def blocked(self) -> None:
        self.story.append("blocked" if self.load() > HIGH_WATER else "too early")

    def drained(self) -> None:
        self.story.append("drained" if self.load() <= HIGH_WATER / 2 else "too early")


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.service = Services(Watchful)
        options = Options(heartbeat_delay=HEARTBEAT, disconnect_delay=DISCONNECT)
        self.sessions = Sessions(self.service, options, self.clock, Clients())
        self.session = self.run(self.sessions.open("x", None, {}))
        self.session.high_water = HIGH_WATER
        self.echo: Echo = self.service.clients[0]
        self.requests: list[Request] = []
        self.sent: list[str] = []
        self.farewell: str | None = None

    def run(self, work):
        return self.loop.run_until_complete(work)

    def call(self, function, *args):
        async def call():
            function(*args)
            await turns(3)

        self.run(call())

    @property
    def over(self) -> bool:
        return self.sessions.find("x") is None

    @property
    def current(self) -> Request | None:
        return self.session._carrier

    # What happens

    @rule(sizes=st.lists(st.integers(1, 80), min_size=1, max_size=4))
    def send(self, sizes):
        texts = [str(len(self.sent) + n).ljust(size, "x") for n, size in enumerate(sizes)]
        if not self.over and self.farewell is None:
            self.sent += texts
        self.call(self.session.send, [Frame(text.encode()) for text in texts])

    @precondition(lambda self: not self.over)
    @rule(limit=st.sampled_from([1, 1, 3, 1000]), fast=st.booleans())
    def ask(self, limit, fast):
        request, busy = Request(limit, fast), self.current is not None
        self.call(self.session.attach, request)
        if busy:
            assert request.frames == ['c[2010,"Another connection still open"]']
            assert request.complete
        else:
            self.requests.append(request)

    @rule(which=st.integers(0, 5))
    def take(self, which):
        slow = [each for each in self.requests if each.untaken is not None]
        if slow:
            self.call(slow[which % len(slow)].take)

    @precondition(lambda self: self.current is not None)
    @rule()
    def hang_up(self):
        self.current.closed = True
        self.call(self.session.hung_up, self.current)
        assert self.over

    @rule(seconds=st.sampled_from([1.0, CLOSE_PATIENCE + 1, HEARTBEAT - 1, DISCONNECT + 1]))
    def wait(self, seconds):
        alone = self.current is None
        closing = self.farewell is not None
        self.run(self.clock.advance(seconds))
        if seconds > DISCONNECT and (alone or closing):
            assert self.over

    @precondition(lambda self: self.farewell is None and not self.over)
    @rule()
    def close(self):
        self.farewell = 'c[3000,"Go away!"]'
        self.call(self.session.close, 3000, "Go away!")

    # What holds

    @invariant()
    def the_client_gets_all_in_order_and_once(self):
        frames = [frame for request in self.requests for frame in request.frames]
        got = [text for frame in frames if frame[0] == "a" for text in json.loads(frame[1:])]
        assert got == self.sent[: len(got)]
        assert frames[:1] in ([], ["o"])
        assert "o" not in frames[1:]
        ends = [n for n, frame in enumerate(frames) if frame[0] == "c"]
        assert all(frames[n] == self.farewell for n in ends)
        if ends:
            assert got == self.sent
            assert set(frames[ends[0] :]) == {self.farewell}
        if self.current is not None and not any(each.untaken for each in self.requests):
            assert got == self.sent, "frames wait although a request does, too"
            assert self.farewell is None

    @invariant()
    def the_receiver_knows(self):
        blocked = ["blocked", "drained"] * len(self.echo.story)
        story = [each for each in self.echo.story if each != "lost"]
        assert story == blocked[: len(story)]
        assert self.echo.story.count("lost") == (1 if self.over or self.farewell else 0)
        if self.over or self.farewell:
            return
        waiting = sum(len(frame.data) for frame in self.session._frames)
        if waiting > HIGH_WATER:
            assert story[-1:] == ["blocked"]
        if not waiting and not any(each.untaken for each in self.requests):
            assert story[-1:] != ["blocked"]

    @invariant()
    def what_is_over_leaves_nothing(self):
        assert len(self.clock.pending) == (0 if self.over else 1)
        assert self.sessions.waiting == (0 if self.over or self.current is not None else 1)
        if self.over:
            for each in self.requests:
                assert each.complete or each.closed
                assert each.untaken is None or each.was_cut or each.closed

    def teardown(self):
        self.run(self.clock.advance(3600))
        for _ in range(3):
            if self.current is not None:
                self.call(self.current.take)
                if self.current is not None:
                    self.call(self.session.hung_up, self.current)
        self.loop.close()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


async def test_a_client_has_its_time_from_when_it_has_taken_an_answer():
    service, clock = Services(), FakeClock()
    sessions = Sessions(service, Options(), clock, Clients())
    session = await sessions.open("x", None, {})
    request = Request(1, fast=False)
    session.attach(request)
    await clock.advance(DISCONNECT - 1)
    request.take()
    await clock.advance(DISCONNECT - 1)
    assert sessions.find("x") is session
    await clock.advance(2)
    assert len(sessions) == 0
    assert service.clients[0].story == ["lost"]


async def test_it_has_drained_when_half_is_taken():
    service = Services()
    session = await Sessions(service, Options(), FakeClock(), Clients()).open("x", None, {})
    session.high_water = HIGH_WATER
    request = Request(1000, fast=False)
    session.attach(request)
    story = service.clients[0].story
    request.take()
    await turns()
    for size in (80, 60):
        session.send([Frame(b"x" * size)])
    assert story == ["blocked"]
    request.take()
    await turns()
    assert story == ["blocked"]  # the second is under way
    request.take()
    await turns()
    assert story == ["blocked", "drained"]
    session.end()
