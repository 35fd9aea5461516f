"""DDP inside a Tornado application of one's own."""

from __future__ import annotations

import pytest
import websockets
from ddp_client import connect
from served import connected, fetch, hear, listening, make_server, raw, say, served
from tornado.web import Application, RequestHandler

from ddpcore import DDPError
from ddpcore.bus import MemoryBus
from ddpcore_tornado import handlers


class Hello(RequestHandler):
    def get(self):
        self.finish("Hello")


def application(*rules):
    return Application([*rules, (r"/hello", Hello)], log_function=lambda _: None)


async def name_of(address, path):
    async with connected(address, path) as socket:
        await say(socket, msg="method", id="1", method="name")
        await hear(socket)
        return (await hear(socket))["result"]


def named(name):
    server = make_server()

    @server.method("name")
    async def give_name(ctx):
        return name

    return server


async def test_beside_handlers_of_ones_own():
    server = named("mine")
    async with listening(application(*handlers(server)), server) as address:
        assert await name_of(address, "/websocket") == "mine"
        assert (await fetch(address, "/hello")).body == b"Hello"
        assert (await fetch(address, "/nothing")).code == 404


@pytest.mark.parametrize("prefix", ["/live", "/live.v1", "/(a)"])
async def test_a_prefix(prefix):
    server = named("mine")
    async with listening(application(*handlers(server, prefix=prefix)), server) as address:
        assert await name_of(address, f"{prefix}/websocket") == "mine"
        assert await name_of(address, f"{prefix}/sockjs/websocket") == "mine"
        for path in ("/websocket", "/liveXv1/sockjs", "/a/sockjs", "/sockjs/info"):
            assert (await fetch(address, path)).code == 404


async def test_two_servers_in_one_process():
    one, two = named("one"), named("two")
    rules = [*handlers(one, prefix="/one"), *handlers(two, prefix="/two")]
    async with listening(application(*rules), one, two) as address:
        assert await name_of(address, "/one/websocket") == "one"
        assert await name_of(address, "/two/websocket") == "two"
        await one.stop()
        assert await name_of(address, "/two/websocket") == "two"


class Counting(MemoryBus):
    """A bus that counts its starts, and fails at some."""

    def __init__(self, failures=0):
        super().__init__()
        self.starts = 0
        self.failures = failures

    async def start(self, deliver):
        self.starts += 1
        if self.starts <= self.failures:
            raise DDPError("There is no database at db.example.")
        await super().start(deliver)


async def test_the_server_starts_with_its_first_client():
    bus = Counting()
    async with served(make_server(bus=bus)) as address:
        await fetch(address, "/websocket")
        await fetch(address, "/sockjs/info")
        assert bus.starts == 0  # these were no clients
        async with connect(address), connect(address):
            assert bus.starts == 1


async def test_a_stopped_server_starts_again():
    bus = Counting()
    server = make_server(bus=bus)
    async with served(server) as address:
        for starts in (1, 2):
            async with connect(address) as client:
                assert await client.call("echo", 1) == [1]
                assert bus.starts == starts
            await server.stop()
            await server.stop()


@pytest.mark.parametrize("path", ["/websocket", "/sockjs/000/abcdefgh/websocket"])
async def test_a_bus_that_cannot_start_is_tried_again(path, expect_log):
    expect_log("ddpcore_tornado", "^Cannot serve DDP: There is no database at db.example.$")
    async with served(make_server(bus=Counting(failures=2))) as address:
        for _ in range(2):
            with pytest.raises(websockets.InvalidStatus) as caught:
                async with raw(address, path):
                    pass
            assert caught.value.response.status_code == 503
            assert b"not available" in caught.value.response.body
        async with connect(address) as client:
            assert await client.call("echo", 1) == [1]
