"""149-152 and 156: SockJS, compression, and clients that come back. See docs/reference/conformance.md."""

from __future__ import annotations

import asyncio
import json

import pytest
import websockets
from drivers import ready
from served import CONNECT, closing, fetch, make_server, raw, served
from sockjs_client import Session

from ddpcore import MeteorError, Server
from ddpcore.testing import FakeClock

WEBSOCKET = "/sockjs/123/abcd0123/websocket"
POLLS = pytest.mark.parametrize("transport", ["xhr", "jsonp"])


def messages(frame):
    assert frame[0] == "a", frame
    return [json.loads(text) for text in json.loads(frame[1:])]


# --- 149 ------------------------------------------------------------------------------------------


async def test_149_info_says_what_there_is():
    async with served() as address:
        answers = [await fetch(address, "/sockjs/info?t=1") for _ in range(2)]
    first, second = (json.loads(each.body) for each in answers)
    entropy = first.pop("entropy"), second.pop("entropy")
    assert entropy[0] != entropy[1]
    assert all(0 <= each < 2**32 for each in entropy)
    assert first == second == {"websocket": True, "origins": ["*:*"], "cookie_needed": False}
    assert "no-store" in answers[0].headers["Cache-Control"]


async def test_149_info_may_be_read_by_pages_that_may_connect():
    origin = "https://app.example.com"
    async with served(origins=[origin]) as address:
        own = await fetch(address, "/sockjs/info", Origin=origin)
        assert own.headers["Access-Control-Allow-Origin"] == origin
        assert own.headers["Access-Control-Allow-Credentials"] == "true"
        assert own.headers["Vary"] == "Origin"
        plain = await fetch(address, "/sockjs/info")
        assert plain.headers["Access-Control-Allow-Origin"] == "*"
        asked = await fetch(address, "/sockjs/info", "OPTIONS", Origin=origin)
        assert (asked.code, asked.headers["Access-Control-Max-Age"]) == (204, "31536000")
        foreign = await fetch(address, "/sockjs/info", Origin="https://evil.example")
        assert "Access-Control-Allow-Origin" not in foreign.headers


async def test_149_sockjs_frames_on_a_websocket():
    async with served() as address, raw(address, WEBSOCKET) as socket:
        assert await socket.recv() == "o"
        await socket.send(json.dumps([CONNECT]))
        (connected,) = messages(await socket.recv())
        assert connected["msg"] == "connected"
        await socket.send(json.dumps(json.dumps({"msg": "ping", "id": "alone"})))
        assert messages(await socket.recv()) == [{"msg": "pong", "id": "alone"}]
        await socket.send("")  # ignored
        both = [json.dumps({"msg": "ping", "id": id}) for id in ("1", "2")]
        await socket.send(json.dumps(both))
        pongs = []
        while len(pongs) < 2:
            pongs += messages(await socket.recv())
        assert pongs == [{"msg": "pong", "id": id} for id in ("1", "2")]


@pytest.mark.parametrize("text", ["no json", '["open', '{"msg":"ping"}', "[1]", "[[]]"])
async def test_149_a_frame_that_is_none_closes(text):
    async with served() as address, raw(address, WEBSOCKET) as socket:
        assert await socket.recv() == "o"
        await socket.send(text)
        assert await closing(socket) == (3000, "Broken framing.")


# --- 150 ------------------------------------------------------------------------------------------


@POLLS
async def test_150_polling_carries_whole_sessions(transport):
    async with served() as address:
        session = Session(address, transport)
        assert await session.frame() == "o"
        await session.send(CONNECT)
        (connected,) = messages(await session.frame())
        assert connected["msg"] == "connected"

        # What has come by the next poll is in one frame.
        await session.send(
            json.dumps({"msg": "sub", "id": "s", "name": "things", "params": [1, 2]}),
            json.dumps({"msg": "method", "id": "m", "method": "echo", "params": ["é\u2028"]}),
            json.dumps({"msg": "ping", "id": "p"}),
        )
        heard = []
        while len(heard) < 6:
            heard += messages(await session.frame())
        assert [each["fields"] for each in heard if each["msg"] == "added"] == [
            {"value": 1},
            {"value": 2},
        ]
        for message in (
            ready("s"),
            {"msg": "result", "id": "m", "result": ["é\u2028"]},
            {"msg": "updated", "methods": ["m"]},
            {"msg": "pong", "id": "p"},
        ):
            assert message in heard


