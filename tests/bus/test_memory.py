"""The memory bus keeps the contract; a transaction there is what is published at its commit."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ddpcore.bus import Change, MemoryBus, Op, Publisher
from ddpcore.errors import DDPError
from ddpcore.testing.bus_contract import BusContract, Recorder, Writer
from ddpcore.testing.publisher_contract import PublisherContract


class MemoryWriter(Writer):
    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._written: list[Change] = []

    async def write(self, change: Change) -> None:
        self._written.append(change)

    async def commit(self) -> None:
        written, self._written = self._written, []
        for change in written:
            await self._bus.publish(change)

    async def rollback(self) -> None:
        self._written.clear()


class TestContract(BusContract):
    def bus(self) -> MemoryBus:
        self._bus = MemoryBus()
        return self._bus

    def writer(self) -> MemoryWriter:
        return MemoryWriter(self._bus)


class TestPublisher(PublisherContract):
    def bus(self) -> MemoryBus:
        self._bus = MemoryBus()
        return self._bus

    def publisher(self) -> Publisher:
        return self._bus.publisher()  # nothing crosses processes here


async def test_other_threads_publish_in_order_and_before_a_fence() -> None:
    bus, heard = MemoryBus(), Recorder()
    await bus.start(heard)
    await bus.subscribe("a.b")

    def work() -> None:
        for n in range(100):
            bus.publish_threadsafe(Change("a.b", Op.INSERT, str(n)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard.events == []
    await bus.fence()
    assert heard.keys == [str(n) for n in range(100)]
    await bus.stop()


async def test_publishing_needs_a_running_bus() -> None:
    bus = MemoryBus()
    with pytest.raises(DDPError, match="start the server"):
        await bus.publish(Change("a.b", Op.INSERT, "1"))
    bus.publish_threadsafe(Change("a.b", Op.INSERT, "1"))  # silent: nobody listens


def test_a_closed_loop_is_silence() -> None:
    bus = MemoryBus()

    async def start() -> None:
        await bus.start(lambda _: None)

    asyncio.run(start())
    bus.publish_threadsafe(Change("a.b", Op.INSERT, "1"))
