"""The crossbar: which observers care about a change, and when they have dealt with it.

Events of the bus are numbered as they come. Observers that decide in memory get them one by one,
in that order, so a client sees the changes of a transaction in the order of its statements, also
across collections; only links come after all rows. Where an event does not tell the row, the row
is read once for all of them.
Observers that ask the database are only told that there is something to ask for.
"""

from __future__ import annotations

import asyncio
import bisect
import contextvars
import logging
import time
from collections.abc import Callable, Coroutine, Hashable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from ddpcore.bus import Bus, BusEvent, Change, Gap, Op
from ddpcore.errors import DDPError
from ddpcore.hooks import Hears
from ddpcore.live.document import Step
from ddpcore.live.events import Event, collapsed, transactions
from ddpcore.live.matched import (
    KeyObserver,
    MatchedObserver,
    Reading,
    RowChange,
    RowObserver,
)
from ddpcore.live.observer import (
    FAILURES,
    ObserveHandle,
    Observer,
    Telling,
    Watcher,
    was_cancelled,
)
from ddpcore.live.polled import PolledObserver
from ddpcore.live.predicate import Undecided
from ddpcore.live.query import KeyQuery, LiveQuery, MatchedQuery, Table
from ddpcore.live.watched import Rows, Wanted, WatchedTable

__all__ = ["Crossbar"]

logger = logging.getLogger(__name__)

Take = Callable[[Step], None]

MOST_WORK = 10_000
"""So much is done, in steps handed to watchers, before the sockets get their turn: some
milliseconds."""

MOST_WORK_WITHIN = 20_000
"""The same in the middle of a transaction, which is rather not shown in two halves."""

EVENT_WORK = 50
"""What an event costs beside the steps it makes, in the same measure: some forty microseconds."""

MOST_LOOKED_AT = 2_000
"""Events of which it is found out, before the sockets get their turn, whether rows must be read."""

MOST_TURNS = 10
"""So many turns of the loop the rest of a transaction may take to arrive."""

MOST_WAITING = 0.005
"""And so many seconds."""

PATIENCE = 30.0
"""Seconds that a fence waits for observers: then on without."""

READ_PATIENCE = 5.0
"""Seconds that changed rows may take to be read; then their observers ask for all, one by one."""


