"""The PostgreSQL bus on good days: what the contract does not say."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
from collections.abc import Callable
from multiprocessing.synchronize import Event

import psycopg2
import pytest

from ddpcore.bus import Change, Gap, Op
from ddpcore.errors import DDPError
from ddpcore.testing.bus_contract import PATIENCE
from ddpcore_pg import PgBus, channel, notify

from .conftest import BOOK, PgWriter, Place, insert


async def test_one_connection_listens_and_one_sends(place: Place) -> None:
    async with place.bus(*(f"shop.model{n}" for n in range(30))) as (bus, _):
        await asyncio.gather(
            *(bus.fence() for _ in range(30)), *(bus.publish(insert("1")) for _ in range(30))
        )
        # A fence may come back before the server is done with the statement that sent it: only
        # who has the answer of a statement knows that its connection is idle.
        await bus.fence()
        await bus.queue_usage()
        assert len(place.pids("ddpcore listen")) == 1
        assert len(place.pids("ddpcore notify")) == 1
        idle = place.execute(
            "SELECT DISTINCT state, backend_xmin, xact_start FROM pg_stat_activity"
            " WHERE application_name LIKE 'ddpcore%' AND datname = current_database()"
        )
        assert idle == [("idle", None, None)]
    async with asyncio.timeout(PATIENCE):
        while place.pids("ddpcore listen") or place.pids("ddpcore notify"):
            await asyncio.sleep(0.01)


async def test_savepoints(place: Place) -> None:
    async with place.bus(BOOK) as (bus, heard):
        connection = psycopg2.connect(place.dsn)
        with connection, connection.cursor() as cursor:
            notify(cursor, insert("1"))
            cursor.execute("SAVEPOINT a")
            notify(cursor, insert("2"))
            cursor.execute("ROLLBACK TO a")
            notify(cursor, insert("3"))
            cursor.execute("SAVEPOINT b")
            notify(cursor, insert("4"))
            cursor.execute("RELEASE b")
        connection.close()
        await bus.fence()
        assert heard.keys == ["1", "3", "4"]


async def test_listen_and_unlisten_follow_the_subscriptions(place: Place) -> None:
    topics = ["shop.book", 'it"s; "quoted', "x" * 90, "büch", "%s %d", "a\\b", "SHOP.Book"]
    async with place.bus() as (bus, _):

        async def listening() -> list[str]:
            connection = bus._listener.connection  # pg_listening_channels() shows only one's own
            rows = await connection.execute("SELECT pg_listening_channels()")
            return sorted(name for (name,) in rows if name != bus._own)

        assert await listening() == []
        await asyncio.gather(*map(bus.subscribe, topics))
        assert await listening() == sorted(map(channel, topics))
        await asyncio.gather(*map(bus.unsubscribe, topics[:3]), bus.subscribe("new"))
        assert await listening() == sorted(map(channel, [*topics[3:], "new"]))
        impatient = [asyncio.ensure_future(bus.subscribe(f"impatient{n}")) for n in range(5)]
        await asyncio.sleep(0)
        for each in impatient:
            each.cancel()
        await asyncio.gather(*impatient, return_exceptions=True)
        await asyncio.gather(*(bus.unsubscribe(f"impatient{n}") for n in range(5)))
        await asyncio.gather(*map(bus.unsubscribe, [*topics, "new"]))
        assert await listening() == []


async def test_concurrent_fences_share_tokens(place: Place) -> None:
    async with place.bus() as (bus, _):
        before = bus._fences._count
        await asyncio.gather(*(bus.fence() for _ in range(1000)))
        assert bus._fences._count - before <= 2


async def test_queue_usage(place: Place) -> None:
    async with place.bus() as (bus, _):
        assert 0.0 <= await bus.queue_usage() <= 1.0


async def test_an_incomplete_set_is_a_gap(place: Place, expect_log: Callable[..., None]) -> None:
    expect_log("ddpcore_pg.payload", "never came")
    async with place.bus(BOOK) as (bus, heard):
        bus._assembler.timeout = 0.01
        place.execute("SELECT pg_notify(%s, '#a/0/2/x')", [channel(BOOK)])
        await heard.until(lambda: heard.events == [Gap(BOOK)])
        place.write(insert("1"))
        await bus.fence()
        assert heard.keys == ["1"]


async def test_nonsense_is_a_gap_and_nothing_worse(
    place: Place, expect_log: Callable[..., None]
) -> None:
    expect_log("ddpcore_pg.payload", "makes no sense")
    async with place.bus(BOOK) as (bus, heard):
        place.execute("SELECT pg_notify(%s, 'hello')", [channel(BOOK)])
        place.execute("SELECT pg_notify(%s, 'hello')", [bus._own])
        place.write(insert("1"))
        await bus.fence()
        assert heard.events[0] == Gap(BOOK)
        assert heard.keys == ["1"]


async def test_a_receiver_that_raises_does_not_stop_the_bus(
    place: Place, expect_log: Callable[..., None]
) -> None:
    expect_log("ddpcore_pg.bus", "receiver of the bus failed")
    keys = []

    def receive(event: object) -> None:
        assert isinstance(event, Change)
        keys.append(event.key)
        if event.key == "1":
            raise RuntimeError("no")

    bus = PgBus(place.dsn)
    await bus.start(receive)
    await bus.subscribe(BOOK)
    place.write(insert("1"), insert("2"))
    await bus.fence()
    assert keys == ["1", "2"]
    await bus.stop()


def write_many(dsn: str, name: str, count: int, checked: Event) -> None:
    """A writer in a process of its own: so many commits of two rows, half of them when `checked`."""
    connection = psycopg2.connect(dsn)
    for n in range(count):
        if n == count // 2:
            assert checked.wait(PATIENCE)
        with connection, connection.cursor() as cursor:
            notify(cursor, insert(f"{name} {n}"), Change("shop.author", Op.UPDATE, f"{name} {n}"))
            if n % 10 == 0:
                connection.rollback()
            cursor.execute("INSERT INTO written VALUES (%s, %s)", (name, n))
    connection.close()


async def test_fences_under_load_of_several_writers(place: Place) -> None:
    place.execute("CREATE TABLE written (name text, n int)")
    probe = psycopg2.connect(place.dsn)
    probe.autocommit = True
    spawn = multiprocessing.get_context("spawn")
    async with place.bus(BOOK, "shop.author") as (bus, heard):
        checked = spawn.Event()  # what they write is looked at while they write
        writers = [
            spawn.Process(target=write_many, args=(place.dsn, f"w{n}", 150, checked))
            for n in range(3)
        ]
        for writer in writers:
            writer.start()
        checks = 0
        while any(writer.is_alive() for writer in writers):
            with probe.cursor() as cursor:
                cursor.execute(
                    "SELECT name, max(n) FROM written WHERE n %% 10 <> 0 GROUP BY name", []
                )
                committed = cursor.fetchall()
            await bus.fence()
            keys = set(heard.keys)
            assert all(f"{name} {n}" in keys for name, n in committed)
            checks += len(committed)
            if checks:
                checked.set()
        for writer in writers:
            writer.join()
            assert writer.exitcode == 0
            writer.close()
        await bus.fence()
    probe.close()
    assert checks
    assert Gap() not in heard.events
    for name in ("w0", "w1", "w2"):
        for topic in (BOOK, "shop.author"):
            keys = [
                each.key
                for each in heard.changes
                if each.topic == topic and str(each.key).startswith(name)
            ]
            assert keys == [f"{name} {n}" for n in range(150) if n % 10]


# --- starting ---------------------------------------------------------------------------------


async def test_a_listen_that_hears_nothing_is_refused(pg_cluster, place: Place) -> None:
    # As with a transaction pooler: what is sent never comes back. Here it goes to another database.
    other = pg_cluster.createdb("ddpcore_elsewhere")
    try:
        bus = PgBus(place.dsn, notify_dsn=other, self_test_timeout=0.2)
        with pytest.raises(
            DDPError, match=r"LISTEN does not work.*PgBouncer.*direct DSN"
        ) as caught:
            await bus.start(lambda _: None)
        assert psycopg2.extensions.parse_dsn(place.dsn)["password"] not in str(caught.value)
        assert not bus.connected
    finally:
        pg_cluster.dropdb("ddpcore_elsewhere")


async def test_an_unreachable_server(expect_log: Callable[..., None]) -> None:
    with socket.socket() as taken:  # bound, but nobody listens there
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        bus = PgBus(f"postgresql://me:secret@127.0.0.1:{port}/shop")
        with pytest.raises(
            DDPError, match=f"127.0.0.1:{port}/shop.*Check that the server"
        ) as caught:
            await bus.start(lambda _: None)
    assert "secret" not in str(caught.value)


async def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(DDPError, match=r"nowhere\.invalid:5432/shop"):
        await PgBus("postgresql://me:secret@nowhere.invalid/shop").start(lambda _: None)


async def test_a_wrong_password(place: Place) -> None:
    dsn = psycopg2.extensions.make_dsn(place.dsn, password="secret")
    with pytest.raises(DDPError, match="password authentication failed") as caught:
        await PgBus(dsn).start(lambda _: None)
    assert "secret" not in str(caught.value)


async def test_a_dsn_that_is_none() -> None:
    with pytest.raises(DDPError, match="not one that libpq understands") as caught:
        await PgBus("host=localhost password=my secret").start(lambda _: None)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_cancelled_start_leaves_nothing(place: Place) -> None:
    for turns in (0, 1, 2, 5, 10, 20):
        bus = PgBus(place.dsn)
        start = asyncio.ensure_future(bus.start(lambda _: None))
        for _ in range(turns):
            await asyncio.sleep(0.001)
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        await bus.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
    async with asyncio.timeout(PATIENCE):
        while place.pids("ddpcore listen") or place.pids("ddpcore notify"):
            await asyncio.sleep(0.01)


async def test_using_a_bus_that_does_not_run(place: Place) -> None:
    bus = PgBus(place.dsn)
    for use in (bus.subscribe(BOOK), bus.publish(insert("1")), bus.queue_usage()):
        with pytest.raises(DDPError, match="not running"):
            await use
    await bus.unsubscribe(BOOK)
    await bus.fence()
    await bus.stop()
    assert not bus.connected
    await bus.start(lambda _: None)
    with pytest.raises(DDPError, match="running already"):
        await bus.start(lambda _: None)
    await bus.stop()


async def test_a_writer_that_never_commits_holds_nothing_up(place: Place) -> None:
    async with place.bus(BOOK) as (bus, heard):
        writer = PgWriter(place.dsn)
        await writer.write(insert("open"))
        place.write(insert("1"))
        await bus.fence()
        assert heard.keys == ["1"]
        await writer.close()
