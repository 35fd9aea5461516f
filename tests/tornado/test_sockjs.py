"""SockJS: what a client asks before it connects, and its framing over WebSockets.

For its other transports see tests/sockjs.
"""

from __future__ import annotations

import json

import pytest
from ddp_client import connect
from served import CONNECT, closing, fetch, make_server, raw, served

PATH = "/sockjs/123/abcd0123/websocket"


async def hear(socket):
    """The messages of the next frame."""
    frame = await socket.recv()
    assert isinstance(frame, str)
    assert frame.startswith("a")
    return [json.loads(text) for text in json.loads(frame[1:])]


async def opened(socket):
    assert await socket.recv() == "o"
    await socket.send(json.dumps([CONNECT]))
    (message,) = await hear(socket)
    assert message["msg"] == "connected"


# --- before ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/sockjs", "/sockjs/"])
async def test_greeting(path):
    async with served() as address:
        response = await fetch(address, path)
        assert (response.code, response.body) == (200, b"Welcome to SockJS!\n")
        assert response.headers["Content-Type"] == "text/plain; charset=UTF-8"


async def test_info():
    async with served() as address:
        first = await fetch(address, "/sockjs/info?t=123")
        second = await fetch(address, "/sockjs/info")
        assert first.code == 200
        assert first.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert "no-store" in first.headers["Cache-Control"]
        assert first.headers["Access-Control-Allow-Origin"] == "*"
        info = json.loads(first.body)
        assert 0 <= info.pop("entropy") < 2**32
        assert info == {"websocket": True, "origins": ["*:*"], "cookie_needed": False}
        assert first.body != second.body


async def test_info_preflight():
    async with served() as address:
        response = await fetch(
            address,
            "/sockjs/info",
            "OPTIONS",
            Origin="http://localhost:3000",
            Access_Control_Request_Headers="content-type",
        )
        assert (response.code, response.body) == (204, b"")
        headers = response.headers
        assert headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
        assert headers["Access-Control-Allow-Credentials"] == "true"
        assert headers["Access-Control-Allow-Methods"] == "OPTIONS, GET"
        assert headers["Access-Control-Allow-Headers"] == "content-type"
        assert headers["Access-Control-Max-Age"] == "31536000"
        assert headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "path",
    [
        "/sockjs/nothing",
        "/sockjs/info/x",
        "/sockjs/a.b/c/websocket",
        "/sockjs//x/websocket",
        "/sockjs/000/x/websocket/x",
        "/sockjs/000/x",
        "/sockjs/000/x/carrier-pigeon",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_other_addresses_are_not_found(path, method):
    async with served() as address:
        response = await fetch(address, path, method, "" if method == "POST" else None)
        assert (response.code, response.body) == (404, b"404 Error: Page not found\n")


# --- framing -----------------------------------------------------------------------------------


async def test_messages_travel_in_arrays():
    async with served() as address, raw(address, PATH) as socket:
        await opened(socket)
        await socket.send('["{\\"msg\\":\\"ping\\",\\"id\\":\\"1\\"}","{\\"msg\\":\\"ping\\"}"]')
        # What one turn of the loop makes leaves together.
        assert await hear(socket) == [{"msg": "pong", "id": "1"}, {"msg": "pong"}]


async def test_a_single_string_and_a_binary_frame_will_do():
    async with served() as address, raw(address, PATH) as socket:
        await opened(socket)
        await socket.send(json.dumps('{"msg":"ping","id":"1"}'))
        assert await hear(socket) == [{"msg": "pong", "id": "1"}]
        await socket.send(json.dumps(['{"msg":"ping","id":"2"}']).encode())
        assert await hear(socket) == [{"msg": "pong", "id": "2"}]


async def test_empty_frames_and_arrays_are_ignored():
    async with served() as address, raw(address, PATH) as socket:
        await opened(socket)
        await socket.send("")
        await socket.send("[]")
        await socket.send('["{\\"msg\\":\\"ping\\"}"]')
        assert await hear(socket) == [{"msg": "pong"}]


@pytest.mark.parametrize(
    "text", ["é\u2028\u200d\ufff0", "😀", "\ud83d", '\\"/\n\x00', "x" * 70_000]
)
async def test_any_text_goes_there_and_back(text):
    async with served() as address, raw(address, PATH) as socket:
        await opened(socket)
        call = {"msg": "method", "id": "1", "method": "echo", "params": [text]}
        await socket.send(json.dumps([json.dumps(call)]))
        updated = {"msg": "updated", "methods": ["1"]}
        assert await hear(socket) == [updated, {"msg": "result", "id": "1", "result": [text]}]


@pytest.mark.parametrize(
    "frame", ["{", "{}", "5", "null", "[5]", '["{}", null]', "[" * 100_000, b"\xff", "NaN"]
)
async def test_broken_framing_closes(frame):
    server = make_server()
    async with (
        served(server) as address,
        raw(address, PATH) as socket,
        connect(address) as other,
    ):
        await opened(socket)
        await socket.send(frame)
        assert await closing(socket) == (3000, "Broken framing.")
        assert len(server.sessions) == 1
        assert await other.call("echo", 1) == [1]


async def test_nothing_counts_after_broken_framing():
    server = make_server()
    calls = []

    @server.method
    async def count(ctx):
        calls.append(1)

    async with served(server) as address, raw(address, PATH) as socket:
        await opened(socket)
        await socket.send("[")
        await socket.send(json.dumps(['{"msg":"method","id":"1","method":"count"}']))
        assert (await closing(socket))[0] == 3000
    assert not calls


# --- closing -----------------------------------------------------------------------------------


async def test_a_close_is_announced():
    server = make_server()

    @server.method
    async def leave(ctx):
        ctx.connection.close()

    async with served(server) as address, raw(address, PATH) as socket:
        await opened(socket)
        await socket.send(json.dumps(['{"msg":"method","id":"1","method":"leave"}']))
        assert await socket.recv() == 'c[1000,"Normal closure"]'
        assert await closing(socket) == (1000, "Normal closure")


async def test_a_refused_version_is_announced_as_well():
    async with served() as address, raw(address, PATH) as socket:
        assert await socket.recv() == "o"
        await socket.send(json.dumps(['{"msg":"connect","version":"9","support":["9"]}']))
        assert await hear(socket) == [{"msg": "failed", "version": "1"}]
        assert await socket.recv() == 'c[1000,"Normal closure"]'
        assert (await closing(socket))[0] == 1000