class Crossbar:
    """All observers of this process.

    Args:
        bus: Where changes come from.
        on_gap: Called at each `Gap`, before anything is asked again.
        patience: Seconds; see `PATIENCE`.
        hears: Which instruments anybody listens to.
        tell: Tells them: the name of a hook, and its arguments.

    Attributes:
        number: How many events have come.
        telling: While changes are dealt with: the steps that are yet to be passed on.
        work: How many steps have been handed to watchers since the loop had its turn.
    """

    def __init__(
        self,
        bus: Bus,
        on_gap: Callable[[], None] = lambda: None,
        patience: float = PATIENCE,
        *,
        hears: Hears | None = None,
        tell: Callable[..., None] = lambda _hook, **_what: None,
    ) -> None:
        self.bus = bus
        self.number = 0
        self.work = 0
        self.telling: Telling | None = None
        self._on_gap = on_gap
        self._hears = hears or Hears()
        self._tell_of = tell
        self._patience = patience
        self._observers: dict[Hashable, Observer[Any]] = {}
        self._tables: dict[str, WatchedTable] = {}
        self._polled: dict[str, dict[PolledObserver, None]] = {}
        self._linked: dict[str, dict[str, None]] = {}  # topic of links → of the rows they link
        self._listening: set[str] = set()
        self._listen_lock = asyncio.Lock()
        self._door = asyncio.Lock()
        self._queue: list[Event] = []
        self._at: int | None = None  # the oldest event that is being dealt with
        self._since: int | None = None  # the oldest of those that are dealt with as one
        self._ticks = 0
        self._waiting: list[_Waiter] = []
        self._pump: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        # What observers do is nobody's in particular: it must not run with the context variables
        # of the handler that happened to start it.
        self._context = contextvars.copy_context()

    @property
    def observers(self) -> int:
        """How many distinct queries are watched, sets of related keys included."""
        return len(self._observers)

    def watched(self) -> list[Observer[Any]]:
        """The observers of these queries."""
        return list(self._observers.values())

    # Watching

    async def observe(
        self, wanted: Sequence[tuple[LiveQuery, Watcher | Take]]
    ) -> list[ObserveHandle]:
        """Watch queries: each watcher gets the current result, then every step, in order.

        The first of equal queries asks the database; the others share its observer. What was
        committed before the call is in the result, also in a shared one, which catches up first.
        All results are handed out in the order given and in one turn of the loop.

        Raises:
            Exception: Whatever a query or the bus raised; nothing is watched then.
        """
        observers: list[Observer[Any]] = []
        handles: list[ObserveHandle] = []
        try:
            for query, _ in wanted:
                observers.append(self._hold(query))
            shared = [each for each in observers if each.asked]
            for observer in observers:
                await asyncio.shield(observer.initialised)
            if shared:
                await self._current(shared)
            await self._admit(sum(len(observer.items) for observer in observers))
            for observer, (_, watcher) in zip(observers, wanted, strict=True):
                handles.append(observer.watch(watcher))
            for handle in handles:
                for step in handle.observer.first():
                    handle.watcher.take(step)
        except BaseException:
            for handle in handles:
                handle.leave()
            raise
        finally:
            for observer in observers:
                observer.waiting -= 1
                self._discard_unwatched(observer)
        return handles

    async def _admit(self, documents: int) -> None:
        """Wait until so much can be handed to a new watcher, one after the other."""
        async with self._door:
            if self.work >= MOST_WORK:
                await self._turn()
            self.work += documents

    def release(self, handle: ObserveHandle) -> None:
        """Watch no longer. The last watcher's going frees the observer. Idempotent."""
        handle.leave()
        self._discard_unwatched(handle.observer)

    def _hold(self, query: LiveQuery) -> Observer[Any]:
        if self._stopped:
            raise DDPError("The server has stopped: nothing can be watched any more.")
        observer = self._observers.get(query.key)
        if observer is None:
            observer = self._make(query)
        observer.waiting += 1
        return observer

    def _make(self, query: LiveQuery) -> Observer[Any]:
        observer: Observer[Any]
        if isinstance(query, MatchedQuery):
            index = self._table(query.table).index
            matched = MatchedObserver(self, query.collection, query, index, self._related)
            for link in query.links:
                self._tables[query.table.topic].links.setdefault(link, {})[matched] = None
                self._linked.setdefault(link.topic, {})[query.table.topic] = None
            observer = matched
        else:
            observer = PolledObserver(self, query)
            for topic in query.topics:
                self._polled.setdefault(topic, {})[observer] = None
        self._begin(observer)
        return observer

    def _related(self, query: KeyQuery, dependent: RowObserver[Any]) -> KeyObserver:
        observer = self._observers.get(query.key)
        if observer is None:
            table = self._table(query.table)
            observer = KeyObserver(self, query, table.index, self._related)
            table.keys[observer] = None
            self._begin(observer)
        assert isinstance(observer, KeyObserver)
        observer.dependents[dependent] = None
        return observer

    def _table(self, table: Table) -> WatchedTable:
        return self._tables.setdefault(table.topic, WatchedTable(table))

    def _begin(self, observer: Observer[Any]) -> None:
        self._observers[observer.key] = observer
        if self._hears.observer_started:
            self._tell_of("ddpcore_observer_started", observer=observer)
        self.spawn(self._initialise(observer))

    async def _initialise(self, observer: Observer[Any]) -> None:
        try:
            for keys in _related_to(observer):
                await asyncio.shield(keys.initialised)
            for topic in observer.topics:
                await self._listen(topic)
            observer.asked = True
            await observer.start()
        except BaseException as problem:
            self._forget(observer)
            if was_cancelled(problem):
                observer.initialised.cancel()
                raise
            if isinstance(problem, asyncio.CancelledError):  # not of those who wait for it
                problem = DDPError("The question to the database was cancelled.")
            observer.initialised.set_exception(problem)
            observer.initialised.exception()  # whoever waited may be gone: no complaint
        else:
            observer.initialised.set_result(None)
            observer.started()

    def _discard_unwatched(self, observer: Observer[Any]) -> None:
        if not observer.watched:
            self._forget(observer)

    def _forget(self, observer: Observer[Any]) -> None:
        if self._observers.get(observer.key) is not observer:
            return
        del self._observers[observer.key]
        if self._hears.observer_stopped:
            self._tell_of("ddpcore_observer_stopped", observer=observer)
        observer.behind = None
        observer.forget_firsts()
        observer.stop()
        if isinstance(observer, RowObserver):
            self._forget_links(observer)  # first: the sets of keys may be the last of its table
            if isinstance(observer, KeyObserver):
                self._tables[observer.query.table.topic].keys.pop(observer, None)
            for keys in observer.related:
                keys.dependents.pop(observer, None)
                self._discard_unwatched(keys)
        for topic in observer.topics:
            if isinstance(observer, PolledObserver):
                polled = self._polled[topic]
                polled.pop(observer, None)
                if not polled:
                    del self._polled[topic]
            elif topic in self._tables and not len(self._tables[topic].index):
                del self._tables[topic]
            if not self._wanted(topic) and not self._stopped:
                self.spawn(self._unlisten(topic))
        self.settle()

    def _forget_links(self, observer: RowObserver[Any]) -> None:
        own = observer.query.table.topic
        for link in observer.links:
            links = self._tables[own].links
            links[link].pop(observer, None)  # type: ignore[call-overload]
            if not links[link]:
                del links[link]
                if not any(each.topic == link.topic for each in links):
                    del self._linked[link.topic][own]
                    if not self._linked[link.topic]:
                        del self._linked[link.topic]

    def _wanted(self, topic: str) -> bool:
        return topic in self._polled or topic in self._tables or topic in self._linked

    async def _listen(self, topic: str) -> None:
        async with self._listen_lock:
            # Who wanted to listen may have left while another topic was waited for.
            if topic not in self._listening and self._wanted(topic):
                await self.bus.subscribe(topic)
                self._listening.add(topic)

    async def _unlisten(self, topic: str) -> None:
        async with self._listen_lock:
            if topic in self._listening and not self._wanted(topic):
                self._listening.discard(topic)
                await self.bus.unsubscribe(topic)

    # Events

    def deliver(self, event: BusEvent) -> None:
        """Take an event of the bus."""
        if self._stopped:
            return
        self.number += 1
        if self._hears.bus_event:
            self._tell_of("ddpcore_bus_event", event=event)
        if isinstance(event, Gap):
            self._on_gap()
        if self._polled:
            topics = [event.topic] if event.topic is not None else list(self._polled)
            concerned = {each: None for topic in topics for each in self._polled.get(topic, ())}
            for observer in concerned:
                observer.notice(self.number, event)
        if event.topic is None or event.topic in self._tables or event.topic in self._linked:
            self._enqueue(Event(self.number, event))

    def answered(self, observer: Observer[Any], seconds: float) -> None:
        """The database has answered an observer: see `Surroundings`."""
        observer.asks += 1
        observer.asking_seconds += seconds
        if self._hears.observer_asked:
            self._tell_of("ddpcore_observer_asked", observer=observer, seconds=seconds)

    def was_read(self, topic: str, xid: int) -> bool:
        """Whether rows were read as they were after this or later: see `Surroundings`."""
        return topic in self._tables and self._tables[topic].was_read(xid)

    def ask_again(self, number: int, topic: str, key: str) -> None:
        """Read a row anew: see `Surroundings`."""
        # Not an event of its own: whoever waits for that one waits for this, too.
        self._enqueue(Event(number, Change(topic, Op.UPDATE, key)))

    def _enqueue(self, event: Event) -> None:
        # In order: what is asked again goes first, as somebody may be waiting for it.
        queue = self._queue
        if not queue or queue[-1].number <= event.number:
            queue.append(event)
        else:
            bisect.insort(queue, event, key=_number)
        if self._pump is None:
            self._pump = self._task(self._deal())

    async def _deal(self) -> None:
        try:
            while self._queue:
                await self._whole()
                events = collapsed(self._queue)
                self._at = self._queue[0].number
                self._queue = []
                rows = await self._read_rows(events)
                # What is read is as new as the last event: none is dealt with before all are.
                self._since = self._at if rows else None
                self.telling = Telling()
                for transaction in transactions(events):
                    self._at = self._number(transaction[0].number)
                    await self._deal_with(transaction, rows)
                    if self.work >= MOST_WORK:
                        self.settle()
                        await self._turn()
                self._tell()
                self._at = None
                self.settle()
                await self._turn()
        except Exception:
            # Nobody knows any more what has been dealt with: everything is asked for again.
            logger.exception("Changes could not be dealt with")
            since = self.number if self._at is None else self._at
            for table in list(self._tables.values()):
                table.missed(since)
        finally:
            self._tell()
            self._at = None
            self._pump = None
            if self._queue and not self._stopped:
                self._pump = self._task(self._deal())
            self.settle()

    async def _turn(self) -> None:
        """Let the sockets have their turn."""
        self.work = 0
        was_telling = self._tell()
        await asyncio.sleep(0)
        if was_telling:
            self.telling = Telling()

    def _tell(self) -> bool:
        """Pass on what was gathered, before anybody else runs; whether it was time to gather."""
        telling, self.telling = self.telling, None
        if telling is not None:
            telling.now()
        return telling is not None

    def _number(self, number: int) -> int:
        """Which event a fence waits for when it waits for this one's effects."""
        return number if self._since is None else self._since

    async def _whole(self) -> None:
        """Wait a moment for the rest of the last transaction: nobody is to see half of it."""
        latest = time.monotonic() + MOST_WAITING
        for _ in range(MOST_TURNS):
            number = self.number
            await asyncio.sleep(0)
            # In a storm every turn is long and brings something: then on with what there is.
            if number == self.number or time.monotonic() > latest:
                return

    async def _read_rows(self, events: Sequence[Event]) -> dict[str, Rows | None]:
        """Read what the events do not tell: topic → rows, None if they cannot be had."""
        last: dict[tuple[str, str], int] = {}
        for place, (number, event) in enumerate(events):
            if place % MOST_LOOKED_AT == MOST_LOOKED_AT - 1:
                await self._turn()
            if isinstance(event, Change) and event.key is not None and not self._told(event):
                last[event.topic, event.key] = number
        wanted: dict[str, dict[str, Wanted]] = {}
        for _, event in events if last else ():
            if isinstance(event, Change) and event.key is not None:
                number = last.pop((event.topic, event.key), 0)
                if number:  # else it is told, or was wanted for an earlier event already
                    wanted.setdefault(event.topic, {})[event.key] = Wanted(number, event.xid)
        found = await asyncio.gather(
            *(self._read(self._tables[topic], keys) for topic, keys in wanted.items())
        )
        return dict(zip(wanted, found, strict=True))

    def _told(self, change: Change) -> bool:
        """Whether the event says all that is needed; also where nobody wants to know."""
        table = self._tables.get(change.topic)
        if table is None or not len(table.index):
            return True
        if change.xid is None:
            return False  # nobody could say whether a result is newer
        if change.op is Op.DELETE or table.was_read(change.xid, change.key):
            return True
        if change.after is None:
            return False
        try:
            row = table.table.row(change.after)
            for column in table.index.columns:
                row[column]
        except Undecided:
            return False
        except Exception:
            logger.exception("A row of %s makes no sense: it is read", change.topic)
            return False
        return True

    async def _read(self, table: WatchedTable, keys: dict[str, Wanted]) -> Rows | None:
        began = self.tick()
        try:
            found = await asyncio.wait_for(table.table.read(keys), READ_PATIENCE)
        except FAILURES as problem:
            if was_cancelled(problem):
                raise
            logger.warning(
                "Could not read changed rows of %s: %s",
                table.table.topic,
                str(problem) or type(problem).__name__,
            )
            return None
        rows = Rows(Reading(began, self.tick(), found.snapshot), keys, found)
        if found.snapshot is not None:
            table.readings.append(rows)
        return rows

    async def _deal_with(self, transaction: list[Event], read: dict[str, Rows | None]) -> None:
        changes: list[RowChange | None] = []
        for number, event in transaction:
            await self._breathe()
            for table in self._linking(event):
                table.note_links(self._number(number), event)
            changes.append(self._row_change(number, event, read))
        # Sets of keys first: rows are judged by what they refer to after the whole transaction.
        for change in changes:
            if change is not None:
                self._hand_out(change, keys=True)
        # Who must ask does so before it takes any row, which would be shown without its links.
        if any(True for _, event in transaction for _ in self._linking(event)):
            for change in filter(None, changes):
                await self._breathe()
                for observer in self._concerned(change):
                    if isinstance(observer, MatchedObserver) and observer.must_ask(change):
                        observer.missed(change.number)
        for change in changes:
            await self._breathe()
            if change is not None:
                self._hand_out(change, keys=False)
        # Links last: a row that cannot be judged is asked for with its links, and shown with them.
        for number, event in transaction:
            for table in self._linking(event):
                await self._breathe()
                table.link_change(self._number(number), event)

    async def _breathe(self) -> None:
        self.work += EVENT_WORK
        if self.work >= MOST_WORK_WITHIN:
            await self._turn()

    def _linking(self, event: BusEvent) -> Iterator[WatchedTable]:
        """The tables whose documents list what the event's table links."""
        for topic in list(self._linked.get(event.topic, ())) if event.topic else ():
            if topic in self._tables:  # else a watcher has just released the last observer
                yield self._tables[topic]

    def _hand_out(self, change: RowChange, *, keys: bool) -> None:
        if keys and isinstance(change.seen, Reading) and change.topic in self._tables:
            for each in list(self._tables[change.topic].keys):
                each.skipped(change)
        for observer in self._concerned(change):
            if isinstance(observer, KeyObserver) is keys:
                observer.change(change)

    def _concerned(self, change: RowChange) -> list[RowObserver[Any]]:
        table = self._tables.get(change.topic)
        if table is None:
            return []
        try:
            return list(table.index.concerned(change.key, change.row))
        except Undecided:  # an index that came while the rows were read
            return list(table.index)

    def _row_change(
        self, number: int, event: BusEvent, read: dict[str, Rows | None]
    ) -> RowChange | None:
        """The row after an event; None if there is none, or it is known as it was later."""
        if event.topic is None:
            for each in list(self._tables.values()):
                each.missed(self._number(number))
            return None
        table = self._tables.get(event.topic)
        if table is None:
            return None
        rows = read.get(event.topic)
        unread = event.topic in read and rows is None
        if unread or isinstance(event, Gap) or event.key is None:
            table.missed(self._number(number))
            return None
        change = table.row_change(number, event, rows)
        if change is not None:
            change.number = self._number(number)
        return change

    # Fences

    async def fence(self, handles: Iterable[ObserveHandle] | None = None) -> None:
        """Return once everything committed before this call has reached these watchers.

        Args:
            handles: Whose; None: all. Observers that cannot ask the database at present are not
                waited for, and no other for longer than the crossbar's patience.
        """
        await self.bus.fence()
        await self.settled(None if handles is None else [each.observer for each in handles])

    async def settled(self, observers: list[Observer[Any]] | None = None) -> None:
        """Return once every event delivered before this call is dealt with; see `fence`."""
        waiter = _Waiter(self.number, observers, asyncio.get_running_loop().create_future())
        try:
            await self._wait(waiter)
        except TimeoutError:
            logger.warning("A fence waited for %g s: it is given up", self._patience)

    async def _current(self, observers: list[Observer[Any]]) -> None:
        """Return once these show everything committed before this call.

        Raises:
            ddpcore.DDPError: The database does not answer.
        """
        await self.bus.fence()
        waiter = _Waiter(
            self.number, observers, asyncio.get_running_loop().create_future(), also_stuck=True
        )
        try:
            await self._wait(waiter)
        except TimeoutError:
            raise DDPError(f"The database did not answer for {self._patience:g} s.") from None

    async def _wait(self, waiter: _Waiter) -> None:
        if self._is_settled(waiter):
            return
        self._waiting.append(waiter)
        try:
            await asyncio.wait_for(waiter.done, self._patience)
        finally:
            self._waiting.remove(waiter)

    def settle(self) -> None:
        """Look who need not wait any more."""
        for waiter in list(self._waiting):
            if self._is_settled(waiter) and not waiter.done.done():
                waiter.done.set_result(None)

    def _is_settled(self, waiter: _Waiter) -> bool:
        if self._stopped:
            return True
        if self._at is not None and self._at <= waiter.number:
            return False
        # Also while later events are dealt with: rows that are to be read anew wait behind them.
        if self._queue and self._queue[0].number <= waiter.number:
            return False
        observers = self._observers.values() if waiter.observers is None else waiter.observers
        return not any(
            each.lags(waiter.number) and (waiter.also_stuck or not each.stuck) for each in observers
        )

    # Running

    async def stop(self) -> None:
        """Ask nothing more; whoever waits for the crossbar to settle waits no longer."""
        self._stopped = True
        tasks = [*self._tasks, *([self._pump] if self._pump else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for observer in self._observers.values():
            observer.initialised.cancel()  # those whose task was cancelled before its first step
        self._queue.clear()
        self.settle()

    def tick(self) -> int:
        """The next of ever larger numbers; see `Surroundings`."""
        self._ticks += 1
        return self._ticks

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run in a task that ends with the crossbar."""
        task = self._task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())


_number = attrgetter("number")


class _Waiter(NamedTuple):
    """Who waits, up to which event, for whom (None: everybody); for those that are stuck, too?"""

    number: int
    observers: list[Observer[Any]] | None
    done: asyncio.Future[None]
    also_stuck: bool = False


def _related_to(observer: Observer[Any]) -> list[KeyObserver]:
    return observer.related if isinstance(observer, RowObserver) else []
