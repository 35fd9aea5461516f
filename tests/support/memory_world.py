"""A crossbar over a database in memory, and watchers that know what they may be shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

from memory_client import turns
from memory_database import MemoryDatabase, Rows

from ddpcore import Document
from ddpcore.live.crossbar import Crossbar
from ddpcore.live.document import Step

EVERYTHING = ("constant", True)


class Watcher:
    """Holds what it was told, and complains of what never was.

    For each row the states that it is shown must be states that there were, in that order. An
    exact watcher also holds, after each turn of the loop, a result that there was, as a whole.
    """

    def __init__(
        self,
        database: MemoryDatabase,
        query: Rows,
        log: list[Any] | None = None,
        exact: bool = False,
    ) -> None:
        self.database = database
        self.query = query
        self.exact = exact
        self.log: list[Any] = [] if log is None else log
        self.documents: dict[str, Document] = {}
        self.complaints: list[str] = []
        self.handle: Any = None
        self.during: Callable[[], Any] = lambda: None
        self._since = len(database.points) - 1
        self._reached: dict[str, int] = {}
        self._reached_by_all = self._since
        self._changed: set[str] = set()
        self._expected: list[dict[str, Any]] = []

    def take(self, step: Step) -> None:
        document = step.document
        if self.documents.get(document.id) is not step.before:
            self.complaints.append(f"{step} does not follow {self.documents.get(document.id)}")
        if step.frame is None:
            self.complaints.append(f"{step} would not show")
        if step.after is None:
            del self.documents[document.id]
        else:
            self.documents[document.id] = step.after
        fields = None if step.after is None else step.after.fields
        self.log.append((document.collection, document.id, fields and fields.get("version")))
        if not self._changed:
            asyncio.get_running_loop().call_soon(self._look)
        self._changed.add(document.id)
        if not (self.database.whole and self.query.links):  # links change one by one
            self._reach(document.id, 0)
        self.during()

    def _look(self) -> None:
        for key in self._changed:
            self._reach(key, 0)
        self._changed.clear()
        if self.exact:
            self._reach_all(0)

    def _reach_all(self, least: int) -> None:
        shown = self.shown
        at = max(self._reached_by_all, least)
        while at < len(self.database.points):
            if self._at(at) == shown:
                self._reached_by_all = at
                return
            at += 1
        self.complaints.append(f"{self.query.key}: {shown} was not so at or after {least}")

    def _reach(self, key: str, least: int) -> None:
        document = self.documents.get(key)
        shown = None if document is None else document.fields
        at = max(self._reached.get(key, self._since), least)
        while at < len(self.database.points):
            if self._at(at).get(key) == shown:
                self._reached[key] = at
                return
            at += 1
        self.complaints.append(f"{self.query.key}: {key} {shown} was not so at or after {at}")

    def _at(self, point: int) -> dict[str, Any]:
        for each in self.database.points[len(self._expected) : point + 1]:
            self._expected.append(self.query.expected(each))
        return self._expected[point]

    def settle_up(self, point: int) -> None:
        """All that there was up to a point must have been shown, or something later."""
        for key in {key for topic, key in self.database.state} | set(self.documents):
            self._reach(key, point)
        if self.exact:
            self._reach_all(point)

    @property
    def shown(self) -> dict[str, Any]:
        return {key: document.fields for key, document in self.documents.items()}

    @property
    def keys(self) -> set[str]:
        return set(self.documents)


class World:
    """A database, a crossbar over its bus, and as many watchers as wanted."""

    def __init__(
        self, flavour: Any = "snapshots", patience: float = 30.0, whole: bool = False
    ) -> None:
        self.database = MemoryDatabase(flavour, whole)
        self.bus = self.database.bus
        self.crossbar = Crossbar(self.bus, patience=patience)
        self.watchers: list[Watcher] = []

    async def __aenter__(self) -> Self:
        await self.bus.start(self.crossbar.deliver)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.crossbar.stop()
        await self.bus.stop()

    async def watch(
        self,
        topic: str,
        condition: Any = EVERYTHING,
        log: Any = None,
        exact: bool = False,
        **options: Any,
    ) -> Watcher:
        query = Rows(self.database, topic, condition, **options)
        watcher = Watcher(self.database, query, log, exact)
        [watcher.handle] = await self.crossbar.observe([(query, watcher.take)])
        self.watchers.append(watcher)
        return watcher

    def watching(self, *args: Any, **options: Any) -> asyncio.Task[Watcher]:
        return asyncio.ensure_future(self.watch(*args, **options))

    def release(self, watcher: Watcher) -> None:
        self.watchers.remove(watcher)
        self.crossbar.release(watcher.handle)

    async def fence(self) -> None:
        """A fence, and what it promises."""
        point, failures = self.database.commits[-1], self.database.failures
        watchers = [each for each in self.watchers if not each.handle.observer.stuck]
        await self.crossbar.fence()
        if self.database.failures == failures:  # else it need not have waited
            for watcher in watchers:
                if watcher in self.watchers:
                    watcher.settle_up(point)

    async def quiet(self) -> None:
        """Let everything happen that is under way, deliveries and answers included."""
        self.bus.prompt = self.database.prompt = True
        while True:
            self.bus.deliver()
            for question in list(self.database.questions):
                question.answer()
            await turns(30)
            if not self.bus.queue and not self.database.questions:
                break
        await self.fence()

    def check(self) -> None:
        """What must hold at any time."""
        for watcher in self.watchers:
            assert not watcher.complaints, watcher.complaints
        known = set(map(id, self.crossbar._observers.values()))
        for table in self.crossbar._tables.values():
            assert {id(observer) for observer in table.index} <= known
            assert {id(observer) for observer in table.keys} <= known
            for holders in table.index._holders.values():
                assert {id(observer) for observer in holders} <= known

    def check_quiet(self) -> None:
        """What must hold when nothing is under way: nobody keeps anything of what has been."""
        crossbar = self.crossbar
        assert (crossbar._queue, crossbar._waiting, crossbar._pump) == ([], [], None)
        for observer in crossbar._observers.values():
            assert (observer.behind, observer._missed, observer._waiting) == (None, None, [])
            assert not observer.asking

    def check_equal(self) -> None:
        for watcher in self.watchers:
            assert watcher.shown == watcher.query.expected(self.database.state)

    async def check_empty(self) -> None:
        for watcher in list(self.watchers):
            self.release(watcher)
        await turns(30)
        crossbar = self.crossbar
        assert (crossbar._observers, crossbar._tables, crossbar._polled) == ({}, {}, {})
        assert crossbar._linked == {}
        assert self.bus.listening == set()
        assert self.database.questions == []
        assert crossbar._tasks == set()
