"""The bus carries word of changed rows from whoever wrote them to every process that watches.

A bus speaks in *topics* (one per table, `app_label.model` under Django) and delivers events to
one listener per process, on the event loop, in the order of the contract:

1. After `subscribe(topic)` returns, no later commit on that topic is missed, or a `Gap` is
   delivered for it.
2. Changes of one row arrive in commit order; those of one transaction in statement order.
3. A rolled-back change is never delivered; a committed one is delivered, or covered by a `Gap`.
4. `fence()` completes only after every change committed before the call was delivered here.
5. A `Gap` means "you may have missed something": whoever listens asks the database again.
   Fences that were pending complete after the `Gap` was delivered.

6. What a `Publisher` has announced when it returns, a later `fence()` waits for; what it could not
   announce is covered by a `Gap`, which it owes everybody.

`ddpcore.testing.bus_contract` holds these sentences as a test-suite that any bus can run, and
`ddpcore.testing.publisher_contract` the last one.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ddpcore.errors import DDPError

__all__ = ["Bus", "BusEvent", "Change", "Gap", "MemoryBus", "Op", "Publisher"]


class Op(Enum):
    """What happened to a row; the values are what travels.

    Attributes:
        INSERT: It is new.
        UPDATE: It has other values.
        DELETE: It is gone.
        RESET: The whole topic may be another: TRUNCATE, or more rows than are worth naming.
    """

    INSERT = "i"
    UPDATE = "u"
    DELETE = "d"
    RESET = "r"


@dataclass(frozen=True, slots=True)
class Change:
    """One row changed, and the change is committed.

    Attributes:
        topic: The table, e.g. ``"bookstore.book"``.
        op: What happened to it.
        key: The primary key as text; None for `Op.RESET`.
        before: The row's columns before the change, if the capture knows them (plain JSON).
        after: The row's columns after it, likewise.
        xid: The database's number of the writing transaction, where it has one.
    """

    topic: str
    op: Op
    key: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    xid: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Changes may have been missed.

    Attributes:
        topic: On which topic; None: on every one.
    """

    topic: str | None = None


BusEvent = Change | Gap
"""What a bus delivers."""


class Publisher(ABC):
    """Announces what was committed: from any thread, also in processes that have no event loop.

    `Bus.publisher()` gives it. A project's own programs, such as its commands and its site under
    another server, have no bus that runs, but write all the same.
    """

    @abstractmethod
    def publish(self, changes: Sequence[Change]) -> None:
        """Announce one transaction that is committed.

        May be called in several threads at once. It may block for seconds, but not for ever. When
        it has returned, fences that begin afterwards wait for these changes, in all processes.

        Args:
            changes: Its changes, in the order of its statements.

        Raises:
            ddpcore.DDPError: They could not be announced. Nobody needs to call again: as soon as
                it can, the publisher sees to it that whoever listens gets a `Gap`.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to release
        """Release what it holds, after a last attempt to announce the `Gap` that it may owe."""


class Bus(ABC):
    """The contract is this module's docstring. Every method is called on the event loop.

    Attributes:
        crosses_processes: Whether what one process publishes is delivered in the others.
            `ddpcore serve --workers` asks for it. False, unless a bus says otherwise: the workers
            of a bus that stays within its process would show their clients different worlds.
    """

    crosses_processes: bool = False

    @property
    def connected(self) -> bool:
        """Whether changes are heard as they happen: False while there is only a `Gap` to come.

        New clients are better off elsewhere meanwhile, and `/readyz` says so.
        """
        return True

    @abstractmethod
    async def start(self, deliver: Callable[[BusEvent], None]) -> None:
        """Begin; `deliver` is called on the running loop and must not block or raise.

        Raises:
            ddpcore.DDPError: The bus cannot work here; the text says what to do.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Deliver nothing more and release every resource. Pending fences complete."""

    @abstractmethod
    async def subscribe(self, topic: str) -> None:
        """Deliver the changes of `topic` from now on. Idempotent."""

    @abstractmethod
    async def unsubscribe(self, topic: str) -> None:
        """Deliver `topic` no longer. Idempotent; a few stragglers may still arrive."""

    @abstractmethod
    async def publish(self, change: Change) -> None:
        """Announce `change`, which is already committed: for writers without a transaction.

        Raises:
            ddpcore.DDPError: It could not be announced.
        """

    @abstractmethod
    async def fence(self) -> None:
        """Return once all that was committed before this call has been delivered here."""

    def publisher(self) -> Publisher | None:
        """What writers tell of their commits, where these are not captured by other means.

        Called in any thread, and on a bus that does not run as well: another process asks a bus
        that it makes for the same URL. Always the same publisher of one bus.

        Returns:
            None, unless a bus says otherwise. Then it hears of commits from the database itself.
        """
        return None


class MemoryBus(Bus):
    """A bus within one process: publishing is delivering.

    The embedded default. Writers publish after their commit and on the loop, hence the order of
    publishing is the order of delivery, and nothing is ever in flight for a fence to wait for.
    """

    def __init__(self) -> None:
        self._topics: set[str] = set()
        self._deliver: Callable[[BusEvent], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._publisher = _ThreadsafePublisher(self)

    async def start(self, deliver: Callable[[BusEvent], None]) -> None:
        """Begin; see `Bus.start`."""
        self._loop = asyncio.get_running_loop()
        self._deliver = deliver

    async def stop(self) -> None:
        """Deliver nothing more."""
        self._deliver = None
        self._topics.clear()

    async def subscribe(self, topic: str) -> None:
        """Deliver the changes of `topic` from now on."""
        self._topics.add(topic)

    async def unsubscribe(self, topic: str) -> None:
        """Deliver `topic` no longer."""
        self._topics.discard(topic)

    async def publish(self, change: Change) -> None:
        """Deliver `change` at once.

        Raises:
            ddpcore.DDPError: The bus is not running.
        """
        if self._deliver is None:
            raise DDPError("The memory bus is not running: start the server first.")
        self._now(change)

    def publish_threadsafe(self, change: Change) -> None:
        """Deliver `change` soon; for any thread, and without waiting.

        Silent once the bus has stopped.
        """
        loop = self._loop
        if loop is not None and self._deliver is not None:
            try:
                loop.call_soon_threadsafe(self._now, change)
            except RuntimeError:  # the loop closed between the two lines: nobody listens
                return

    def publisher(self) -> Publisher:
        """What publishes here from other threads."""
        return self._publisher

    async def fence(self) -> None:
        """Return after what other threads published before this call was delivered."""
        loop = asyncio.get_running_loop()
        delivered = loop.create_future()
        # The loop runs callbacks first in, first out: ours is behind theirs.
        loop.call_soon(_complete, delivered)
        await delivered

    def _now(self, change: Change) -> None:
        if self._deliver is not None and change.topic in self._topics:
            self._deliver(change)


class _ThreadsafePublisher(Publisher):
    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus

    def publish(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._bus.publish_threadsafe(change)


def _complete(future: asyncio.Future[None]) -> None:
    if not future.done():  # whoever waited may have been cancelled
        future.set_result(None)
