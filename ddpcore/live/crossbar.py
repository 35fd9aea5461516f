"""The crossbar: which observers care about a change, and when they have dealt with it.

Events of the bus are numbered as they come. In each *round* the observers that have pending
events ask the database side by side; then the steps of all of them are taken in the order of the
events. So a client sees the changes of one transaction in the order of its statements, also
across collections.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any

from ddpcore.bus import Bus, BusEvent, Gap
from ddpcore.errors import DDPError
from ddpcore.live.document import Step
from ddpcore.live.observer import ObserveHandle, Observer, Pending
from ddpcore.live.query import LiveQuery

__all__ = ["Crossbar"]

logger = logging.getLogger(__name__)

Take = Callable[[Step], None]

# After a failed question to the database: seconds until the next try, doubling up to the cap.
RETRY_FIRST, RETRY_MOST = 0.1, 5.0


class Crossbar:
    """All observers of this process.

    Args:
        bus: Where changes come from.
        on_gap: Called at each `Gap`, before anything is asked again.
    """

    def __init__(self, bus: Bus, on_gap: Callable[[], None] = lambda: None) -> None:
        self.bus = bus
        self._on_gap = on_gap
        self._observers: dict[Hashable, Observer] = {}
        self._by_topic: dict[str, dict[Observer, None]] = {}
        self._listening: set[str] = set()
        self._listen_lock = asyncio.Lock()
        self._number = 0
        # Observers with pending events, but for those that wait for their next try.
        self._dirty: dict[Observer, None] = {}
        self._settling: list[tuple[int, asyncio.Future[None]]] = []
        self._pump: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        # What observers do is nobody's in particular: it must not run with the context variables
        # of the handler that happened to start it.
        self._context = contextvars.copy_context()

    @property
    def observers(self) -> int:
        """How many distinct queries are watched."""
        return len(self._observers)

    async def observe(self, wanted: Sequence[tuple[LiveQuery, Take]]) -> list[ObserveHandle]:
        """Watch queries: each `take` gets the current result, then every step, in order.

        The first of equal queries asks the database; the others share its observer. What was
        committed before the call is in the result, also in a shared one, which catches up first.
        All results are handed out in the order given and in one turn of the loop.

        Raises:
            Exception: Whatever a query or the bus raised; nothing is watched then.
        """
        observers: list[Observer] = []
        handles: list[ObserveHandle] = []
        try:
            for query, _ in wanted:
                observers.append(self._hold(query))
            shared = [each for each in observers if each.initialised.done()]
            for observer in observers:
                await asyncio.shield(observer.initialised)
            if shared:
                await self.fence()
            for observer, (_, take) in zip(observers, wanted, strict=True):
                handle = ObserveHandle(observer, take)
                observer.handles[handle] = None
                handles.append(handle)
            for handle in handles:
                for document in handle.observer.documents.values():
                    handle.take(Step(None, document))
        except BaseException:
            for handle in handles:
                handle.observer.handles.pop(handle)
            raise
        finally:
            for observer in observers:
                observer.waiting -= 1
                self._discard_unwatched(observer)
        return handles

    def _hold(self, query: LiveQuery) -> Observer:
        if self._stopped:
            raise DDPError("The server has stopped: nothing can be watched any more.")
        observer = self._observers.get(query.key)
        if observer is None:
            observer = self._observers[query.key] = Observer(query)
            for topic in query.topics:
                self._by_topic.setdefault(topic, {})[observer] = None
            self._spawn(self._initialise(observer))
        observer.waiting += 1
        return observer

    def release(self, handle: ObserveHandle) -> None:
        """Watch no longer. The last watcher's going frees the observer. Idempotent."""
        handle.observer.handles.pop(handle, None)
        self._discard_unwatched(handle.observer)

    def deliver(self, event: BusEvent) -> None:
        """Take an event of the bus."""
        if self._stopped:
            return
        self._number += 1
        if isinstance(event, Gap):
            self._on_gap()
        if event.topic is None:
            concerned = dict.fromkeys(self._observers.values())
        else:
            concerned = self._by_topic.get(event.topic, {})
        for observer in concerned:
            observer.pending.append(Pending(self._number, event))
            if not observer.failures:
                self._dirty[observer] = None
        if self._dirty:
            self._wake()

    async def fence(self) -> None:
        """Return once everything committed before this call has reached every watcher."""
        await self.bus.fence()
        await self.settled()

    async def settled(self) -> None:
        """Return once every event delivered before this call has reached every watcher.

        Observers that cannot ask the database at present are not waited for.
        """
        if self._dirty:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._settling.append((self._number, done))
            await done

    async def stop(self) -> None:
        """Ask nothing more; whoever waits for the crossbar to settle waits no longer."""
        self._stopped = True
        tasks = [*self._tasks, *([self._pump] if self._pump else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for observer in self._observers.values():
            observer.initialised.cancel()  # those whose task was cancelled before its first step
        self._dirty.clear()
        self._settle()

    async def _initialise(self, observer: Observer) -> None:
        try:
            for topic in observer.query.topics:
                await self._listen(topic)
            await observer.start()
        except BaseException as problem:
            self._forget(observer)
            if isinstance(problem, asyncio.CancelledError):
                observer.initialised.cancel()
                raise
            observer.initialised.set_exception(problem)
            observer.initialised.exception()  # whoever waited may be gone: no complaint
        else:
            observer.initialised.set_result(None)
            self._wake()

    def _discard_unwatched(self, observer: Observer) -> None:
        if not observer.handles and not observer.waiting:
            self._forget(observer)

    def _forget(self, observer: Observer) -> None:
        if self._observers.get(observer.query.key) is not observer:
            return
        del self._observers[observer.query.key]
        self._dirty.pop(observer, None)
        self._settle()
        for topic in observer.query.topics:
            observers = self._by_topic[topic]
            observers.pop(observer, None)
            if not observers:
                del self._by_topic[topic]
                if not self._stopped:
                    self._spawn(self._unlisten(topic))

    async def _listen(self, topic: str) -> None:
        async with self._listen_lock:
            # Who wanted to listen may have left while another topic was waited for.
            if topic not in self._listening and topic in self._by_topic:
                await self.bus.subscribe(topic)
                self._listening.add(topic)

    async def _unlisten(self, topic: str) -> None:
        async with self._listen_lock:
            if topic in self._listening and topic not in self._by_topic:
                self._listening.discard(topic)
                await self.bus.unsubscribe(topic)

    def _wake(self) -> None:
        if self._pump is None and not self._stopped:
            self._pump = self._task(self._rounds())

    async def _rounds(self) -> None:
        try:
            while ready := [each for each in self._dirty if each.initialised.done()]:
                await self._round(ready)
                self._settle()
                # Let the sockets have their turn, whatever the rate of changes.
                await asyncio.sleep(0)
        finally:
            self._pump = None

    async def _round(self, observers: list[Observer]) -> None:
        asked = [list(observer.pending) for observer in observers]
        answers = await asyncio.gather(
            *(observer.ask(events) for observer, events in zip(observers, asked, strict=True)),
            return_exceptions=True,
        )
        steps: list[tuple[int, Observer, str, Step]] = []
        for observer, events, answer in zip(observers, asked, answers, strict=True):
            del observer.pending[: len(events)]
            if isinstance(answer, BaseException):
                self._retry(observer, answer)
            else:
                observer.failures = 0
                steps += [(number, observer, key, step) for number, key, step in answer]
        steps.sort(key=lambda item: item[0])
        for _number, observer, key, step in steps:
            observer.take(key, step)
        for observer in observers:
            if not observer.pending:
                self._dirty.pop(observer, None)

    def _retry(self, observer: Observer, problem: BaseException) -> None:
        observer.failures += 1
        delay = min(RETRY_FIRST * 2 ** (observer.failures - 1), RETRY_MOST)
        logger.warning(
            "Could not ask the database for %s, trying again in %.1f s: %s",
            observer.query.collection,
            delay,
            str(problem) or type(problem).__name__,
        )
        # What the lost events said no longer matters: everything is asked again.
        observer.pending = [Pending(self._number, Gap())]
        self._dirty.pop(observer, None)
        asyncio.get_running_loop().call_later(delay, self._try_again, observer)

    def _try_again(self, observer: Observer) -> None:
        if self._observers.get(observer.query.key) is observer and not self._stopped:
            self._dirty[observer] = None
            self._wake()

    def _settle(self) -> None:
        if not self._settling:
            return
        oldest = min((each.pending[0].number for each in self._dirty if each.pending), default=None)
        waiting = []
        for number, done in self._settling:
            if oldest is not None and oldest <= number:
                waiting.append((number, done))
            elif not done.done():
                done.set_result(None)
        self._settling = waiting

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())
