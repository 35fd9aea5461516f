"""The client over real sockets, against servers of this process."""

from __future__ import annotations

import asyncio
import datetime as dt
import json

import pytest
from ddp_client import PATIENCE
from rooms import rooms_served
from served import listening, make_server, served
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from ddpcore import MeteorError, ejson
from ddpcore.testing import FakeClock
from ddpcore_tornado import handlers
from ddpcore_tornado.client import Client, NoConnection, connect


def abort(client: Client) -> None:
    """Lose the connection without a word."""
    client._socket.protocol.stream.close()


async def until(true) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.001)


# --- everything a server offers ----------------------------------------------------------------


async def test_values_of_all_kinds_come_back():
    values = [
        None, True, -7, 1.5, float("inf"), "😀 \u2028", b"\0\xff", [], {"a": [{"b": None}]},
        dt.datetime(2024, 2, 29, tzinfo=dt.UTC), {"$date": "no date"}, {"$escape": 1},
        ejson.ObjectID("0123456789abcdef01234567"), ejson.RegExp("a.b", "i"),
    ]  # fmt: skip
    async with served() as address, connect(address) as client:
        assert await client.call("echo", *values) == values


async def test_methods():
    server = make_server()

    @server.method
    async def void(ctx):
        pass

    @server.method
    async def add(ctx, a: int, b: int) -> int:
        return a + b

    @server.method
    async def fail(ctx):
        raise MeteorError("no-tea", "There is none", {"left": 0})

    @server.method
    async def draw(ctx):
        return ctx.random.id("things")

    @server.method
    async def wait(ctx):
        ctx.unblock()
        await gate.wait()
        return "waited"

    gate = asyncio.Event()
    async with served(server) as address, connect(address) as client:
        assert await client.call("void") is None
        assert await client.call("add", 1, 2) == 3
        with pytest.raises(MeteorError, match="There is none") as caught:
            await client.call("fail")
        assert (caught.value.error, caught.value.details) == ("no-tea", {"left": 0})
        with pytest.raises(MeteorError, match="404"):
            await client.call("none")
        with pytest.raises(MeteorError, match="400"):
            await client.call("add", "x", 2)
        one, two = [await client.call("draw", random_seed="seed") for _ in range(2)]
        assert one == two != await client.call("draw")
        waiting = asyncio.create_task(client.call("wait"))
        assert await client.call("add", 2, 2) == 4
        gate.set()
        assert await waiting == "waited"
        with pytest.raises(TypeError):
            await client.call("add", object(), 2)


async def test_subscriptions():
    server = make_server()

    @server.publish("denied")
    def denied(ctx):
        raise MeteorError(403, "No entry")

    @server.publish("short")
    def short(ctx):
        ctx.stop()

    @server.publish("book")
    async def book(ctx, field, value):
        ctx.added("books", "1", {field: value, "both": value})
        ctx.ready()

    async with served(server) as address, connect(address) as client:
        with pytest.raises(MeteorError, match="No entry"):
            await client.subscribe("denied").ready()
        with pytest.raises(NoConnection, match="ended before it was ready"):
            await client.subscribe("short").ready()
        with pytest.raises(MeteorError, match="404"):
            await client.subscribe("none").ready()

        books = client.collection("books")
        assert (len(books), "1" in books, client.collections) == (0, False, [])
        first = await client.subscribe("book", "title", "Emma").ready()
        second = await client.subscribe("book", "year", 1815).ready()
        assert dict(books) == {"1": {"title": "Emma", "year": 1815, "both": "Emma"}}
        await first.stop()
        await first.stop()
        assert dict(books) == {"1": {"year": 1815, "both": 1815}}
        assert client.collections == ["books"]
        await second.stop()
        assert (dict(books), client.collections, second.stopped) == ({}, [], True)


async def test_changes_as_they_come():
    async with rooms_served() as (rooms, address), connect(address) as client:
        subscription = client.subscribe("room", "a", 2)
        news = client.collection("rows").changes()
        others = client.collection("others").changes()
        heard = []
        client.on_change = lambda change: heard.append(change.kind)
        subscription.on_ready = lambda: heard.append("ready")
        await subscription.ready()
        await rooms.change("a0")
        kinds = [await anext(news) for _ in range(3)]
        assert [(each.kind, each.id, dict(each.fields)) for each in kinds] == [
            ("added", "a0", {"n": 0}), ("added", "a1", {"n": 0}), ("changed", "a0", {"n": 1}),
        ]  # fmt: skip
        assert heard == ["added", "added", "ready", "changed"]

        async def collect():
            return [change.kind async for change in subscription]

        collecting = asyncio.create_task(collect())
        await asyncio.sleep(0)
        await subscription.stop()
        assert await collecting == ["removed", "removed"]
    assert [each.kind async for each in news] == ["removed", "removed"]
    assert [each async for each in others] == []


# --- connections that are lost -----------------------------------------------------------------


async def test_a_session_that_goes_on():
    async with rooms_served(grace_period=60) as (rooms, address), connect(address) as client:
        await client.subscribe("room", "a", 2).ready()
        session, changes = client.session, client.changes()
        abort(client)
        await until(lambda: not client.connected.is_set())
        await rooms.change("a0")
        await client.connected.wait()
        assert await client.call("echo", 1) == 1
        assert client.session == session
        assert dict(client.collection("rows")) == rooms.shown("a")
        assert [(await anext(changes)).kind] == ["changed"]


