"""An observer keeps the result of one distinct query, for all who watch it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ddpcore.bus import BusEvent, Change
from ddpcore.live.document import Document, Step
from ddpcore.live.query import LiveQuery

__all__ = ["ObserveHandle", "Observer", "Pending"]

logger = logging.getLogger(__name__)


class Pending(NamedTuple):
    """An event that an observer has yet to look into; `number` orders events of all topics."""

    number: int
    event: BusEvent


class ObserveHandle:
    """One watcher of an observer; `take` gets each step, in order, on the event loop."""

    __slots__ = ("observer", "take")

    def __init__(self, observer: Observer, take: Callable[[Step], None]) -> None:
        self.observer = observer
        self.take = take


class Observer:
    """The current result of a query, and those who watch it.

    Attributes:
        documents: The result: row key → document.
        initialised: Done once the first result is there, or could not be had.
        handles: The watchers, in order of arrival.
        waiting: How many are about to watch; they keep the observer alive as well.
        pending: The events not yet looked into, oldest first.
        failures: How often in a row the database could not be asked.
    """

    def __init__(self, query: LiveQuery) -> None:
        self.query = query
        self.documents: dict[str, Document] = {}
        self.initialised: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.handles: dict[ObserveHandle, None] = {}
        self.waiting = 0
        self.pending: list[Pending] = []
        self.failures = 0

    async def start(self) -> None:
        """Ask for the first result."""
        self.documents = dict(await self.query.fetch())

    async def ask(self, events: list[Pending]) -> list[tuple[int, str, Step]]:
        """Ask the database what `events` did to the result.

        Returns:
            The steps that show, each with the number of its event and its row key. They are not
            taken yet.
        """
        steps = await self._steps(events)
        # Where a document is the same to the last field, everybody keeps the version they have.
        # Frames are made here and not while steps are taken, which must not fail half-way.
        return [each for each in steps if each[2].frame is not None]

    async def _steps(self, events: list[Pending]) -> list[tuple[int, str, Step]]:
        rows: dict[str, int] = {}
        everything: int | None = None
        for number, event in events:
            row = self.query.row_of(event) if isinstance(event, Change) else None
            if row is None:
                everything = number
            else:
                # Last mention wins: only then had the row the value that is read now.
                rows.pop(row, None)
                rows[row] = number
        if everything is not None:
            found = await self.query.fetch()
            steps = self._difference(found)
            # A row that was named takes its step where it was named, so that the changes of one
            # transaction keep their order.
            return [(rows.get(key, everything), key, step) for key, step in steps.items()]
        found = await self.query.fetch_rows(rows)
        return [
            (number, key, Step(before, after))
            for key, number in rows.items()
            for before, after in ((self.documents.get(key), found.get(key)),)
            if before is not None or after is not None
        ]

    def _difference(self, found: Mapping[str, Document]) -> dict[str, Step]:
        steps = {
            key: Step(document, None)
            for key, document in self.documents.items()
            if key not in found
        }
        for key, document in found.items():
            steps[key] = Step(self.documents.get(key), document)
        return steps

    def take(self, key: str, step: Step) -> None:
        """Take one step and pass it on to all who watch."""
        if step.after is None:
            self.documents.pop(key, None)
        else:
            self.documents[key] = step.after
        for handle in list(self.handles):
            try:
                handle.take(step)
            except Exception:
                logger.exception("A watcher of %s failed", self.query.collection)
