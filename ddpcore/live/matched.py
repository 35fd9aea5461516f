"""Observers that decide in memory what a change means: nothing is asked."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from ddpcore.live.document import Document, Step
from ddpcore.live.index import RowIndex
from ddpcore.live.observer import FAILURES, Observer, Surroundings
from ddpcore.live.predicate import Predicate, Row, Undecided
from ddpcore.live.query import KeyQuery, Link, MatchedQuery, RowQuery, in_order
from ddpcore.live.snapshot import Found, Snapshot

__all__ = [
    "KeyObserver",
    "KeyStep",
    "LinkChange",
    "MatchedObserver",
    "Reading",
    "RowChange",
    "RowObserver",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Reading(NamedTuple):
    """When the database was asked: the crossbar's ticks before the question and after the answer.

    Two answers of a database without snapshots can only be told apart by these.
    """

    began: int
    ended: int
    snapshot: Snapshot | None


class RowChange:
    """A row, as it is after a change.

    Attributes:
        number: The event's.
        topic: The table's.
        key: The row's.
        row: Its values; None: it is gone.
        seen: As of when: the number of the writing transaction, or when it was read.
        since: If it was read: the first transaction of which it may be the result, if that is
            known. What the row was like between that and the reading is not told.
        is_new: Whether it has just been made: nothing can refer to it yet.
    """

    __slots__ = ("_made", "_steps", "is_new", "key", "number", "row", "seen", "since", "topic")

    def __init__(
        self,
        number: int,
        topic: str,
        key: str,
        row: Row | None,
        seen: int | Reading,
        *,
        since: int | None = None,
        is_new: bool = False,
    ) -> None:
        self.number = number
        self.topic = topic
        self.key = key
        self.row = row
        self.seen = seen
        self.since = since
        self.is_new = is_new
        self._made: dict[Hashable, Any] = {}
        self._steps: dict[tuple[int, int], Step] = {}

    def document(self, query: MatchedQuery, row: Row) -> Document:
        """The row's document, one for all queries that make the same of it.

        Raises:
            Undecided: The row does not tell all that the document needs.
        """
        made: Document | None = self._made.get(query.maker)
        if made is None:
            made = self._made[query.maker] = query.item(self.key, row)
        return made

    def step(self, before: Document | None, after: Document | None) -> Step:
        """The step between two documents, one for all who take it: its frame is made once."""
        which = (id(before), id(after))
        step = self._steps.get(which)
        if step is None:
            step = self._steps[which] = Step(before, after)
        return step


class LinkChange(NamedTuple):
    """A row was linked with another one, or is no longer: a field that lists keys changes.

    Attributes:
        number: The event's.
        link: Which field.
        key: The row's.
        far: The key that is listed, or is no longer.
        is_new: Whether the link is new; else it is gone.
        seen: The number of the writing transaction.
        was_read: Whether the row was read as it was then or later: what has become of it until then
            is not told, so what is held of it is too old for the link.
    """

    number: int
    link: Link
    key: str
    far: str
    is_new: bool
    seen: int
    was_read: bool


class RowObserver(Observer[T], Generic[T]):
    """Keeps the rows of one table that meet a condition.

    It asks the database for the first result, and again whenever something may have been missed
    or a set of related keys has changed. Changes that come meanwhile wait; those that the answer
    shows already are dropped. So nothing is lost, taken twice, or taken in a wrong order.
    """

    def __init__(
        self,
        around: Surroundings,
        name: str,
        query: RowQuery,
        index: RowIndex[Any],
        related: Callable[[KeyQuery, RowObserver[Any]], KeyObserver],
    ) -> None:
        super().__init__(around, name)
        self.query = query
        self.key = query.key
        self.topics = frozenset((query.table.topic, *(link.topic for link in self.links)))
        self._index = index
        self._related: list[KeyObserver] = []

        def resolve(keys: KeyQuery) -> KeyObserver:
            observer = related(keys, self)
            self._related.append(observer)
            return observer

        self.predicate: Predicate = query.predicate.bound(resolve)
        self._read: Reading | None = None  # what the result rests on
        self._synchronising = True
        self._missed: int | None = 0  # the first event that the next answer is asked for
        self._waiting: list[tuple[Callable[[Any], None], RowChange | LinkChange]] = []
        self._task: asyncio.Task[None] | None = None
        self._answered = -math.inf
        self._stopped = False
        index.enter(self, None, ())

    @property
    def links(self) -> tuple[Link, ...]:
        """The parts of its items that are in other tables."""
        return ()

    @property
    def related(self) -> list[KeyObserver]:
        """The key sets that the condition needs."""
        return self._related

    async def start(self) -> None:
        """Ask for the first result."""
        await self._ask()

    def started(self) -> None:
        """Ask again if something was missed meanwhile."""
        if self._missed is not None:
            self._go_on()

    def stop(self) -> None:
        """Ask nothing more, hear nothing more."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            self._task = None  # itself it may not come to say so: if it has not begun
        self._index.remove(self, self.items)

    @property
    def stuck(self) -> bool:
        """See `Observer.stuck`; related keys count."""
        return super().stuck or any(keys.stuck for keys in self._related)

    def lags(self, number: int) -> bool:
        """See `Observer.lags`; related keys count."""
        return super().lags(number) or any(keys.lags(number) for keys in self._related)

    @property
    def asking(self) -> bool:
        """Whether the result is known to be old, and asked for again."""
        return self._task is not None

    async def current(self) -> None:
        """Return once it is not, or nobody watches any more."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def missed(self, number: int) -> None:
        """Something is not known any more: ask for the whole result."""
        if self._stopped:
            return
        self._missed = number if self._missed is None else min(self._missed, number)
        self.behind = number if self.behind is None else min(self.behind, number)
        if not self._synchronising:
            self._synchronising = True
            self._index.enter(self, None, self.items)
            self._go_on()

    def _go_on(self) -> None:
        if self._task is None and not self._stopped:  # else it has not come to its end
            self._task = self.around.spawn(self._again())

    async def _again(self) -> None:
        try:
            while self._missed is not None and not self._stopped:
                early = self._answered + self.query.interval - asyncio.get_running_loop().time()
                if early > 0:
                    await asyncio.sleep(early)
                try:
                    await self._ask()
                except FAILURES as problem:
                    await self.pause_after(problem)
        finally:
            self._task = None

    async def _ask(self) -> None:
        # Changes are not to be judged by sets of keys that are older than the result.
        while busy := [keys for keys in self._related if keys.asking]:
            await busy[0].current()
        missed, self._missed = self._missed, None
        began = self.around.tick()
        asked = asyncio.get_running_loop().time()
        try:
            found = await self.query.fetch()
        except BaseException:
            self._missed = missed
            raise
        if self._stopped:
            return
        snapshot = found.snapshot if isinstance(found, Found) else None
        self._read = Reading(began, self.around.tick(), snapshot)
        self._answered = asyncio.get_running_loop().time()
        self.around.answered(self, self._answered - asked)
        self._replace(dict(found))
        self.failures = 0
        self._catch_up()
        self.around.settle()

    def _catch_up(self) -> None:
        if self._stopped:  # a watcher took the result, and was the last to leave
            return
        waiting = [each for each in self._waiting if not self._shown(each[1].seen)]
        if self._missed is not None:
            # The answer is no longer the last word; but what it shows, nobody has to wait for.
            self._waiting = waiting
            self.behind = min([self._missed, *(change.number for _, change in waiting)])
            return
        self._synchronising = False
        entries = self._index.least_crowded(self.predicate.alternatives())
        self._index.enter(self, entries, self.items)
        self.behind = None
        self._waiting = []
        for take, change in waiting:
            take(change)

    def _replace(self, found: dict[str, T]) -> None:
        for key in [key for key in self.items if key not in found]:
            self._take(key, self.step(self.items[key], None))
        for key, item in found.items():
            self._take(key, self.step(self.items.get(key), item))

    def change(self, change: RowChange) -> None:
        """A row is not as it was."""
        if self._related and self._keys_differ_from(change.seen):
            self._unsure(change)
            return
        if self._stopped:
            return
        if self._synchronising:
            self._put_off(self.change, change)
            return
        shown = self._shown(change.seen)
        if shown:
            return
        if shown is None:
            self.around.ask_again(change.number, change.topic, change.key)
            return
        held = self.items.get(change.key)
        try:
            item = None
            if change.row is not None and self.predicate(change.row) is True:
                item = self._item(change, change.row)
            if held is None and item is None:
                return
            step = self._step(change, held, item)
        except Undecided:
            self.missed(change.number)
        except Exception:
            logger.exception("%s cannot be decided in memory: the database is asked", self.name)
            self.missed(change.number)
        else:
            self._take(change.key, step)

    def _put_off(self, take: Callable[[Any], None], change: RowChange | LinkChange) -> None:
        """Take a change when the answer is there: it may tell what was before that."""
        self._waiting.append((take, change))
        # Rows that were read anew come late: after the event that made the observer ask.
        if self.behind is not None and change.number < self.behind:
            self.behind = change.number

    def _keys_differ_from(self, seen: int | Reading) -> bool:
        return any(keys.differs_from(seen) for keys in self._related)

    def _unsure(self, change: RowChange) -> None:
        """A row is not as it was, and the sets of keys are not to judge it."""
        if self._stopped:
            return
        if self._synchronising:
            self._put_off(self._unsure, change)
        elif not self._shown(change.seen):
            self.missed(change.number)

    def _shown(self, seen: int | Reading) -> bool | None:
        """Whether the result rests on something newer; None: that cannot be told."""
        mine = self._read
        assert mine is not None, "there is a first result"
        if isinstance(seen, int):
            return None if mine.snapshot is None else mine.snapshot.sees(seen)
        if mine.snapshot is not None and seen.snapshot is not None:
            return mine.snapshot.covers(seen.snapshot)
        if seen.ended <= mine.began:
            return True
        return False if mine.ended <= seen.began else None

    def may_rest_between(self, since: int | None, reading: Reading) -> bool:
        """Whether the result may be newer than `since` began, and older than `reading`."""
        mine = self._read
        if mine is None or self._synchronising:
            return True
        if since is not None and mine.snapshot is not None and not mine.snapshot.sees(since):
            return False
        return self._shown(reading) is not True

    def _item(self, change: RowChange, row: Row) -> Any:
        return self.query.item(change.key, row)

    def _step(self, change: RowChange, before: T | None, after: T | None) -> Any:  # noqa: ARG002
        return self.step(before, after)

    def _take(self, key: str, step: Any) -> None:
        if step is None:
            return
        self.turn_to()
        if self._stopped:
            return
        if step.after is None:
            self._index.drop(key, self)
        else:
            self._index.hold(key, self)
        self.take(key, step)


class MatchedObserver(RowObserver[Document]):
    """The result of a matched query: documents."""

    kind = "matched"

    query: MatchedQuery

    @property
    def links(self) -> tuple[Link, ...]:
        """The fields that list keys out of other tables."""
        return self.query.links

    def must_ask(self, change: RowChange) -> bool:
        """Whether a document that lists keys cannot be made of the row as it is told."""
        if not self.links or self._stopped or self._synchronising:
            return False
        if self._shown(change.seen) is not False:
            return False
        if self._related and self._keys_differ_from(change.seen):
            return True
        try:
            if change.row is not None and self.predicate(change.row) is True:
                self._item(change, change.row)
        except Undecided:
            return True
        except Exception:
            return False  # it is said when the row is taken
        return False

    def linked(self, change: LinkChange) -> None:
        """A row has a link more or less."""
        if self._stopped:
            return
        if self._synchronising:
            self._put_off(self.linked, change)
            return
        held = self.items.get(change.key)
        shown = self._shown(change.seen)
        if held is None or shown:
            return
        keys = held.value_of(change.link.field)
        is_old = change.was_read or self._keys_differ_from(change.seen)
        is_unknown = not change.is_new and change.far not in keys
        if shown is None or is_old or is_unknown:
            self.missed(change.number)
            return
        if change.is_new:
            keys.append(change.far)
        else:
            keys.remove(change.far)
        document = held.updated({change.link.field: in_order(keys)})
        self._take(change.key, self.step(held, document))

    def _item(self, change: RowChange, row: Row) -> Document:
        document = change.document(self.query, row)
        if not self.links:
            return document
        held = self.items.get(change.key)
        if held is not None and not isinstance(change.seen, Reading):
            links = {name: held.fragments[name] for _, _, _, name in self.links}
            return document.joined(Document(document.collection, document.id, links))
        if not change.is_new:  # what was read may also be newer than the links that are known
            raise Undecided(f"the links of {change.key}")
        return document.updated({name: [] for _, _, _, name in self.links})

    def _step(self, change: RowChange, before: Document | None, after: Document | None) -> Any:
        step = change.step(before, after)
        return step if step.frame is not None else None


class KeyStep(NamedTuple):
    """A row's key came or went, or is another one now."""

    before: Hashable | None
    after: Hashable | None


