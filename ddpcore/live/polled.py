"""Observers that ask the database: for any query at all, and after each change that may matter."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from ddpcore.bus import BusEvent, Change, Gap
from ddpcore.live.document import Document, Step
from ddpcore.live.observer import FAILURES, Observer, Surroundings
from ddpcore.live.query import LiveQuery
from ddpcore.live.snapshot import Found, Snapshot

__all__ = ["Pending", "PolledObserver"]


class Pending(NamedTuple):
    """An event that is yet to be looked into; `number` orders events of all topics."""

    number: int
    event: BusEvent


class PolledObserver(Observer[Document]):
    """Runs its query again and takes the difference.

    Where a change can only affect its own row, just that row is asked for. Events that come while
    the database is asked are dealt with together afterwards; runs of the whole query keep the
    distance that it wants. Every observer asks on its own: a slow query delays no other.
    """

    kind = "polled"

    def __init__(self, around: Surroundings, query: LiveQuery) -> None:
        super().__init__(around, query.collection)
        self.key = query.key
        self.topics = query.topics
        self._query = query
        self._pending: list[Pending] = []
        self._snapshot: Snapshot | None = None
        self._running: asyncio.Task[None] | None = None
        self._ran = 0.0  # when the whole query was last answered

    async def start(self) -> None:
        """Ask for the first result."""
        self.items = dict(await self._fetch())

    def started(self) -> None:
        """Look into what came meanwhile."""
        self._wake()

    def stop(self) -> None:
        """Ask nothing more."""
        self._pending.clear()
        if self._running is not None:
            self._running.cancel()

    def notice(self, number: int, event: BusEvent) -> None:
        """Something changed."""
        if isinstance(event, Gap):
            self._snapshot = None  # the database may have been put back to an earlier state
        elif self._shows(event):
            return
        self._pending.append(Pending(number, event))
        if self.behind is None:
            self.behind = number
        self._wake()

    def _shows(self, change: Change) -> bool:
        snapshot, xid = self._snapshot, change.xid
        return snapshot is not None and xid is not None and snapshot.sees(xid)

    def _wake(self) -> None:
        if self._running is None and self._pending and self.initialised.done():
            self._running = self.around.spawn(self._run())

    async def _run(self) -> None:
        try:
            while self._pending:
                try:
                    await self._deal()
                except FAILURES as problem:
                    # What the lost events said no longer matters: everything is asked again.
                    self._pending = [Pending(self.around.number, Gap())]
                    await self.pause_after(problem)
                else:
                    self.failures = 0
                    self.behind = self._pending[0].number if self._pending else None
                    self.around.settle()
                    # Let the sockets have their turn, whatever the rate of changes.
                    await asyncio.sleep(0)
        finally:
            self._running = None

    async def _deal(self) -> None:
        if not self._by_row():
            loop = asyncio.get_running_loop()
            if (early := self._ran + self._query.interval - loop.time()) > 0:
                await asyncio.sleep(early)
        events = list(self._pending)
        steps = await self._steps(events)
        # Where a document is the same to the last field, everybody keeps the version they have.
        # Frames are made here and not while steps are taken, which must not fail half-way.
        steps = [each for each in steps if each[2].frame is not None]
        steps.sort(key=lambda each: each[0])
        for _number, key, step in steps:
            self.take(key, step)
        del self._pending[: len(events)]

    def _by_row(self) -> bool:
        return all(self._row_of(event) is not None for _, event in self._pending)

    def _row_of(self, event: BusEvent) -> str | None:
        return self._query.row_of(event) if isinstance(event, Change) else None

    async def _fetch(self) -> Mapping[str, Document]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await self._query.fetch()
        self._snapshot = found.snapshot if isinstance(found, Found) else None
        self._ran = loop.time()
        self.around.answered(self, self._ran - began)
        return found

    async def _steps(self, events: list[Pending]) -> list[tuple[int, str, Step]]:
        rows: dict[str, int] = {}
        everything: int | None = None
        for number, event in events:
            row = self._row_of(event)
            if row is None:
                everything = number
            else:
                # Last mention wins: only then had the row the value that is read now.
                rows.pop(row, None)
                rows[row] = number
        if everything is not None:
            steps = self._difference(await self._fetch())
            # A row that was named takes its step where it was named, so that the changes of one
            # transaction keep their order.
            return [(rows.get(key, everything), key, step) for key, step in steps.items()]
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await self._query.fetch_rows(rows)
        self.around.answered(self, loop.time() - began)
        return [
            (number, key, Step(before, after))
            for key, number in rows.items()
            for before, after in ((self.items.get(key), found.get(key)),)
            if before is not None or after is not None
        ]

    def _difference(self, found: Mapping[str, Document]) -> dict[str, Step]:
        steps = {
            key: Step(document, None) for key, document in self.items.items() if key not in found
        }
        for key, document in found.items():
            steps[key] = Step(self.items.get(key), document)
        return steps
