"""The contract of publishers, `ddpcore.bus.Publisher`, as tests for pytest that any bus can run.

`PublisherContract` runs all of `BusContract` with writers that announce by the publisher, and more.
`ConnectedPublisherContract` is for a bus with a connection to lose::

    class TestMyBus(ConnectedPublisherContract):
        def bus(self) -> Bus:
            return MyBus(URL)

        async def disturb(self, bus: Bus) -> None: ...  # break its connection

        async def cut(self) -> None: ...  # let nobody reach what it connects to

        async def mend(self) -> None: ...  # let them
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ddpcore.bus import Change, Gap, Op, Publisher
from ddpcore.errors import DDPError
from ddpcore.testing.bus_contract import (
    AUTHOR,
    BOOK,
    PATIENCE,
    BusContract,
    ConnectedBusContract,
    Writer,
    _on_a_loop,
)

__all__ = ["ConnectedPublisherContract", "PublisherContract", "PublishingWriter"]


class PublishingWriter(Writer):
    """A writer whose transactions are announced when they have been committed.

    Args:
        publisher: What announces them; closed with the writer.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._written: list[Change] = []

    async def write(self, change: Change) -> None:
        """Keep it for the commit."""
        self._written.append(change)

    async def commit(self) -> None:
        """Announce what was written, in a thread."""
        written, self._written = self._written, []
        await asyncio.to_thread(self._publisher.publish, written)

    async def rollback(self) -> None:
        """Forget it."""
        self._written.clear()

    async def close(self) -> None:
        """Close the publisher."""
        await asyncio.to_thread(self._publisher.close)


class PublisherContract(BusContract):
    """What is announced by a publisher, of the bus itself or of one that does not run."""

    def publisher(self) -> Publisher:
        """A publisher as another process has it: of a bus that does not run."""
        publisher = self.bus().publisher()
        assert publisher is not None, "This bus has no publisher."
        return publisher

    def writer(self) -> Writer:
        """A writer with a publisher of its own."""
        return PublishingWriter(self.publisher())

    @_on_a_loop
    async def test_the_publisher_of_a_bus_is_always_the_same(self) -> None:
        """Before it runs, and while it does."""
        bus = self.bus()
        publisher = bus.publisher()
        await bus.start(lambda _: None)
        assert bus.publisher() is publisher
        await bus.stop()
        if publisher is not None:
            publisher.close()

    @_on_a_loop
    async def test_the_publisher_of_the_bus_that_runs(self) -> None:
        """A process that serves and writes hears of what it writes, before its fences return."""
        async with self.running(BOOK) as (bus, heard):
            publisher = bus.publisher()
            assert publisher is not None
            for n in range(20):
                await asyncio.to_thread(publisher.publish, [Change(BOOK, Op.UPDATE, str(n))])
                await bus.fence()
                assert heard.keys[-1:] == [str(n)]

    @_on_a_loop
    async def test_many_threads_at_once(self) -> None:
        """The changes of each stay in their order, and the transactions are whole."""
        threads, transactions = 8, 20
        topics = (BOOK, AUTHOR)

        async with self.running(*topics) as (bus, heard):
            publisher = self.publisher()

            def work(thread: int) -> None:
                for n in range(transactions):
                    changes = [Change(topic, Op.INSERT, f"{thread}.{n}") for topic in topics]
                    publisher.publish(changes)

            await asyncio.gather(*(asyncio.to_thread(work, each) for each in range(threads)))
            await bus.fence()
            for thread in range(threads):
                mine = [c for c in heard.changes if str(c.key).startswith(f"{thread}.")]
                assert mine == _all_of(thread, transactions, topics)
            publisher.close()

    @_on_a_loop
    async def test_a_transaction_of_many_changes(self) -> None:
        """Whole, and in order."""
        sent = [Change(BOOK, Op.UPDATE, str(n)) for n in range(20_000)]
        async with self.running(BOOK) as (bus, heard):
            publisher = self.publisher()
            await asyncio.to_thread(publisher.publish, sent)
            await bus.fence()
            assert heard.changes == sent
            publisher.close()


class ConnectedPublisherContract(PublisherContract, ConnectedBusContract):
    """The same for a bus with a connection to lose."""

    async def cut(self) -> None:
        """Let nobody reach what the bus connects to."""
        raise NotImplementedError

    async def mend(self) -> None:
        """Let everybody reach it again."""
        raise NotImplementedError

    @_on_a_loop
    async def test_what_cannot_be_announced_is_a_gap(self) -> None:
        """The writer is told that it failed, and the listeners to ask again; then all goes on."""
        async with self.running(BOOK) as (bus, heard):
            publisher = self.publisher()
            await asyncio.to_thread(publisher.publish, [Change(BOOK, Op.INSERT, "before")])
            await bus.fence()
            await self.cut()
            for _ in range(3):
                try:
                    await asyncio.to_thread(publisher.publish, [Change(BOOK, Op.INSERT, "lost")])
                except DDPError:
                    continue
                raise AssertionError("The publisher said nothing of its failure.")
            await self.mend()
            await heard.until(lambda: Gap() in heard.events)
            await _publish_again(publisher, Change(BOOK, Op.INSERT, "after"))
            async with asyncio.timeout(PATIENCE):
                await bus.fence()
            assert "lost" not in heard.keys
            assert heard.keys[-1] == "after" or heard.events[-1] == Gap()
            publisher.close()


def _all_of(thread: int, transactions: int, topics: Sequence[str]) -> list[Change]:
    return [
        Change(topic, Op.INSERT, f"{thread}.{n}") for n in range(transactions) for topic in topics
    ]


async def _publish_again(publisher: Publisher, change: Change) -> None:
    """Publish until it works: it may take a moment to see that all is well."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await asyncio.to_thread(publisher.publish, [change])
                return
            except DDPError:
                await asyncio.sleep(0.05)