@POLLS
async def test_150_what_comes_between_polls_is_one_frame(transport):
    async with served() as address:
        session = Session(address, transport)
        assert await session.frame() == "o"
        pings = [json.dumps({"msg": "ping", "id": str(id)}) for id in range(5)]
        await session.send(CONNECT, *pings)  # answered when all have been taken
        connected, *pongs = messages(await session.frame())
        assert connected["msg"] == "connected"
        assert [each["id"] for each in pongs] == ["0", "1", "2", "3", "4"]


@POLLS
async def test_150_a_session_lives_for_a_minute_between_polls(transport):
    clock = FakeClock()
    server = make_server(clock=clock, heartbeat_interval=0)
    async with served(server) as address:
        session = Session(address, transport)
        assert await session.frame() == "o"
        await session.send(CONNECT)
        messages(await session.frame())
        for _ in range(3):
            await clock.advance(59.9)
            await session.send(json.dumps({"msg": "ping", "id": "still"}))
            assert messages(await session.frame()) == [{"msg": "pong", "id": "still"}]
        await clock.advance(60.1)
        assert server.sessions == {}
        assert (await session.post(json.dumps([CONNECT])))[0] == 404


# --- 151 ------------------------------------------------------------------------------------------


def closing_server():
    server = Server(grace_period=0)

    @server.method
    async def leave(ctx):
        ctx.connection.close()

    return server


LEAVE = json.dumps({"msg": "method", "id": "1", "method": "leave", "params": []})


async def test_151_the_close_frame_on_a_websocket():
    async with served(closing_server()) as address, raw(address, WEBSOCKET) as socket:
        assert await socket.recv() == "o"
        await socket.send(json.dumps([CONNECT, LEAVE]))
        while (text := await socket.recv())[0] == "a":
            pass
        assert text == 'c[1000,"Normal closure"]'
        assert await closing(socket) == (1000, "Normal closure")


@pytest.mark.parametrize("transport", ["xhr", "jsonp", "xhr_streaming", "eventsource", "htmlfile"])
async def test_151_the_close_frame_over_http(transport):
    async with served(closing_server()) as address:
        session = Session(address, transport)
        assert await session.frame() == "o"
        await session.send(CONNECT, LEAVE)
        while (text := await session.frame())[0] == "a":
            pass
        assert text == 'c[1000,"Normal closure"]'
        session.hang_up()
        assert await session.frame() == text  # whoever asks again is told again
        session.hang_up()


async def test_151_a_raw_websocket_has_the_code_alone():
    async with served(closing_server()) as address, raw(address) as socket:
        await socket.send(CONNECT)
        await socket.send(LEAVE)
        with pytest.raises(websockets.ConnectionClosed) as caught:
            while True:
                await socket.recv()
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1000, "Normal closure")


# --- 152 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/websocket", WEBSOCKET])
async def test_152_compression_is_declined_and_all_works_without(path):
    async with served() as address, raw(address, path, compression="deflate") as socket:
        assert "permessage-deflate" in socket.request.headers["Sec-WebSocket-Extensions"]
        assert "Sec-WebSocket-Extensions" not in socket.response.headers
        assert socket.protocol.extensions == []
        if path != "/websocket":
            assert await socket.recv() == "o"
        await socket.send(CONNECT if path == "/websocket" else json.dumps([CONNECT]))
        assert "connected" in await socket.recv()


# --- 156 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 100])
async def test_156_whoever_comes_back_has_all_subscriptions_answered(ddp, count):
    server = Server()
    gone, gate = set(), asyncio.Event()

    @server.publish("thing")
    async def thing(ctx, number: int):
        if number % 3 == 0:
            await gate.wait()  # a slow one
        if number in gone:
            raise MeteorError(403, "Gone")
        ctx.added("things", str(number), {"number": number})
        ctx.ready()

    async def subscribe(client):
        # As Meteor's client does: all at once, and then it waits until each has its answer.
        for number in range(count):
            await client.sub(f"s{number}", "thing", number)
        gate.set()
        waiting = {f"s{number}" for number in range(count)}
        refused = set()
        while waiting:
            message = await client.hear()
            if message["msg"] == "ready":
                waiting -= set(message["subs"])
            elif message["msg"] == "nosub":
                waiting.remove(message["id"])
                refused.add(message["id"])
        assert await client.pinged() == []  # nobody is answered twice
        return refused

    async with ddp.place(server) as place:
        client = await place.client()
        assert await subscribe(client) == set()
        await client.leave()

        gone |= set(range(0, count, 10))
        gate.clear()
        again = await place.stranger()
        # An older client, which names its session and cannot resume it.
        connected = await again.connect(session=client.session)
        assert connected["session"] != client.session
        assert await subscribe(again) == {f"s{number}" for number in gone}