class KeyObserver(RowObserver[Hashable]):
    """The keys of rows that meet a condition: a set for predicates on the rows that refer to them.

    Attributes:
        dependents: Whose conditions need the set; they ask for their results again if it changes.
    """

    kind = "keys"

    def __init__(
        self,
        around: Surroundings,
        query: KeyQuery,
        index: RowIndex[Any],
        related: Callable[[KeyQuery, RowObserver[Any]], KeyObserver],
    ) -> None:
        super().__init__(around, query.table.topic, query, index, related)
        self._keys: dict[Hashable, int] = {}  # how many rows have it: for a moment it may be two
        self._at = 0  # the event that is being dealt with
        self.dependents: dict[RowObserver[Any], None] = {}

    def __contains__(self, value: object) -> bool:
        return value in self._keys

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def watched(self) -> bool:
        """See `Observer.watched`; dependents count."""
        return bool(self.dependents) or super().watched

    def differs_from(self, seen: int | Reading) -> bool:
        """Whether the set may be of another time than a row: older, or newer."""
        return (
            isinstance(seen, Reading)
            or self.around.was_read(self.query.table.topic, seen)
            or self._keys_differ_from(seen)
        )

    def missed(self, number: int) -> None:
        """See `RowObserver.missed`; who depends on the set must not go by it until then."""
        self._at = number
        super().missed(number)
        for dependent in list(self.dependents):
            dependent.missed(number)

    def change(self, change: RowChange) -> None:
        """A row is not as it was."""
        self._at = change.number
        super().change(change)

    def skipped(self, change: RowChange) -> None:
        """A row was read, and may have had its key in the set for a while, or not.

        Who depends on the set may have asked at that time, and is not told if it is as before.
        """
        assert isinstance(change.seen, Reading)
        for dependent in list(self.dependents):
            if dependent.may_rest_between(change.since, change.seen):
                dependent.missed(change.number)

    def step(self, before: Hashable | None, after: Hashable | None) -> Any:
        """The step, if there is a difference."""
        return KeyStep(before, after) if before != after else None

    def take(self, key: str, step: Any) -> None:
        """Change the set, then tell."""
        if step.before is not None:
            self._keys[step.before] -= 1
            if not self._keys[step.before]:
                del self._keys[step.before]
        if step.after is not None:
            self._keys[step.after] = self._keys.get(step.after, 0) + 1
        super().take(key, step)
        # An answer stands for all events that it was waited for.
        number = self._at if self.behind is None else self.behind
        for dependent in list(self.dependents):
            dependent.missed(number)
