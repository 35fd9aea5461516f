"""The PostgreSQL bus on bad days: connections break, servers restart, nobody waits for ever."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from ddpcore.bus import Gap
from ddpcore.errors import DDPError
from ddpcore.testing.bus_contract import PATIENCE, Recorder
from ddpcore_pg import PgBus

from .conftest import BOOK, PgWriter, Place, insert

QUICK = {"reconnect_delay": (0.01, 0.05)}


async def test_the_listen_backend_dies_while_changes_flow(place: Place, expect_loss: None) -> None:
    states: list[bool] = []
    async with place.bus(BOOK, "shop.author", on_state=states.append, **QUICK) as (bus, heard):
        writer = PgWriter(place.dsn)
        numbers = itertools.count()

        async def flow(count: int) -> None:
            for _ in range(count):
                await writer.write(insert(str(next(numbers))))
                await writer.commit()
                await asyncio.sleep(0)

        flowing = asyncio.create_task(flow(300))
        await heard.until(lambda: len(heard.changes) > 20)
        for _ in range(3):
            gaps = heard.events.count(Gap())
            await asyncio.to_thread(place.terminate, "ddpcore listen")
            await heard.until(lambda: heard.events.count(Gap()) > gaps)
            await asyncio.wait_for(bus.fence(), PATIENCE)
        await flowing
        await flow(5)
        await bus.fence()
        await writer.close()
        keys = [int(key) for key in heard.keys if key]
        assert keys == sorted(set(keys))
        assert keys[-5:] == list(range(300, 305))
        # Whatever is missing is followed by a gap.
        last_gap = len(heard.events) - 1 - heard.events[::-1].index(Gap())
        tail = [int(event.key) for event in heard.events[last_gap + 1 :]]
        assert tail == list(range(tail[0], 305))
        assert states == [True, *[False, True] * 3]
        assert len(place.pids("ddpcore listen")) == 1


async def test_the_notify_backend_dies(place: Place) -> None:
    async with place.bus(BOOK) as (bus, heard):
        for n in range(3):
            place.terminate("ddpcore notify")
            await bus.publish(insert(str(n)))
            place.terminate("ddpcore notify")
            await bus.fence()
        assert heard.keys == ["0", "1", "2"]
        assert Gap() not in heard.events
        assert len(place.pids("ddpcore notify")) == 1


async def test_a_fence_finds_its_way_when_nothing_can_be_sent(
    place: Place, expect_log: Callable[..., None]
) -> None:
    expect_log("ddpcore_pg.bus", "fence goes over")
    async with place.bus(BOOK) as (bus, heard):
        bus._sender._dsn += "_does_not_exist"
        place.terminate("ddpcore notify")
        place.write(insert("1"))
        await asyncio.wait_for(bus.fence(), PATIENCE)
        assert heard.events[0].key == "1"
        with pytest.raises(DDPError, match="cannot be used by the bus"):
            await bus.publish(insert("2"))


async def test_a_connection_that_only_looks_alive(place: Place, expect_loss: None) -> None:
    async with place.bus(BOOK, **QUICK) as (bus, heard):
        # As if a firewall had forgotten it: nothing arrives, and nothing says so.
        connection = bus._listener.connection
        asyncio.get_running_loop().remove_reader(connection._fd)
        # Only now little patience: a server that is merely slow is not to be given up.
        bus._timeout, usual = 0.01, bus._timeout
        await asyncio.wait_for(bus.fence(), PATIENCE)
        bus._timeout = usual
        assert heard.events == [Gap()]
        place.write(insert("1"))
        await bus.fence()
        assert heard.keys == ["1"]
        assert connection.closed


async def test_restart_of_the_server(pg_cluster, place: Place, expect_loss: None) -> None:
    async with place.bus(BOOK, **QUICK) as (bus, heard):
        for crash in (False, True):
            await asyncio.to_thread(pg_cluster.restart, crash=crash)
            await heard.until(lambda: Gap() in heard.events)
            place.write(insert("1"))
            await bus.fence()
            await bus.publish(insert("2"))
            await bus.fence()
            assert heard.keys == ["1", "2"]
            assert heard.events.count(Gap()) == 1
            heard.events.clear()


async def test_an_outage(pg_cluster, place: Place, expect_loss: None) -> None:
    order: list[object] = []
    bus = PgBus(place.dsn, **QUICK)
    heard = Recorder()

    def deliver(event: object) -> None:
        order.append(event)
        heard(event)

    await bus.start(deliver)
    await bus.subscribe(BOOK)
    down = asyncio.Event()
    bus._on_state = lambda up: up or down.set()

    async def fence(name: str) -> None:
        await bus.fence()
        order.append(name)

    await asyncio.to_thread(pg_cluster.halt)
    try:
        await asyncio.wait_for(down.wait(), PATIENCE)
        assert not bus.connected
        fences = [asyncio.create_task(fence("fence")) for _ in range(3)]
        await bus.subscribe("shop.author")  # returns, for a Gap will follow
        await bus.unsubscribe("shop.author")
        with pytest.raises(DDPError, match="cannot be used by the bus"):
            await bus.publish(insert("1"))
        done, _ = await asyncio.wait(fences, timeout=0.1)
        assert not done
    finally:
        await asyncio.to_thread(pg_cluster.start)
    await asyncio.wait_for(asyncio.gather(*fences), PATIENCE)
    assert order == [Gap(), "fence", "fence", "fence"]
    await bus.publish(insert("1"))
    await bus.fence()
    assert heard.keys == ["1"]
    await bus.stop()


async def test_stopping_during_an_outage(pg_cluster, place: Place, expect_loss: None) -> None:
    bus, heard = PgBus(place.dsn, **QUICK), Recorder()
    down = asyncio.Event()
    bus._on_state = lambda up: up or down.set()
    await bus.start(heard)
    await asyncio.to_thread(pg_cluster.halt)
    try:
        await asyncio.wait_for(down.wait(), PATIENCE)
        fence = asyncio.create_task(bus.fence())
        await asyncio.sleep(0)
        await bus.stop()
        await asyncio.wait_for(fence, PATIENCE)
        assert heard.events == []
        assert asyncio.all_tasks() == {asyncio.current_task()}
    finally:
        await asyncio.to_thread(pg_cluster.start)


async def test_subscribing_while_the_connection_breaks(place: Place, expect_loss: None) -> None:
    async with place.bus(**QUICK) as (bus, heard):
        subscribing = [asyncio.create_task(bus.subscribe(f"t{n}")) for n in range(20)]
        await asyncio.to_thread(place.terminate, "ddpcore listen")
        subscribing += [asyncio.create_task(bus.subscribe(f"u{n}")) for n in range(20)]
        await asyncio.wait_for(asyncio.gather(*subscribing), PATIENCE)
        await heard.until(lambda: Gap() in heard.events)
        for topic in ("t0", "t19", "u0", "u19"):
            heard.events.clear()
            await bus.publish(type(insert("1"))(topic, insert("1").op, topic))
            await bus.fence()
            assert heard.keys == [topic]
