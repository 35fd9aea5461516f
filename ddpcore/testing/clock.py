"""Time that passes when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

__all__ = ["FakeClock", "FakeTimer", "turns"]


async def turns(count: int = 10) -> None:
    """Let the event loop turn: whatever needs no waiting happens.

    Args:
        count: How often. A task that awaits a task that awaits a task takes one turn for each.
    """
    for _ in range(count):
        await asyncio.sleep(0)


class FakeTimer:
    """A `ddpcore.clock.Timer`; `FakeClock.call_at` makes one."""

    __slots__ = ("_callback", "_when")

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self._when = when
        self._callback: Callable[[], object] | None = callback

    @property
    def active(self) -> bool:
        """Whether it is still to happen."""
        return self._callback is not None

    def cancel(self) -> None:
        """It will not happen. Idempotent."""
        self._callback = None

    def when(self) -> float:
        """When it happens, in seconds of the clock."""
        return self._when

    def fire(self) -> None:
        """It happens, unless it was cancelled, and only once."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class FakeClock:
    """A `ddpcore.clock.Clock` that stands still until `advance`.

    Give it to a server, ``Server(clock=clock)``, to see in no time what a server does in hours:
    heartbeats, sessions whose clients do not come back, rate limits.

    Args:
        start: What time it is at first, in seconds.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        # A timer's number stands between equal times, so that the first set is the first to fire.
        self._numbers = itertools.count()
        self._timers: list[tuple[float, int, FakeTimer]] = []

    def time(self) -> float:
        """What time it is."""
        return self._now

    def call_at(self, when: float, callback: Callable[[], object]) -> FakeTimer:
        """Call `callback` when `advance` comes to `when`; soon if that is not in the future.

        Returns:
            What cancels it.
        """
        timer = FakeTimer(when, callback)
        if when <= self._now:
            asyncio.get_running_loop().call_soon(timer.fire)
        else:
            heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    @property
    def pending(self) -> list[float]:
        """When something is going to happen, in order."""
        return sorted(when for when, _, timer in self._timers if timer.active)

    async def advance(self, seconds: float) -> None:
        """Let time pass: what is due happens in order, each at its own time, on the running loop.

        After each timer the loop turns a few times, so that the work a timer begins can set timers
        that are due as well. What takes threads or sockets is not waited for: await its outcome.

        Args:
            seconds: How many seconds.

        Raises:
            ValueError: Time does not go back.
            Exception: Whatever a callback raises.
        """
        if seconds < 0:
            raise ValueError(f"Time does not go back, not even {-seconds} s.")
        then = self._now + seconds
        await turns()
        while self._timers and self._timers[0][0] <= then:
            when, _, timer = heapq.heappop(self._timers)
            if timer.active:
                self._now = max(self._now, when)
                timer.fire()
                await turns()
        self._now = max(self._now, then)
