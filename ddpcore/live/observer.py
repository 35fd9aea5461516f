"""An observer keeps the result of one distinct query, for all who watch it."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from ddpcore.live.document import Document, Step
from ddpcore.wire.frame import Frame

__all__ = [
    "FAILURES",
    "Caller",
    "ObserveHandle",
    "Observer",
    "Surroundings",
    "Telling",
    "Watcher",
    "was_cancelled",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")

FAILURES = (Exception, asyncio.CancelledError)
"""How a question to the database may end; see `Observer.pause_after`."""

# After a failed question to the database: seconds until the next try, doubling up to the cap.
RETRY_FIRST, RETRY_MOST = 0.1, 5.0

NEWCOMERS = 5.0
"""Seconds that the frames of a whole result are kept after they were made for a new watcher.
Watchers come in crowds, when a server restarts or a page is opened by a class; afterwards the
frames would only double what the documents take."""


class Surroundings(Protocol):
    """What an observer needs of the crossbar."""

    number: int
    work: int
    telling: Telling | None

    def tick(self) -> int:
        """The next of ever larger numbers: tells what was asked before what."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run in a task that ends with the crossbar."""

    def settle(self) -> None:
        """Look who need not wait any more."""

    def answered(self, observer: Observer[Any], seconds: float) -> None:
        """The database has answered a question of an observer."""

    def was_read(self, topic: str, xid: int) -> bool:
        """Whether rows of a topic were read as they were after this transaction or later."""

    def ask_again(self, number: int, topic: str, key: str) -> None:
        """Read a row anew for this event: what was read may be older than what is known."""


class Watcher(Protocol):
    """Who takes the steps of an observer, in order, on the event loop."""

    def take(self, step: Any) -> None:
        """Take a step."""

    @staticmethod
    def take_together(watchers: Sequence[Any], steps: Sequence[Any], frames: list[Frame]) -> None:
        """Let watchers of this kind take steps, whose frames are these; one's failure is its own.

        A crowd is told by one call: the more so as each of them has little to do.
        """

    def leave(self) -> None:
        """Take nothing any more, not even what the others are being told."""


class Caller:
    """A watcher that calls a function."""

    __slots__ = ("take",)

    def __init__(self, take: Callable[[Any], None]) -> None:
        self.take = take

    @staticmethod
    def take_together(
        watchers: Sequence[Caller],
        steps: Sequence[Any],
        frames: list[Frame],  # noqa: ARG004
    ) -> None:
        """See `Watcher`."""
        for watcher in watchers:
            for step in steps:
                try:
                    watcher.take(step)
                except Exception:
                    logger.exception("A watcher failed")

    def leave(self) -> None:
        """Call nobody any more."""
        self.take = _nothing


class Telling:
    """Steps that an observer has taken and not passed on yet, while changes are dealt with.

    What a turn brings for one query is passed on together. Before another observer takes a step
    it is passed on, so that watchers see all steps in their order, and no result but this one is
    ever ahead of what was told of it.
    """

    __slots__ = ("observer", "steps")

    def __init__(self) -> None:
        self.observer: Observer[Any] | None = None
        self.steps: list[Any] = []

    def of(self, observer: Observer[Any]) -> list[Any]:
        """Where this observer's steps are gathered from now on."""
        if self.observer is not observer:
            self.now()
            self.observer = observer
        return self.steps

    def now(self) -> None:
        """Pass on what there is."""
        observer, self.observer = self.observer, None
        steps, self.steps = self.steps, []
        if observer is not None and steps:
            observer.tell(steps)


class ObserveHandle:
    """One watcher of an observer."""

    __slots__ = ("observer", "watcher")

    def __init__(self, observer: Observer[Any], watcher: Watcher) -> None:
        self.observer = observer
        self.watcher = watcher

    def leave(self) -> None:
        """Watch no longer. Idempotent."""
        self.observer.handles.pop(self, None)
        self.observer.crowds = None
        self.watcher.leave()


def _nothing(_step: Any) -> None:
    pass


