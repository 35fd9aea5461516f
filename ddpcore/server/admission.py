"""Admission: so many subscriptions begin in a turn of the event loop, the others wait in line.

When a thousand clients come at once, each costs a millisecond or so: a question, documents to be
made, frames to be sent. In one turn that would be a second in which nobody else is served. So a few
begin, their work is done along with what others have to do, and in the next turn a few more.
Nobody is refused, and all together take no longer.
"""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["A_TURN", "Admission"]

A_TURN = 4
"""Subscriptions that begin in one turn: some milliseconds of work, if each asks for a hundred
documents. Half of it would be half a percent of all the work more; a turn is not free either."""


class Admission:
    """Who may begin."""

    __slots__ = ("_begun", "_line")

    def __init__(self) -> None:
        self._begun = 0  # in this turn
        self._line: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Wait for one's turn: not at all, unless many have come at once."""
        loop = asyncio.get_running_loop()
        if self._begun < A_TURN:  # then nobody is in line
            if not self._begun:
                loop.call_soon(self._turn)
            self._begun += 1
            return
        place = loop.create_future()
        self._line.append(place)
        await place

    def _turn(self) -> None:
        self._begun = 0
        line = self._line
        while line and self._begun < A_TURN:
            place = line.popleft()
            if not place.done():  # else it was cancelled
                place.set_result(None)
                self._begun += 1
        if self._begun:
            asyncio.get_running_loop().call_soon(self._turn)