async def test_a_session_that_is_gone():
    async with rooms_served() as (rooms, address), connect(address) as client:
        await client.subscribe("room", "a", 3).ready()
        session, changes = client.session, client.changes()
        abort(client)
        await until(lambda: not rooms.server.sessions)
        del rooms.rows["a1"]
        await rooms.change("a0")
        # Until the server has told all anew, there is what there was.
        assert len(client.collection("rows")) == 3
        await until(lambda: len(client.collection("rows")) == 3 and rooms.rows.keys() >= {"a1"})
        await until(lambda: client.collection("rows")["a0"] == {"n": 1})
        assert client.session != session
        found = await anext(changes)
        assert (found.kind, found.id) == ("changed", "a0")
        assert changes._waiting == type(changes._waiting)()  # a1 is as it was: no word of it


async def test_calls_are_sent_again_or_fail():
    server, runs = make_server(grace_period=60), []
    gate = asyncio.Event()

    @server.method
    async def work(ctx, name):
        ctx.unblock()
        runs.append(name)
        await gate.wait()
        return name

    async with served(server) as address, connect(address) as client:
        patient = asyncio.create_task(client.call("work", "patient"))
        strict = asyncio.create_task(client.call("work", "strict", retry=False))
        await until(lambda: len(runs) == 2)
        abort(client)
        with pytest.raises(MeteorError) as caught:
            await strict
        assert caught.value.error == "invocation-failed"
        gate.set()
        assert await patient == "patient"
        assert runs == ["patient", "strict"]  # this server knows the call by its id


async def test_a_call_that_is_given_up_is_not_sent_later():
    clock = FakeClock()
    async with served() as address, connect(address, clock=clock, heartbeat_interval=0) as client:
        abort(client)
        await until(lambda: not client.connected.is_set())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await client.call("echo", 1)
        assert client._machine._calls == {}


async def test_pauses_grow_and_end_with_a_connection():
    clock = FakeClock()
    server = make_server()
    async with served(server) as address:
        client_cm = connect(address, clock=clock, fraction=lambda: 0.5, heartbeat_interval=0)
        client = await client_cm.__aenter__()
    pauses = []
    for _ in range(4):
        await until(lambda: client._retry is not None)
        pauses.append(client._retry.when() - clock.time())
        await clock.advance(pauses[-1])
    assert pauses == pytest.approx([0.01, 0.01, 4.84, 10.648])
    assert "Nothing listens" in client.trouble or "closed the connection" in client.trouble
    await client_cm.__aexit__(None, None, None)


class Silent(WebSocketHandler):
    """Greets, and never says a word again."""

    def on_message(self, message):
        if json.loads(message)["msg"] == "connect":
            self.write_message('{"msg":"connected","session":"one"}')


class Mute(WebSocketHandler):
    def initialize(self, greeted):
        self.greeted = greeted

    def on_message(self, message):
        self.greeted.set()


async def test_a_silent_server_is_left():
    clock = FakeClock()
    async with (
        listening(Application([("/websocket", Silent)])) as address,
        connect(address, clock=clock) as client,
    ):
        await clock.advance(17.5)
        assert client.connected.is_set()
        await clock.advance(15)
        assert not client.connected.is_set()
        assert "silent" in client.trouble


async def test_a_server_that_does_not_greet():
    clock, greeted = FakeClock(), asyncio.Event()

    async def wait_in_vain():
        await greeted.wait()
        await clock.advance(10)

    waiting = asyncio.create_task(wait_in_vain())
    rule = ("/websocket", Mute, {"greeted": greeted})
    async with listening(Application([rule])) as address:
        with pytest.raises(NoConnection, match="did not answer `connect`"):
            async with connect(address, clock=clock):
                pass
    await waiting


async def test_what_is_no_server():
    async with listening(Application([], log_function=lambda _: None)) as address:
        with pytest.raises(NoConnection, match="404"):
            async with connect(address):
                pass
    with pytest.raises(NoConnection, match="Nothing listens"):
        async with connect(address):
            pass


async def test_without_reconnecting_a_loss_is_the_end():
    async with served() as address, connect(address, reconnect=False) as client:
        abort(client)
        await client.gone()
        with pytest.raises(ConnectionError, match="closed the connection"):
            await client.call("echo")
        with pytest.raises(ConnectionError):
            client.subscribe("things")


async def test_what_is_open_at_the_close_fails():
    server, gate = make_server(), asyncio.Event()

    @server.method
    async def never(ctx):
        ctx.unblock()
        await gate.wait()

    async with served(server) as address:
        async with connect(address) as client:
            call = asyncio.create_task(client.call("never"))
            await client.call("echo")
        with pytest.raises(ConnectionError, match="closed"):
            await call
        await client.close()
        # It said goodbye: the session does not wait for it.
        await until(lambda: not server.sessions)
        gate.set()


async def test_headers_and_prefixes():
    server = make_server()

    @server.method
    async def agent(ctx):
        return ctx.connection.headers["user-agent"]

    application = Application(handlers(server, prefix="/app"), log_function=lambda _: None)
    async with listening(application, server) as address:
        url = f"http://{address}/app/"
        async with connect(url, headers={"User-Agent": "tests"}) as client:
            assert await client.call("agent") == "tests"


async def test_a_message_that_is_too_large():
    async with served() as address, connect(address, max_message_size=1000) as client:
        assert await client.call("echo", "x" * 500)
        call = asyncio.create_task(client.call("echo", "x" * 5000, retry=False))
        with pytest.raises(MeteorError, match="lost"):
            await call


async def test_traffic_is_counted():
    async with served() as address, connect(address) as client:
        before = client.traffic.bytes_out
        await client.call("echo")
        text = '{"msg":"method","id":"1","method":"echo","params":[]}'
        assert client.traffic.bytes_out - before == len(text)
        assert client.traffic.messages_in >= 3
