"""The contract of `ddpcore.bus`, as tests for pytest that any bus can run.

Derive from `BusContract` under a name that pytest collects, say how to make the bus and its
writers, and run pytest::

    class TestMyBus(BusContract):
        def bus(self) -> Bus:
            return MyBus("mybus://localhost")

        def writer(self) -> Writer:
            return MyWriter("mybus://localhost")

No plugin for asynchronous tests is needed.
"""

from __future__ import annotations

import asyncio
import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from ddpcore.bus import Bus, BusEvent, Change, Gap, Op

__all__ = ["BusContract", "ConnectedBusContract", "Recorder", "Writer"]

PATIENCE = 30.0
"""Seconds within which anything that should happen has happened."""

BOOK = "shop.book"
AUTHOR = "shop.author"


class Writer(ABC):
    """A program that changes rows, in transactions; one at a time."""

    @abstractmethod
    async def write(self, change: Change) -> None:
        """Make `change` in the open transaction; open one if need be."""

    @abstractmethod
    async def commit(self) -> None:
        """Commit it."""

    @abstractmethod
    async def rollback(self) -> None:
        """Roll it back."""

    async def close(self) -> None:  # noqa: B027 - most have nothing to release
        """Release what the writer holds."""


class Recorder:
    """A receiver that keeps everything, for tests to look at and to wait for.

    Attributes:
        events: What the bus has delivered, in order.
    """

    def __init__(self) -> None:
        self.events: list[BusEvent] = []
        self._news = asyncio.Event()

    def __call__(self, event: BusEvent) -> None:
        """Take an `event` from the bus."""
        self.events.append(event)
        self._news.set()

    @property
    def changes(self) -> list[Change]:
        """The changes, without the gaps."""
        return [event for event in self.events if isinstance(event, Change)]

    @property
    def keys(self) -> list[str | None]:
        """The keys of the changes."""
        return [change.key for change in self.changes]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for events until `condition` holds.

        Raises:
            TimeoutError: It did not within `PATIENCE`.
        """
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._news.clear()
                await self._news.wait()


C = TypeVar("C", bound="BusContract")


def _on_a_loop(test: Callable[[C], Awaitable[None]]) -> Callable[[C], None]:
    """Make a plain test of an asynchronous one."""

    @functools.wraps(test)
    def run(self: C) -> None:
        async def limited() -> None:
            async with asyncio.timeout(2 * PATIENCE):
                await test(self)
            strays = asyncio.all_tasks() - {asyncio.current_task()}
            assert not strays, f"the bus left tasks behind: {strays}"

        asyncio.run(limited())

    return run


class BusContract:
    """Every sentence of the contract; derive from it."""

    def bus(self) -> Bus:
        """A new bus that is not started."""
        raise NotImplementedError

    def writer(self) -> Writer:
        """A new writer of the rows that the bus made last watches."""
        raise NotImplementedError

    @asynccontextmanager
    async def running(self, *topics: str) -> AsyncIterator[tuple[Bus, Recorder]]:
        """A bus that runs and is subscribed to `topics`, with its receiver."""
        bus, heard = self.bus(), Recorder()
        await bus.start(heard)
        try:
            for topic in topics:
                await bus.subscribe(topic)
            yield bus, heard
        finally:
            await bus.stop()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Writer]:
        """A writer that is closed in the end."""
        writer = self.writer()
        try:
            yield writer
        finally:
            await writer.close()

    # 1. After subscribe(topic) returns, no later commit on that topic is missed.

    @_on_a_loop
    async def test_a_commit_after_subscribe_is_delivered(self) -> None:
        """The next thing committed after `subscribe` returned arrives, and in full."""
        change = Change(BOOK, Op.UPDATE, "7", {"title": "old"}, {"title": "new", "pages": 3})
        async with self.running() as (bus, heard), self.writing() as writer:
            await bus.subscribe(BOOK)
            await writer.write(change)
            await writer.commit()
            await bus.fence()
            assert [_plain(each) for each in heard.changes] == [_plain(change)]
            assert bus.connected

    @_on_a_loop
    async def test_a_transaction_open_during_subscribe_is_delivered(self) -> None:
        """It is the commit that counts, not when the row was written."""
        async with self.running() as (bus, heard), self.writing() as writer:
            await writer.write(_insert("early"))
            await bus.subscribe(BOOK)
            await writer.commit()
            await bus.fence()
            assert heard.keys == ["early"]

    @_on_a_loop
    async def test_many_subscriptions_at_once(self) -> None:
        """Each of them holds as soon as it has returned."""
        topics = [f"shop.model{n}" for n in range(50)]
        async with self.running() as (bus, heard), self.writing() as writer:

            async def subscribe_and_write(topic: str) -> None:
                await bus.subscribe(topic)
                async with turn:
                    await writer.write(Change(topic, Op.INSERT, topic))
                    await writer.commit()

            turn = asyncio.Lock()
            await asyncio.gather(*map(subscribe_and_write, topics))
            await bus.fence()
            assert sorted(map(str, heard.keys)) == sorted(topics)

    @_on_a_loop
    async def test_only_subscribed_topics_are_delivered(self) -> None:
        """Others are not, nor those that were unsubscribed."""
        async with self.running(BOOK, AUTHOR) as (bus, heard), self.writing() as writer:
            await bus.unsubscribe(AUTHOR)
            await bus.fence()
            await writer.write(Change(AUTHOR, Op.INSERT, "author"))
            await writer.write(Change("shop.other", Op.INSERT, "other"))
            await writer.write(_insert("book"))
            await writer.commit()
            await bus.fence()
            assert heard.keys == ["book"]

    @_on_a_loop
    async def test_subscribing_is_idempotent(self) -> None:
        """Twice subscribed is delivered once; one `unsubscribe` ends it; it may begin again."""
        async with self.running(BOOK, BOOK) as (bus, heard), self.writing() as writer:
            await writer.write(_insert("1"))
            await writer.commit()
            await bus.fence()
            await bus.unsubscribe(BOOK)
            await bus.unsubscribe(BOOK)
            await bus.fence()
            await writer.write(_insert("2"))
            await writer.commit()
            await bus.subscribe(BOOK)
            await writer.write(_insert("3"))
            await writer.commit()
            await bus.fence()
            assert heard.keys == ["1", "3"]

    @_on_a_loop
    async def test_any_topic_key_and_image(self) -> None:
        """Long names, strange letters and large rows arrive as they were sent."""
        topics = ["a" * 200, "a" * 199 + "b", 'quote"d; --', "日本.モデル", "Shop.Book"]
        image = {"text": "é😀\u2028\"'\\ \x01" * 4000, "none": None, "list": [1, 2.5, {"a": True}]}
        sent = [Change(topic, Op.UPDATE, "ключ 😀", image, {"n": 2**70}) for topic in topics]
        async with self.running(*topics) as (bus, heard), self.writing() as writer:
            for change in sent:
                await writer.write(change)
            await writer.commit()
            await bus.fence()
            assert [_plain(each) for each in heard.changes] == [_plain(each) for each in sent]

    # 2. Changes of one row in commit order; those of one transaction in statement order.

    @_on_a_loop
    async def test_statement_order(self) -> None:
        """A transaction's changes arrive in its order, across topics, repetitions included."""
        sent = [
            Change(topic, op, str(n % 5), None if n % 3 else {"text": "x" * 9000})
            for n in range(60)
            for topic, op in ((BOOK, Op.INSERT), (AUTHOR, Op.RESET), (BOOK, Op.DELETE))
            if op is not Op.RESET
        ]
        sent.insert(20, Change(AUTHOR, Op.RESET))
        async with self.running(BOOK, AUTHOR) as (bus, heard), self.writing() as writer:
            for change in sent:
                await writer.write(change)
            await writer.commit()
            await bus.fence()
            assert [_plain(each) for each in heard.changes] == [_plain(each) for each in sent]

    @_on_a_loop
    async def test_nothing_is_folded_away(self) -> None:
        """Insert, delete, insert of one row in one transaction: in the end the row is there."""
        sent = [Change(BOOK, op, "7") for op in (Op.INSERT, Op.DELETE, Op.INSERT)]
        async with self.running(BOOK) as (bus, heard), self.writing() as writer:
            for change in sent:
                await writer.write(change)
            await writer.commit()
            await bus.fence()
            assert [each.op for each in heard.changes] == [each.op for each in sent]

    @_on_a_loop
    async def test_commit_order(self) -> None:
        """Of two transactions the one that commits first arrives first, whoever wrote first."""
        async with (
            self.running(BOOK) as (bus, heard),
            self.writing() as one,
            self.writing() as two,
        ):
            await one.write(_insert("written first"))
            await two.write(_insert("committed first"))
            await two.commit()
            await one.commit()
            await bus.fence()
            assert heard.keys == ["committed first", "written first"]

    # 3. A rolled-back change is never delivered; a committed one is.

    @_on_a_loop
    async def test_rollback_delivers_nothing(self) -> None:
        """And the writer's next transaction does not bring it along."""
        async with self.running(BOOK) as (bus, heard), self.writing() as writer:
            await writer.write(_insert("no"))
            await writer.rollback()
            await writer.write(_insert("yes"))
            await writer.commit()
            await bus.fence()
            assert heard.keys == ["yes"]

    @_on_a_loop
    async def test_nothing_before_the_commit(self) -> None:
        """An open transaction is nobody's business."""
        async with self.running(BOOK) as (bus, heard), self.writing() as writer:
            await writer.write(_insert("1"))
            await bus.fence()
            assert heard.events == []
            await writer.commit()
            await bus.fence()
            assert heard.keys == ["1"]

    @_on_a_loop
    async def test_publish(self) -> None:
        """For writers without transactions: each call is a commit, in the order of the calls."""
        async with self.running(BOOK) as (bus, heard):
            for n in range(20):
                await bus.publish(Change(BOOK, Op.UPDATE, str(n), xid=n))
            await bus.fence()
            assert heard.changes == [Change(BOOK, Op.UPDATE, str(n), xid=n) for n in range(20)]

    # 4. fence() completes only after every change committed before the call was delivered.

    @_on_a_loop
    async def test_fence_after_every_commit(self) -> None:
        """No fence returns before what precedes it, however often one asks."""
        async with self.running(BOOK) as (bus, heard), self.writing() as writer:
            for n in range(100):
                await writer.write(_insert(str(n)))
                await writer.commit()
                await bus.fence()
                assert heard.keys[-1:] == [str(n)]

    @_on_a_loop
    async def test_many_fences_at_once(self) -> None:
        """Fences may overlap each other and the commits between them."""
        async with self.running(BOOK) as (bus, heard), self.writing() as writer:

            async def check(count: int) -> None:
                await bus.fence()
                assert len(heard.events) >= count

            async with asyncio.TaskGroup() as tasks:
                for n in range(50):
                    await writer.write(_insert(str(n)))
                    await writer.commit()
                    for _ in range(10):
                        tasks.create_task(check(n + 1))
                    await asyncio.sleep(0)

    @_on_a_loop
    async def test_a_cancelled_fence_hurts_nobody(self) -> None:
        """Others that wait for the same thing still get it."""
        async with self.running(BOOK) as (bus, _):
            fences = [asyncio.ensure_future(bus.fence()) for _ in range(10)]
            await asyncio.sleep(0)
            fences[0].cancel()
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*fences[1:])
            await asyncio.gather(fences[0], return_exceptions=True)

    @_on_a_loop
    async def test_stop_completes_fences_and_delivers_nothing_more(self) -> None:
        """Nobody waits for ever, and the bus may be started again."""
        bus, heard = self.bus(), Recorder()
        await bus.start(heard)
        await bus.subscribe(BOOK)
        fences = [asyncio.ensure_future(bus.fence()) for _ in range(10)]
        await asyncio.sleep(0)
        await bus.stop()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*fences)
        await bus.stop()
        async with self.writing() as writer:
            await bus.start(heard)
            await writer.write(_insert("unsubscribed"))
            await writer.commit()
            await bus.subscribe(BOOK)
            await writer.write(_insert("subscribed"))
            await writer.commit()
            await bus.fence()
            await bus.stop()
        assert heard.keys == ["subscribed"]


