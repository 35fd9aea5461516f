"""DDP over each of SockJS's transports that are plain HTTP."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from ddp_client import CallError, Client
from served import make_server, served
from sockjs_client import TRANSPORTS, Session, Socket

from ddpcore import DDPError, MeteorError
from ddpcore.bus import MemoryBus

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS)


@asynccontextmanager
async def client_of(address, transport, **connect):
    client = Client(Socket(Session(address, transport)))
    try:
        # A session begins with its first request for frames.
        while client.socket._reading is None:
            await asyncio.sleep(0.001)
        await client.send(msg="connect", version="1", support=["1"], **connect)
        yield client
        assert not client.faults
    finally:
        await client.socket.close()
        await client._reader


def live_server(**options):
    server = make_server(**options)
    server.live = {}

    @server.publish("live")
    async def live(ctx, name):
        server.live[name] = ctx
        ctx.added("c", "1", {"a": 1, "b": "<\u2028/é😀%25</script>"})
        ctx.ready()

    @server.method
    async def fail(ctx):
        raise MeteorError(418, "no <coffee>")

    return server


async def test_a_session(transport):
    server = live_server()
    async with served(server) as address, client_of(address, transport) as client:
        await client.message(msg="connected")
        assert await client.call("echo", "é\u2028\ud83d", {"x": ["%", "<!--"]}) == [
            "é\u2028\ud83d",
            {"x": ["%", "<!--"]},
        ]
        with pytest.raises(CallError) as caught:
            await client.call("fail")
        assert caught.value.error["reason"] == "no <coffee>"

        id = await client.sub("live", "x")
        assert client.docs("c") == {"1": {"a": 1, "b": "<\u2028/é😀%25</script>"}}
        server.live["x"].changed("c", "1", {"a": 2, "b": None})
        server.live["x"].added("c", "2", {"a": "x" * 300_000})
        await client.shows("c", {"1": {"a": 2, "b": None}, "2": {"a": "x" * 300_000}})
        await client.unsub(id)
        assert client.docs("c") == {}


async def test_many_changes_in_order(transport):
    server = live_server()
    async with served(server) as address, client_of(address, transport) as client:
        await client.message(msg="connected")
        await client.sub("live", "x")
        for number in range(300):
            server.live["x"].changed("c", "1", {"a": number + 10})
            if number % 7 == 0:
                await asyncio.sleep(0)
        await client.until(lambda: client.docs("c")["1"]["a"] == 309)
        seen = [m["fields"]["a"] for m in client.data() if m["msg"] == "changed"]
        assert seen == sorted(seen)


async def test_the_address_and_headers_are_those_of_the_request(transport):
    server = make_server()

    @server.method
    async def whoami(ctx):
        (session,) = server.sessions.values()
        return [ctx.connection.client_address, dict(session.transport.headers)]

    async with served(server) as address, client_of(address, transport) as client:
        client.socket.session.headers["User-Agent"] = "too late to matter"
        await client.message(msg="connected")
        peer, headers = await client.call("whoami")
        assert peer == "127.0.0.1"
        assert headers["host"] == address
        assert "user-agent" not in headers


async def test_a_session_that_is_lost_is_resumed(transport):
    server = live_server(grace_period=60)
    async with served(server) as address:
        async with client_of(address, transport) as client:
            session = (await client.message(msg="connected"))["session"]
            await client.sub("live", "x")
            received = len([m for m in client.messages if m["msg"] != "ping"])
            while not server.sessions[session].transport.attached:  # between two polls
                await asyncio.sleep(0.001)
        # It hung up on its request, so the transport is gone at once, and DDP waits.
        while server.sessions[session].transport.receiver is not None:
            await asyncio.sleep(0.001)
        server.live["x"].changed("c", "1", {"a": 2})
        async with client_of(address, transport, session=session, receivedCount=received) as client:
            client.collections = {"c": {"1": {"a": 1}}}
            assert (await client.message(msg="connected"))["session"] == session
            await client.shows("c", {"1": {"a": 2}})
            assert await client.call("echo", 1) == [1]


async def test_a_close_is_announced(transport):
    server = make_server()

    @server.method
    async def leave(ctx):
        ctx.connection.close()

    async with served(server) as address, client_of(address, transport) as client:
        await client.message(msg="connected")
        await client.send(msg="method", id="1", method="leave")
        await client._reader
        assert client.socket.closed == (1000, "Normal closure")
        # Whoever asks again is told again; what is sent is dropped, and accepted.
        again = Session(address, transport, id=client.socket.session.path.rpartition("/")[2])
        assert json.loads((await again.frame())[1:]) == [1000, "Normal closure"]
        await again.send('{"msg":"ping"}')
        again.hang_up()
        assert not server.sessions


async def test_a_server_that_cannot_start_is_not_available(transport, expect_log):
    class Broken(MemoryBus):
        async def start(self, deliver):
            raise DDPError("no database")

    expect_log("ddpcore_tornado", "no database")
    async with served(make_server(bus=Broken())) as address:
        answer = await Session(address, transport).ask()
        assert answer.status == 503
        assert await answer.body() == b"The live service is not available at present.\n"
        answer.hang_up()
