"""The flusher: what all clients are to be sent leaves at the end of a turn of the event loop.

So the frames that a turn makes for a client leave together, and no client costs a callback of its
own. A turn sends so much and no more; who is left over goes on in the next, after whatever came
in meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ddpcore.session.outbox import Traffic

if TYPE_CHECKING:
    from ddpcore.server.runtime import SessionRuntime

__all__ = ["Flusher"]

logger = logging.getLogger(__name__)

TURN = 1024 * 1024
"""Bytes that leave in one turn, of all clients: a millisecond or two of work."""

LEAST = 1024
"""What a client counts at least: a send of few bytes costs as much as one of a thousand."""


class Flusher:
    """Sends what the sessions have that ask for it.

    Args:
        traffic: Where it is counted.
    """

    __slots__ = ("_traffic", "_waiting")

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._waiting: list[SessionRuntime] = []

    def add(self, session: SessionRuntime) -> None:
        """Send what this one has, at the end of the turn."""
        waiting = self._waiting
        waiting.append(session)
        if len(waiting) == 1:
            asyncio.get_running_loop().call_soon(self._turn)

    def flush(self, session: SessionRuntime) -> None:
        """Send what this one has, now."""
        self._send([session])

    def _turn(self) -> None:
        waiting, self._waiting = self._waiting, []
        if rest := self._send(waiting):
            if not self._waiting:
                asyncio.get_running_loop().call_soon(self._turn)
            self._waiting[:0] = rest  # before those that have had their turn

    def _send(self, sessions: list[SessionRuntime]) -> list[SessionRuntime]:
        """Send a slice of each; those that are left over."""
        frames = size = cost = done = 0
        for session in sessions:
            done += 1
            outbox = session.machine.outbox
            flowing = outbox.flowing
            try:
                taken = outbox.take()
                if not taken:
                    continue
                frames += len(taken)
                its = outbox.size
                size += its
                cost += max(its, LEAST)
                session.transport.send(taken)
                if not flowing:
                    session.machine.taken()
            except Exception:
                logger.exception("A client could not be sent what waits for it")
                session.fail()
            if not outbox.flowing and outbox.pending:
                self.add(session)
            if cost >= TURN:
                break
        self._traffic.frames += frames
        self._traffic.bytes += size
        return sessions[done:]
