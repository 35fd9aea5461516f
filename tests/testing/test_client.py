"""The public client in memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

import ddpcore
from ddpcore import UNSET, MeteorError, Server
from ddpcore.testing import Client, RecordingTransport, Runner, Store, connect, running, turns
from ddpcore.wire import messages

WHEN = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def server():
    server = Server()

    @server.method
    async def echo(ctx, value):
        return value

    @server.method
    async def nothing(ctx):
        return UNSET

    @server.method
    async def fail(ctx):
        raise MeteorError("no", "Not today", {"why": 1})

    @server.method
    def who(ctx):
        return [ctx.user_id, ctx.connection.client_address, dict(ctx.connection.headers)]

    @server.method
    async def kick(ctx):
        ctx.connection.close()

    @server.method
    async def for_ever(ctx):
        await asyncio.Event().wait()

    @server.publish("books")
    async def books(ctx, title):
        ctx.added("books", "1", {"title": title, "at": WHEN})
        ctx.ready()
        ctx.changed("books", "1", {"title": f"{title}!"})

    @server.publish("quiet")
    async def quiet(ctx):
        ctx.added("books", "2", {})

    @server.publish("over")
    async def over(ctx):
        ctx.stop()

    @server.publish("refused")
    async def refused(ctx):
        raise MeteorError(403, "Not you")

    return server


# --- calls and subscriptions --------------------------------------------------------------------


async def test_a_call_returns_what_the_method_returned(server):
    async with connect(server) as client:
        for value in (1, None, "x", {"at": WHEN, "$date": 1}, [b"bytes", float("inf")]):
            assert await client.call("echo", value) == value
        assert await client.call("nothing") is UNSET


async def test_calls_may_overlap(server):
    async with connect(server) as client:
        values = await asyncio.gather(*(client.call("echo", n) for n in range(20)))
        assert values == list(range(20))


async def test_a_call_raises_what_clients_see(server):
    async with connect(server) as client:
        with pytest.raises(MeteorError) as caught:
            await client.call("fail")
        problem = caught.value
        assert (problem.error, problem.reason, problem.details) == ("no", "Not today", {"why": 1})
        with pytest.raises(MeteorError, match="404"):
            await client.call("unknown")


async def test_a_subscription_from_its_begin_to_its_end(server):
    async with connect(server) as client:
        assert client.collection("books") == {}
        subscription = await client.subscribe("books", "Emma")
        assert (subscription.ready, subscription.stopped, subscription.error) == (True, False, None)
        assert "ready" in repr(subscription)
        await client.until(lambda: client.collection("books")["1"]["title"] == "Emma!")
        before = client.collection("books")
        assert before == {"1": {"title": "Emma!", "at": WHEN}}
        await subscription.stop()
        await subscription.stop()
        assert subscription.stopped
        assert client.collection("books") == {}
        assert before["1"]["title"] == "Emma!"


async def test_a_subscription_that_is_never_ready(server):
    async with connect(server) as client:
        subscription = await client.subscribe("quiet", wait=False)
        await client.until(lambda: client.collection("books"))
        assert not subscription.ready
        await subscription.stop()


async def test_a_subscription_that_the_server_ends(server):
    async with connect(server) as client:
        subscription = await client.subscribe("over")
        assert (subscription.ready, subscription.stopped, subscription.error) == (False, True, None)
        with pytest.raises(MeteorError, match=r"Not you \[403\]"):
            await client.subscribe("refused")
        with pytest.raises(MeteorError, match="404"):
            await client.subscribe("unknown")


async def test_who_the_client_is(server):
    headers = {"User-Agent": "tests", "Cookie": "secret"}
    async with connect(server, user_id="7", address="10.0.0.1", headers=headers) as client:
        assert await client.call("who") == ["7", "10.0.0.1", {"user-agent": "tests"}]
    async with connect(server) as client:
        assert await client.call("who") == [None, "127.0.0.1", {}]


# --- the wire -----------------------------------------------------------------------------------


async def test_messages_and_frames_are_kept(server):
    async with connect(server) as client:
        client.send({"msg": "method", "id": "mine", "method": "echo", "params": [{"$date": 0}]})
        result = await client.message(msg="result", id="mine")
        assert result["result"] == {"$date": 0}
        client.send("no JSON")
        assert (await client.message(msg="error"))["reason"] == "Bad request"
        client.send(b'{"msg":"ping","id":"p"}')
        await client.message(msg="pong", id="p")
        assert client.messages[0] == {"msg": "connected", "session": client.session}
        assert len(client.transport.frames) == len(client.messages)
        client.messages.clear()
        assert await client.call("echo", 1) == 1


async def test_waiting_ends_with_the_connection(server):
    async with connect(server) as client:
        client.send({"msg": "method", "id": "1", "method": "kick", "params": []})
        await client.until(lambda: client.closed)
        assert client.closed == (1000, "Normal closure")
        with pytest.raises(ConnectionError, match="Normal closure"):
            await client.until(lambda: False)
        with pytest.raises(ConnectionError, match="closed"):
            await client.call("echo", 1)
    async with connect(server) as client:
        client.leave()
        client.leave()
        with pytest.raises(ConnectionError, match="by the client"):
            await client.until(lambda: False)
        with pytest.raises(ConnectionError, match="by the client"):
            client.send({"msg": "ping"})


async def test_patience_ends(server):
    async with connect(server, patience=0.01) as client:
        with pytest.raises(TimeoutError, match=r"The last messages:\n.*connected"):
            await client.until(lambda: False)

        def fail():
            raise TimeoutError("mine")

        with pytest.raises(TimeoutError, match="mine"):
            await client.until(fail)


# --- discipline ---------------------------------------------------------------------------------

ADDED = b'{"msg":"added","collection":"books","id":"9"}'


async def test_undisciplined_messages_fail_the_test_and_not_the_server(server):
    with pytest.raises(AssertionError, match="added twice"):
        async with connect(server) as client:
            client.transport.send([messages.Frame(ADDED)])
            client.transport.send([messages.Frame(ADDED)])
    async with connect(server) as client:
        client.transport.send([messages.Frame(ADDED)])
        client.transport.send([messages.Frame(ADDED)])
        with pytest.raises(AssertionError, match="added twice"):
            await client.call("echo", 1)
        client._fault = None


async def test_nothing_comes_after_the_close(server):
    with pytest.raises(AssertionError, match="after the close"):
        async with connect(server) as client:
            client.transport.close(1000, "over")
            client.transport.send([messages.Frame(ADDED)])
    assert client.transport.late


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"msg": "added"}, "added twice"),
        ({"msg": "changed", "id": "2", "fields": {"a": 1}}, "without being there"),
        ({"msg": "removed", "id": "2"}, "without being there"),
        ({"msg": "changed"}, "says nothing"),
        ({"msg": "changed", "fields": {}}, "empty fields"),
        ({"msg": "changed", "cleared": []}, "empty cleared"),
        ({"msg": "changed", "fields": {"a": 1}}, "did not change"),
        ({"msg": "changed", "cleared": ["b"]}, "was not there"),
    ],
)
def test_the_store_is_strict(message, problem):
    store = Store()
    store.take({"msg": "added", "collection": "books", "id": "1", "fields": {"a": 1}})
    with pytest.raises(AssertionError, match=problem):
        store.take({"collection": "books", "id": "1", **message})


def test_true_is_not_one():
    store = Store()
    store.take({"msg": "added", "collection": "books", "id": "1", "fields": {"a": 1}})
    store.take({"msg": "changed", "collection": "books", "id": "1", "fields": {"a": True}})
    assert store.docs("books")["1"]["a"] is True


async def test_a_collection_that_is_not_merged_is_taken_as_it_comes(server):
    server.set_publication_strategy("books", ddpcore.NO_MERGE_NO_HISTORY)
    async with connect(server) as client:
        one = await client.subscribe("books", "Emma")
        await client.subscribe("books", "Persuasion")
        await client.until(lambda: client.collection("books")["1"]["title"] == "Persuasion!")
        await one.stop()
        assert len([m for m in client.messages if m["msg"] == "added"]) == 2


# --- transport ----------------------------------------------------------------------------------


class Ear:
    def __init__(self):
        self.heard = []

    def receive(self, text):
        self.heard.append(text)

    def lost(self):
        self.heard.append("lost")


async def test_a_session_that_does_not_read_is_brought_nothing():
    transport = RecordingTransport()
    ear = transport.receiver = Ear()
    transport.put("1")
    transport.pause_reading()
    transport.put("2")
    transport.put("3")
    assert ear.heard == ["1"]
    transport.resume_reading()
    assert ear.heard == ["1"]
    await turns()
    assert ear.heard == ["1", "2", "3"]
    transport.pause_reading()
    transport.put("never")
    transport.lose()
    transport.resume_reading()
    await turns()
    assert ear.heard == ["1", "2", "3", "lost"]


# --- running ------------------------------------------------------------------------------------


def runs(server):
    try:
        return bool(server.crossbar)
    except ddpcore.DDPError:
        return False


async def test_the_last_client_stops_the_server_that_the_first_started(server):
    first, second = connect(server), connect(server)
    one = await first.__aenter__()
    two = await second.__aenter__()
    await first.__aexit__(None, None, None)
    assert one is not two
    assert await two.call("echo", 2) == 2
    await second.__aexit__(None, None, None)
    assert not runs(server)
    async with connect(server) as client:
        assert await client.call("echo", 3) == 3


async def test_a_server_that_runs_is_left_running(server):
    await server.start()
    async with running(server), connect(server):
        pass
    assert runs(server)
    await server.stop()


async def test_a_server_that_cannot_start_says_so():
    class Broken(ddpcore.MemoryBus):
        async def start(self, deliver):
            raise ddpcore.DDPError("No bus today")

    server = Server(bus=Broken())
    for _ in range(2):
        with pytest.raises(ddpcore.DDPError, match="No bus today"):
            async with connect(server):
                pass


async def test_the_clients_of_a_test_that_fails_leave(server):
    with pytest.raises(ZeroDivisionError):
        async with connect(server) as client:
            1 / 0
    assert isinstance(client, Client)
    assert not runs(server)


def test_a_runner_runs_clients_in_plain_functions(server):
    with Runner() as ddp:
        one, two = ddp.connect(server), ddp.connect(server, user_id="2")
        assert ddp.run(one.call("echo", 1)) == 1
        assert ddp.run(two.call("who"))[0] == "2"
        assert ddp.run(asyncio.wait_for(one.call("echo", 1), 5)) == 1
    assert not runs(server)


def test_a_runner_reports_undisciplined_servers(server):
    ddp = Runner()
    client = ddp.connect(server)
    client.transport.send([messages.Frame(ADDED)])
    client.transport.send([messages.Frame(ADDED)])
    with pytest.raises(AssertionError, match="added twice"):
        ddp.close()
    assert not runs(server)
