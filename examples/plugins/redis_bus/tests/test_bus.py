"""The bus keeps the contract of buses, also where Redis has a bad day."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from ddpcore_redis.bus import RedisBus, ddpcore_bus

from ddpcore import Bus, Change, DDPError, Gap, Op
from ddpcore.testing.bus_contract import Recorder
from ddpcore.testing.publisher_contract import ConnectedPublisherContract

BOOK = "shop.book"


def change(key: object) -> Change:
    return Change(BOOK, Op.UPDATE, str(key))


class TestContract(ConnectedPublisherContract):
    @pytest.fixture(autouse=True)
    def _server(self, server) -> None:
        self.server = server

    def bus(self) -> RedisBus:
        return RedisBus(self.server.url)

    async def disturb(self, bus: Bus) -> None:
        self.server.kill_clients()

    async def cut(self) -> None:
        self.server.kill()

    async def mend(self) -> None:
        self.server.start()


def on_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    def run(server) -> None:
        asyncio.run(asyncio.wait_for(test(server), 60))

    return run


@asynccontextmanager
async def running(url: str, **options: int) -> AsyncIterator[tuple[RedisBus, Recorder]]:
    bus, heard = RedisBus(url, **options), Recorder()
    await bus.start(heard)
    await bus.subscribe(BOOK)
    try:
        yield bus, heard
    finally:
        await bus.stop()
        bus.publisher().close()


async def goes_on(bus: RedisBus, heard: Recorder) -> None:
    """Wait for a Gap; after it changes are delivered, and fences return."""
    await heard.until(lambda: Gap() in heard.events)
    heard.events.clear()
    while heard.keys != ["after"]:
        heard.events.clear()
        try:
            await bus.publish(change("after"))
        except DDPError:
            await asyncio.sleep(0.05)
        await bus.fence()


@on_a_loop
async def test_a_restart_that_lost_everything(server) -> None:
    async with running(server.url) as (bus, heard):
        for n in range(5):
            await bus.publish(change(n))
        await bus.fence()
        assert heard.keys == list("01234")
        server.kill()
        fence = asyncio.ensure_future(bus.fence())
        await bus.subscribe("shop.other")
        server.start()
        await fence
        assert heard.events[-1] == Gap()
        await goes_on(bus, heard)


@on_a_loop
async def test_entries_trimmed_before_they_were_read(server) -> None:
    async with running(server.url) as (bus, heard):
        for n in range(300):  # on the loop, so that the bus cannot read meanwhile
            bus.publisher().publish([change(n)])
        server.do("XTRIM", "{ddpcore}:changes", "MAXLEN", 10)
        await bus.fence()
        assert heard.keys == list(map(str, range(300))) or Gap() in heard.events
        await goes_on(bus, heard)


@on_a_loop
async def test_redis_trims_what_is_too_much(server) -> None:
    async with running(server.url, most=100) as (bus, heard):
        for n in range(1000):
            bus.publisher().publish([change(n)])
        assert int(str(server.do("XLEN", "{ddpcore}:changes"))) < 300
        await goes_on(bus, heard)


@pytest.mark.parametrize(
    "command",
    [("FLUSHALL",), ("DEL", "{ddpcore}:changes"), ("DEL", "{ddpcore}:count"),
     ("XTRIM", "{ddpcore}:changes", "MAXLEN", 0)],
    ids=lambda command: command[0],
)  # fmt: skip
def test_emptied_behind_its_back(server, command) -> None:
    async def test() -> None:
        async with running(server.url) as (bus, heard):
            await bus.publish(change("read"))
            await bus.fence()
            bus.publisher().publish([change("gone")])  # on the loop: not read yet
            server.do(*command)
            await bus.fence()
            assert "gone" in heard.keys or Gap() in heard.events
            server.do("FLUSHALL")
            await goes_on(bus, heard)

    asyncio.run(asyncio.wait_for(test(), 60))


@on_a_loop
async def test_an_entry_that_makes_no_sense(server) -> None:
    async with running(server.url) as (bus, heard):
        server.do("XADD", "{ddpcore}:changes", "*", "what", "ever")
        await goes_on(bus, heard)


@on_a_loop
async def test_a_server_that_hangs(server) -> None:
    async with running(server.url) as (bus, heard):
        server.process.send_signal(signal.SIGSTOP)
        with pytest.raises(DDPError, match="Gap later"):
            await bus.publish(change("lost"))
        fence = asyncio.ensure_future(bus.fence())
        server.process.send_signal(signal.SIGCONT)
        await fence
        await goes_on(bus, heard)


class Road:
    """A way to the server that can be closed for some."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pairs: list[asyncio.StreamWriter] = []
        self.closed = False

    async def open(self) -> str:
        self._listener = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        port = self._listener.sockets[0].getsockname()[1]
        return f"redis://127.0.0.1:{port}/0"

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.closed:
            writer.close()
            return
        there = await asyncio.open_connection("127.0.0.1", self._port)
        self._pairs += [writer, there[1]]
        await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))

    def close(self) -> None:
        self.closed = True
        for each in self._pairs:
            each.close()
        self._pairs.clear()

    async def end(self) -> None:
        self.close()
        self._listener.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
    except ConnectionError:
        pass
    sink.close()


@on_a_loop
async def test_a_writer_that_alone_is_cut_off(server) -> None:
    road = Road(server.port)
    cut_off = RedisBus(await road.open()).publisher()
    async with running(server.url) as (bus, heard):
        await asyncio.to_thread(cut_off.publish, [change("before")])
        await bus.fence()
        road.close()
        for _ in range(3):
            with pytest.raises(DDPError, match="Gap later"):
                await asyncio.to_thread(cut_off.publish, [change("lost")])
        await bus.fence()
        assert heard.events == [change("before")]
        road.closed = False
        await goes_on(bus, heard)
    await asyncio.to_thread(cut_off.close)
    await road.end()


DEBTOR = """
import sys
from ddpcore import Change, DDPError, Op
from ddpcore_redis.bus import RedisBus
publisher = RedisBus(sys.argv[1]).publisher()
try:
    publisher.publish([Change("shop.book", Op.UPDATE, "lost")])
except DDPError as problem:
    print(problem)
"""


def test_a_writer_that_ends_while_it_owes_says_so() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"redis://user:secret@127.0.0.1:{nobody.getsockname()[1]}/0"
        done = subprocess.run(
            [sys.executable, "-c", DEBTOR, url],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
    assert "hears of a Gap later" in done.stdout
    assert "never heard of 1 commits" in done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_where_no_redis_is() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        bus = ddpcore_bus(f"redis://:secret@127.0.0.1:{nobody.getsockname()[1]}")
        assert isinstance(bus, RedisBus)
        with pytest.raises(DDPError, match="No Redis for the bus at 127") as raised:
            asyncio.run(bus.start(lambda _: None))
    assert "secret" not in str(raised.value)


def test_other_urls_are_not_its_business() -> None:
    assert ddpcore_bus("memory:") is None
    assert ddpcore_bus("postgres://localhost/db") is None


@on_a_loop
async def test_projects_have_databases_of_their_own(server) -> None:
    async with (
        running(server.url) as (one, heard),
        running(server.url.removesuffix("0") + "1") as (_, nothing),
    ):
        await one.publish(change("1"))
        await one.fence()
        assert heard.keys == ["1"]
        assert nothing.events == []
