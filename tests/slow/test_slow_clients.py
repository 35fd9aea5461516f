"""Clients that stop reading, over real sockets of each kind, and what others notice of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from ddp_client import connect
from slow_client import HTTP, KINDS, TLS, WEBSOCKETS, slow_client
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from ddpcore import Server
from ddpcore.testing import FakeClock
from ddpcore_tornado import handlers

HIGH_WATER = 16_384
DOCUMENTS = 20
ROUNDS = 50
"""Changes of each document while the client takes nothing at all."""

TEXT = "x" * 500


class Library:
    """A server whose documents are changed by the test, for all who have subscribed.

    Attributes:
        books: What everybody should have.
        go: Lets the methods that wait go on, one for each `set()`.
    """

    def __init__(self, **options) -> None:
        self.server = Server(
            high_water=HIGH_WATER, heartbeat_interval=0, grace_period=0, connect_timeout=0,
            **options,
        )  # fmt: skip
        self.books = {f"b{n}": {"version": 0, "text": TEXT} for n in range(DOCUMENTS)}
        self.readers = []
        self.waiting = asyncio.Semaphore(0)
        self.server.method(self.echo)
        self.server.method(self.write)
        self.server.publish("books")(self.publish)

    async def publish(self, ctx):
        self.readers.append(ctx)
        ctx.on_stop(lambda: self.readers.remove(ctx))
        for id, fields in self.books.items():
            ctx.added("books", id, fields)
        ctx.ready()

    async def echo(self, ctx, value):
        return value

    async def write(self, ctx, id, version):
        """Wait until the test lets it go on, then change a book."""
        await self.waiting.acquire()
        self.change(id, version)
        return version

    def change(self, id, version):
        self.books[id] = {"version": version, "text": TEXT}
        for ctx in self.readers:
            ctx.changed("books", id, {"version": version})
            ctx.changed("books", id, {"text": f"{TEXT}{version}"})
            ctx.changed("books", id, {"text": TEXT})

    async def round(self, version):
        for id in self.books:
            self.change(id, version)
            await asyncio.sleep(0)


@asynccontextmanager
async def library(kind, tls, **options):
    """A library behind a plain socket, and behind one with TLS: the addresses."""
    made = Library(**options)
    application = Application(handlers(made.server), log_function=lambda _: None)
    plain = HTTPServer(application)
    (socket,) = bind_sockets(0, "127.0.0.1")
    plain.add_socket(socket)
    servers, addresses = [plain], ["{}:{}".format(*socket.getsockname())] * 2
    if kind == TLS:
        secure = HTTPServer(application, ssl_options=tls[0])
        (socket,) = bind_sockets(0, "127.0.0.1")
        secure.add_socket(socket)
        servers.append(secure)
        addresses[1] = "{}:{}".format(*socket.getsockname())
    try:
        yield made, *addresses
    finally:
        for each in servers:
            each.stop()
            await each.close_all_connections()
        await made.server.stop()


async def until_blocked(made, version=1):
    """Change books until somebody does not take it; the next version."""
    while not made.server.traffic.blocked:
        await made.round(version)
        version += 1
    return version


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_does_not_read_gets_each_document_once_and_others_notice_nothing(
    kind, request
):
    tls = request.getfixturevalue("tls") if kind == TLS else None
    async with library(kind, tls) as (made, near, address):
        server, traffic = made.server, made.server.traffic
        async with slow_client(address, kind, tls and tls[1]) as slow, connect(near) as other:
            await slow.sub("books")
            await other.sub("books")
            # Calls that will be answered while the client reads nothing.
            calls = {f"w{n}": (f"b{n}", -n) for n in range(1, 4)}
            await slow.send(msg="method", id="e", method="echo", params=[1])
            await slow.message(msg="updated", methods=["e"])
            for id, (book, version) in calls.items():
                await slow.send(msg="method", id=id, method="write", params=[book, version])
            slow.socket.stop()
            version = await until_blocked(made)
            seen, together, slowed = len(other.messages), traffic.put_together, traffic.slowed
            for _ in calls:
                made.waiting.release()
                await made.round(version)
                version += 1
            for _ in range(ROUNDS):
                await made.round(version)
                version += 1
                assert await other.call("echo", version) == version
            # The other one was told of every change; the slow one will be told what has come of it.
            await other.shows("books", made.books)
            told = [each for each in other.messages[seen:] if each["msg"] == "changed"]
            assert len(told) >= 3 * DOCUMENTS * ROUNDS
            assert traffic.put_together - together >= 3 * DOCUMENTS * (ROUNDS - 1)
            assert (traffic.blocked, traffic.slowed, traffic.cut_off) == (1, slowed, 0)
            # What waits is of documents and answers, however much has happened.
            [session] = [each for each in server.sessions.values() if each.machine.outbox.blocked]
            outbox = session.machine.outbox
            assert outbox.held <= 2 * len(calls)
            assert len(outbox._order) <= DOCUMENTS + 2 * len(calls)
            frames = traffic.frames

            slow.socket.go_on()
            await slow.shows("books", made.books)
            for id in calls:
                await slow.message(msg="result", id=id)
                await slow.message(msg="updated", methods=[id])
            assert traffic.frames - frames <= DOCUMENTS + 2 * len(calls)
            assert (traffic.blocked, outbox.held, outbox.flowing) == (0, 0, True)
            kinds = [each for each in slow.messages if each["msg"] in ("result", "updated")]
            results = [each["id"] for each in kinds if each["msg"] == "result"]
            assert results == ["e", *calls]
            assert [each["msg"] for each in slow.messages if each["msg"] == "ready"] == ["ready"]
            # It is as good as new.
            assert await slow.call("echo", 2) == 2


@pytest.mark.parametrize("kind", WEBSOCKETS)
async def test_what_updated_promises_came_before_it(kind, request):
    tls = request.getfixturevalue("tls") if kind == TLS else None
    async with (
        library(kind, tls) as (made, _, address),
        slow_client(address, kind, tls and tls[1]) as slow,
    ):
        await slow.sub("books")
        await slow.send(msg="method", id="w", method="write", params=["b3", "written"])
        slow.socket.stop()
        version = await until_blocked(made)
        made.waiting.release()
        while made.books["b3"]["version"] != "written":
            await asyncio.sleep(0)
        written = dict(made.books)
        seen = {}

        def watch(message):
            if message["msg"] == "updated":
                seen.update({id: dict(each) for id, each in slow.docs("books").items()})

        take = slow._take
        slow._take = lambda message: (watch(message), take(message))
        slow.socket.go_on()
        await slow.message(msg="updated", methods=["w"])
        assert seen["b3"] == written["b3"]
        assert version


@pytest.mark.parametrize("kind", WEBSOCKETS)
async def test_one_that_takes_nothing_for_too_long_is_closed_and_told_why(kind, request):
    tls = request.getfixturevalue("tls") if kind == TLS else None
    clock = FakeClock()
    async with library(kind, tls, clock=clock, stuck_timeout=60.0) as (made, near, address):
        traffic = made.server.traffic
        async with slow_client(address, kind, tls and tls[1]) as slow, connect(near) as other:
            await slow.sub("books")
            await other.sub("books")
            slow.socket.stop()
            version = await until_blocked(made)
            await clock.advance(59.0)
            await made.round(version)
            assert traffic.cut_off == 0
            assert len(made.server.sessions) == 2
            await clock.advance(1.0)
            assert (traffic.cut_off, traffic.blocked) == (1, 0)
            assert len(made.server.sessions) == 1
            await made.round(version + 1)
            await other.shows("books", made.books)
            assert await other.call("echo", 1) == 1
            slow.socket.go_on()
            await slow._reader
            assert slow.socket.closed == (1008, "Too slow: nothing was taken for 60 s")


@pytest.mark.parametrize("kind", WEBSOCKETS)
async def test_one_that_never_reads_again_is_cut_off(kind, request, monkeypatch):
    monkeypatch.setattr("ddpcore_tornado.connection.CLOSE_PATIENCE", 0.0)
    tls = request.getfixturevalue("tls") if kind == TLS else None
    clock = FakeClock()
    async with (
        library(kind, tls, clock=clock, stuck_timeout=60.0) as (made, near, address),
        slow_client(address, kind, tls and tls[1]) as slow,
        connect(near) as other,
    ):
        await slow.sub("books")
        slow.socket.stop()
        await until_blocked(made)
        [transport] = [
            each.transport for each in made.server.sessions.values() if each.machine.outbox.blocked
        ]
        await clock.advance(60.0)
        await transport.wait_closed()
        assert await other.call("echo", 1) == 1


@pytest.mark.parametrize("kind", HTTP)
async def test_one_that_asks_no_more_over_http_is_given_up(kind):
    clock = FakeClock()
    async with (
        library(kind, None, clock=clock, stuck_timeout=60.0) as (made, near, address),
        slow_client(address, kind) as slow,
        connect(near) as other,
    ):
        await slow.sub("books")
        await other.sub("books")
        slow.socket.stop()
        version = await until_blocked(made)
        await clock.advance(60.0)
        assert len(made.server.sessions) == 1
        assert made.server.traffic.blocked == 0
        await made.round(version)
        await other.shows("books", made.books)