class ConnectedBusContract(BusContract):
    """The contract for a bus with a connection to lose."""

    async def disturb(self, bus: Bus) -> None:
        """Break what connects `bus` to its writers, as a bad day would."""
        raise NotImplementedError

    # 5. A Gap says that changes may be missing; then pending fences complete.

    @_on_a_loop
    async def test_a_loss_is_a_gap(self) -> None:
        """Whatever is lost is covered by a Gap, fences complete after it, then all goes on."""
        async with self.running(BOOK) as (bus, heard), self.writing() as writer:
            await self.disturb(bus)
            await writer.write(_insert("perhaps lost"))
            await writer.commit()
            async with asyncio.timeout(PATIENCE):
                await bus.fence()
            assert "perhaps lost" in heard.keys or Gap() in heard.events
            await heard.until(lambda: Gap() in heard.events)
            await writer.write(_insert("after"))
            await writer.commit()
            async with asyncio.timeout(PATIENCE):
                await bus.fence()
            assert heard.keys[-1] == "after"
            assert heard.events.count(Gap()) == 1


def _insert(key: str) -> Change:
    return Change(BOOK, Op.INSERT, key)


def _plain(change: Change) -> Change:
    """The change without what the database adds."""
    return Change(change.topic, change.op, change.key, change.before, change.after)
