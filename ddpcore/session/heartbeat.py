"""The heartbeat of one session: when to ping, and when to give up (Meteor 3.0.4, heartbeat.js)."""

from __future__ import annotations

from enum import Enum, auto

__all__ = ["Beat", "Heartbeat"]


class Beat(Enum):
    """What a tick asks for."""

    NOTHING = auto()
    PING = auto()
    DEAD = auto()


class Heartbeat:
    """Pings a silent peer at every interval; a ping without any answer in time means it is dead.

    Args:
        interval: Seconds between ticks; 0 means never to ping.
        timeout: Seconds to wait for any message after a ping.
        now: The clock, in seconds.
    """

    __slots__ = ("_give_up", "_interval", "_next", "_seen", "_timeout")

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._next = now + interval
        self._give_up: float | None = None
        self._seen = False

    @property
    def deadline(self) -> float | None:
        """When `tick` must be called next; None: never."""
        if not self._interval:
            return None
        return self._next if self._give_up is None else min(self._next, self._give_up)

    def seen(self) -> None:
        """A message came in, of any kind: the peer lives."""
        self._seen = True
        self._give_up = None

    def tick(self, now: float) -> Beat:
        """Look at the clock; early calls do no harm."""
        if not self._interval:
            return Beat.NOTHING
        if self._give_up is not None and now >= self._give_up:
            return Beat.DEAD
        if now < self._next:
            return Beat.NOTHING
        seen, self._seen = self._seen, False
        self._next = now + self._interval
        if seen or self._give_up is not None:
            return Beat.NOTHING
        self._give_up = now + self._timeout
        return Beat.PING
