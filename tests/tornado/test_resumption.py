"""Sessions that survive their sockets, over real ones."""

from __future__ import annotations

import asyncio
import json

import pytest
import websockets
from served import make_server, served

SOCKJS = "/sockjs/000/abcdefgh/websocket"


class Socket:
    """A client of Meteor 3.5, as far as counting goes."""

    def __init__(self, socket, sockjs):
        self.socket, self.sockjs = socket, sockjs
        self.received = 0
        self.texts = []

    async def put(self, **message):
        text = json.dumps(message)
        await self.socket.send(json.dumps([text]) if self.sockjs else text)

    async def get(self):
        while not self.texts:
            text = await self.socket.recv()
            if text != "o":
                self.texts += json.loads(text[1:]) if self.sockjs else [text]
        message = json.loads(self.texts.pop(0))
        if message["msg"] not in ("ping", "pong"):
            self.received += 1
        return message

    async def connect(self, **more):
        await self.put(msg="connect", version="1", support=["1"], **more)
        return (await self.get())["session"]

    def abort(self):
        """Go without a word, as a phone in a tunnel does."""
        self.socket.transport.abort()


@pytest.fixture(params=["/websocket", SOCKJS])
def path(request):
    return request.param


@pytest.fixture
def dial(path):
    async def dial(address):
        return Socket(await websockets.connect(f"ws://{address}{path}"), path == SOCKJS)

    return dial


async def gone(server):
    """Wait until no session has a socket."""
    while any(each.transport.receiver is not None for each in server.sessions.values()):
        await asyncio.sleep(0.001)


async def test_a_client_that_returns_finds_everything_as_it_was(dial):
    server, gate = make_server(grace_period=60), asyncio.Event()
    runs = []

    @server.method
    async def slow(ctx):
        runs.append(ctx.connection.id)
        await gate.wait()
        return "done"

    @server.publish("live")
    async def live(ctx):
        runs.append("live")
        ctx.added("c", "1", {"a": 1})
        ctx.ready()
        server.change = lambda: ctx.changed("c", "1", {"a": 2})

    async with served(server) as address:
        first = await dial(address)
        session = await first.connect()
        await first.put(msg="sub", id="s", name="live")
        assert [(await first.get())["msg"] for _ in range(2)] == ["added", "ready"]
        await first.put(msg="method", id="1", method="slow")
        while len(runs) < 2:
            await asyncio.sleep(0.001)
        first.abort()
        await gone(server)

        server.change()
        gate.set()
        second = await dial(address)
        assert await second.connect(session=session, receivedCount=first.received) == session
        await second.put(msg="method", id="1", method="slow")
        await second.put(msg="sub", id="s", name="live")
        await second.put(msg="ping", id="end")
        told = [await second.get() for _ in range(4)]
        assert sorted(message["msg"] for message in told) == [
            "changed",
            "pong",
            "result",
            "updated",
        ]
        assert told[0]["fields"] == {"a": 2}
        assert runs == ["live", session]
        await second.socket.close()


async def test_what_was_lost_in_flight_is_sent_again(dial):
    server = make_server(grace_period=60)
    async with served(server) as address:
        first = await dial(address)
        session = await first.connect()
        await first.put(msg="sub", id="s", name="things", params=[1, 2, 3])
        lost = [await first.get() for _ in range(4)]
        first.abort()
        await gone(server)
        second = await dial(address)
        assert await second.connect(session=session, receivedCount=1) == session
        assert [await second.get() for _ in range(4)] == lost
        await second.socket.close()


async def test_a_half_open_socket_is_closed_when_its_client_is_back(dial):
    server = make_server(grace_period=60)
    async with served(server) as address:
        first, second = await dial(address), await dial(address)
        session = await first.connect()
        assert await second.connect(session=session, receivedCount=1) == session
        await first.socket.wait_closed()
        await second.put(msg="method", id="1", method="echo", params=[1])
        assert {(await second.get())["msg"] for _ in range(2)} == {"updated", "result"}
        assert len(server.sessions) == 1
        await second.socket.close()


async def test_a_goodbye_or_a_wrong_count_ends_the_session(dial):
    server = make_server(grace_period=60)
    async with served(server) as address:
        polite = await dial(address)
        session = await polite.connect()
        await polite.put(msg="disconnect")
        await polite.socket.close()
        while server.sessions:
            await asyncio.sleep(0.001)
        other = await dial(address)
        assert await other.connect(session=session, receivedCount=1) != session
        other.abort()
        await gone(server)
        [session] = server.sessions
        third = await dial(address)
        assert await third.connect(session=session, receivedCount=7) != session
        assert session not in server.sessions
        await third.socket.close()


async def test_a_flood_is_not_read_before_its_turn(dial):
    server, gate = make_server(max_queue=10), asyncio.Event()
    running = []

    @server.method
    async def wait(ctx):
        running.append(1)
        await gate.wait()

    async with served(server) as address:
        client = await dial(address)
        await client.connect()
        for n in range(1000):
            await client.put(msg="method", id=str(n), method="wait")
        while not running:
            await asyncio.sleep(0.001)
        [session] = server.sessions.values()
        await asyncio.sleep(0)
        assert len(session.machine._queue) <= 20
        other = await dial(address)
        await other.connect()  # nobody else notices
        gate.set()
        answered = 0
        while answered < 1000:
            answered += (await client.get())["msg"] == "result"
        await client.socket.close()
        await other.socket.close()