class Observer(ABC, Generic[T]):
    """The current result of a query, and those who watch it; the crossbar makes one for each.

    Attributes:
        around: The crossbar.
        name: What logs call it: for queries the name of their collection.
        key: The query's.
        topics: What it wants to hear of.
        items: The result: row key → document, or whatever it holds of a row.
        initialised: Done once the first result is there, or could not be had.
        asked: Whether the first result has been asked for: it may lack what is committed now.
        handles: The watchers, in order of arrival.
        crowds: The same by their kinds, to go through quickly; None: to be made.
        waiting: How many are about to watch; they keep the observer alive as well.
        behind: The number of the oldest event that is not dealt with, if there is one.
        failures: How often in a row the database could not be asked.
        kind: How it is kept current: ``"matched"``, ``"keys"`` (a set of related rows that matched
            queries go by) or ``"polled"``.
        asks: How often the database has answered it.
        asking_seconds: How long this took, all together.
    """

    kind: ClassVar[str]
    key: Hashable
    topics: frozenset[str]

    def __init__(self, around: Surroundings, name: str) -> None:
        self.around = around
        self.name = name
        self.items: dict[str, T] = {}
        self.initialised: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked = False
        self.handles: dict[ObserveHandle, None] = {}
        self.crowds: list[tuple[Any, list[Watcher]]] | None = None
        self._firsts: dict[str, Any] | None = None  # the first steps of new watchers
        self._firsts_used = False
        self._firsts_timer: asyncio.TimerHandle | None = None
        self.waiting = 0
        self.behind: int | None = None
        self.failures = 0
        self.asks = 0
        self.asking_seconds = 0.0

    @abstractmethod
    async def start(self) -> None:
        """Ask for the first result. All topics are listened to already."""

    def started(self) -> None:
        """The first result is there, and whoever waits for it knows."""

    def stop(self) -> None:
        """Nobody watches any more."""

    @property
    def watched(self) -> bool:
        """Whether anybody needs it."""
        return bool(self.handles or self.waiting)

    @property
    def stuck(self) -> bool:
        """Whether the database cannot be asked at present: fences do not wait for it."""
        return bool(self.failures)

    def lags(self, number: int) -> bool:
        """Whether an event up to this number is yet to be dealt with."""
        return self.behind is not None and self.behind <= number

    def step(self, before: T | None, after: T | None) -> Any:
        """The step from one state of a row to the next; None if it would not show."""
        step = Step(_document(before), _document(after))
        return step if step.frame is not None else None

    def take(self, key: str, step: Any) -> None:
        """Take one step and pass it on to all who watch."""
        gathered = self.turn_to()
        if step.after is None:
            self.items.pop(key, None)
        else:
            self.items[key] = step.after
        if self._firsts is not None:
            self._firsts.pop(key, None)
        self.around.work += len(self.handles)
        if gathered is None:
            self.tell([step])
        else:
            gathered.append(step)

    def turn_to(self) -> list[Any] | None:
        """Let all other steps be passed on first; where this observer's are gathered, if they are.

        Who is told may be the last watcher of this observer, and leave it.
        """
        telling = self.around.telling
        return None if telling is None else telling.of(self)

    def tell(self, steps: Sequence[Any]) -> None:
        """Pass steps on that were taken."""
        crowds = self.crowds
        if crowds is None:
            crowds = self.crowds = self._by_kind()
        if crowds:
            frames = [step.frame for step in steps if step.frame is not None]
            for take_together, watchers in crowds:
                take_together(watchers, steps, frames)

    def _by_kind(self) -> list[tuple[Any, list[Watcher]]]:
        kinds: dict[Any, list[Watcher]] = {}
        for handle in self.handles:
            kinds.setdefault(type(handle.watcher).take_together, []).append(handle.watcher)
        return list(kinds.items())

    def watch(self, watcher: Watcher | Callable[[Any], None]) -> ObserveHandle:
        """Let `watcher` have each step from now on."""
        handle = ObserveHandle(self, Caller(watcher) if callable(watcher) else watcher)
        self.handles[handle] = None
        self.crowds = None
        return handle

    async def pause_after(self, problem: BaseException) -> None:
        """Note that the database could not be asked, and wait before the next try.

        Raises:
            asyncio.CancelledError: It is the task itself that was cancelled.
        """
        if was_cancelled(problem):
            raise problem
        self.failures += 1
        delay = min(RETRY_FIRST * 2 ** (self.failures - 1), RETRY_MOST)
        logger.warning(
            "Could not ask the database for %s, trying again in %.1f s: %s",
            self.name,
            delay,
            str(problem) or type(problem).__name__,
        )
        self.around.settle()
        await asyncio.sleep(delay)

    def first(self) -> list[Any]:
        """The steps that bring a new watcher to the current result, the same for all of them."""
        firsts = self._firsts
        if firsts is None:
            firsts = self._firsts = {}
            self._keep_firsts()
        self._firsts_used = True
        for key, item in self.items.items():
            if key not in firsts:
                firsts[key] = self.step(None, item)
        return [firsts[key] for key in self.items]

    def _keep_firsts(self) -> None:
        self._firsts_used = False
        loop = asyncio.get_running_loop()
        self._firsts_timer = loop.call_later(NEWCOMERS, self._look_at_firsts)

    def _look_at_firsts(self) -> None:
        if self._firsts_used:
            self._keep_firsts()
        else:
            self.forget_firsts()

    def forget_firsts(self) -> None:
        """Keep no frames for new watchers."""
        self._firsts = None
        if self._firsts_timer is not None:
            self._firsts_timer.cancel()
            self._firsts_timer = None


def was_cancelled(problem: BaseException) -> bool:
    """Whether it is the present task that was cancelled, and not just what it asked for."""
    task = asyncio.current_task()
    is_cancelled = isinstance(problem, asyncio.CancelledError)
    return is_cancelled and task is not None and task.cancelling() > 0


def _document(item: object) -> Document | None:
    assert item is None or isinstance(item, Document)
    return item
