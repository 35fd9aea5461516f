"""The clock that is moved by hand."""

from __future__ import annotations

import asyncio

import pytest

from ddpcore import Server
from ddpcore.testing import FakeClock, connect, turns


async def test_timers_fire_in_order_each_at_its_time():
    clock, fired = FakeClock(100.0), []

    def note(name):
        return lambda: fired.append((name, clock.time()))

    clock.call_at(103, note("c"))
    clock.call_at(101, note("a"))
    clock.call_at(101, note("b"))
    clock.call_at(110, note("late"))
    assert clock.pending == [101, 101, 103, 110]
    await clock.advance(5)
    assert fired == [("a", 101), ("b", 101), ("c", 103)]
    assert (clock.time(), clock.pending) == (105, [110])
    await clock.advance(5)
    assert fired[-1] == ("late", 110)


async def test_cancelled_timers_do_not_fire():
    clock, fired = FakeClock(), []
    second = clock.call_at(2, lambda: fired.append(2))
    clock.call_at(1, second.cancel)
    assert second.when() == 2
    await clock.advance(3)
    second.cancel()
    assert (fired, clock.pending) == ([], [])


async def test_what_a_timer_sets_is_due_as_well():
    clock, ticks = FakeClock(), []

    def tick():
        ticks.append(clock.time())
        clock.call_at(clock.time() + 1, tick)

    async def work():
        clock.call_at(clock.time() + 0.25, lambda: ticks.append("task"))

    def begin():
        nonlocal task
        task = asyncio.ensure_future(work())

    task = None
    clock.call_at(1, tick)
    clock.call_at(1.5, begin)
    await clock.advance(3)
    await task
    assert ticks == [1, "task", 2, 3]


async def test_what_is_past_happens_soon_on_the_loop():
    clock, fired = FakeClock(5), []
    clock.call_at(5, lambda: fired.append("now"))
    clock.call_at(1, lambda: fired.append("past"))
    clock.call_at(2, lambda: fired.append("never")).cancel()
    assert fired == []
    await turns()
    assert fired == ["now", "past"]


async def test_time_does_not_go_back():
    with pytest.raises(ValueError, match="does not go back"):
        await FakeClock().advance(-1)


async def test_what_a_timer_raises_is_the_tests():
    clock = FakeClock()
    clock.call_at(1, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await clock.advance(1)


async def test_a_client_lives_as_long_as_it_answers():
    clock = FakeClock()
    async with connect(Server(clock=clock)) as client:
        await clock.advance(3600)
        assert client.closed is None
        assert client.messages.count({"msg": "ping"}) > 100


async def test_a_silent_client_is_left():
    clock = FakeClock()
    async with connect(Server(clock=clock), answer_pings=False) as client:
        await clock.advance(60)
        assert client.messages[-1] == {"msg": "ping"}
        assert client.closed is not None
