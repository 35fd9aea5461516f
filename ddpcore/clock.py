"""The clock of a server: what time it is, and to be called at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "LoopClock", "Timer"]


class Timer(Protocol):
    """Something that will happen."""

    def cancel(self) -> None:
        """It will not. Idempotent."""

    def when(self) -> float:
        """When it will, in seconds of the clock."""
        ...


class Clock(Protocol):
    """Time in seconds since no matter when; it never goes back."""

    def time(self) -> float:
        """What time it is."""
        ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` on the event loop at `when`, or soon if that is past.

        Returns:
            What cancels it.
        """
        ...


class LoopClock:
    """The time that event loops go by."""

    def time(self) -> float:
        """What time it is."""
        # Asked with each message. To ask the loop takes finding it, at the cost of a system call.
        return time.monotonic()

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` at `when`; the timer is the event loop's own."""
        return asyncio.get_running_loop().call_at(when, callback)
