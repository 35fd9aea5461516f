"""The flusher: what all clients are to be sent leaves at the end of a turn of the event loop.

So the frames that a turn makes for a client leave together, and no client costs a callback of its
own. A turn sends so much and no more; who is left over goes on in the next, after whatever came
in meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from ddpcore.hooks import Hears
from ddpcore.session.outbox import Traffic
from ddpcore.wire.frame import Frame

if TYPE_CHECKING:
    from ddpcore.server.runtime import SessionRuntime

__all__ = ["Flusher"]

logger = logging.getLogger(__name__)

TURN = 1024 * 1024
"""Bytes that leave in one turn, of all clients: a millisecond or two of work."""

BROKEN = "A client could not be sent what waits for it"

LEAST = 1024
"""What a client counts at least: a send of few bytes costs as much as one of a thousand."""


class Flusher:
    """Sends what the sessions have that ask for it.

    Args:
        traffic: Where it is counted.
        hears: Whether anybody listens to what is sent.
    """

    __slots__ = ("_hears", "_leaving", "_traffic", "_waiting")

    def __init__(self, traffic: Traffic, hears: Hears | None = None) -> None:
        self._traffic = traffic
        self._hears = hears or Hears()
        self._waiting: dict[SessionRuntime, None] = {}  # each once, in their order
        self._leaving: deque[tuple[SessionRuntime, list[Frame], bool]] = deque()

    def add(self, session: SessionRuntime) -> None:
        """Send what this one has, at the end of the turn."""
        waiting = self._waiting
        if not waiting:
            asyncio.get_running_loop().call_soon(self._turn)
        waiting[session] = None

    def flush(self, session: SessionRuntime) -> None:
        """Send what this one has, now."""
        self.depart()  # it may take no more after what was taken for it before
        self._send([session])

    def _turn(self) -> None:
        waiting, self._waiting = list(self._waiting), {}
        if rest := self._send(waiting):
            if not self._waiting:
                asyncio.get_running_loop().call_soon(self._turn)
            # Before those that have had their turn.
            self._waiting = dict.fromkeys(rest) | self._waiting

    def _send(self, sessions: list[SessionRuntime]) -> list[SessionRuntime]:
        """Send a slice of each; those that are left over."""
        # First all are asked, then all is sent: what one of them costs is mostly memory that is
        # not in the processor's caches, and each send drives out what is.
        traffic, leaving = self._traffic, self._leaving
        cost = done = 0
        for session in sessions:
            done += 1
            outbox = session.outbox
            flowing = outbox.flowing
            try:
                taken = outbox.take()
            except Exception:
                logger.exception(BROKEN)
                session.fail()
                continue
            if not taken:
                continue
            leaving.append((session, taken, not flowing))
            size = traffic.last_size
            traffic.frames += len(taken)
            traffic.bytes += size
            cost += max(size, LEAST)
            if self._hears.frames_sent:
                session.told_of("ddpcore_frames_sent", frames=len(taken), size=size)
            if not outbox.flowing and outbox.pending:
                self.add(session)
            if cost >= TURN:
                break
        self.depart()
        return sessions[done:]

    def depart(self) -> None:
        """Send what has been taken. What this sets off may call it, too."""
        leaving = self._leaving
        while leaving:
            session, taken, had_waited = leaving.popleft()
            try:
                session.transport.send(taken)
                if had_waited:
                    session.machine.taken()
            except Exception:
                logger.exception(BROKEN)
                session.fail()
