"""DDP over plain WebSockets: addresses, frames, closing, and clients that vanish."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
import struct

import pytest
import websockets
from ddp_client import connect
from served import (
    CONNECT,
    answers,
    closing,
    connected,
    fetch,
    hear,
    listening,
    make_server,
    raw,
    say,
    served,
)
from tornado.web import Application

from ddpcore_tornado import connection, handlers

HANDSHAKE = (
    "GET /websocket HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: {}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def handshake(address, version=13):
    """A WebSocket on which frames are written by hand, and the answer to its handshake."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(HANDSHAKE.format(address, version).encode())
    return reader, writer, await reader.readuntil(b"\r\n\r\n")


# --- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/websocket", "/websocket/", "/sockjs/websocket"])
async def test_one_message_in_each_text_frame(path):
    async with served() as address, raw(address, path) as socket:
        await socket.send(CONNECT)
        await say(socket, msg="ping", id="1")
        await say(socket, msg="method", id="2", method="echo", params=["é"])

        assert (await hear(socket))["msg"] == "connected"
        assert await hear(socket) == {"msg": "pong", "id": "1"}
        assert await hear(socket) == {"msg": "updated", "methods": ["2"]}
        assert await hear(socket) == {"msg": "result", "id": "2", "result": ["é"]}


async def test_binary_frames_with_json_are_taken():
    async with served() as address, raw(address) as socket:
        await socket.send(CONNECT.encode())
        assert (await hear(socket))["msg"] == "connected"
        await socket.send('{"msg":"ping","id":"ü"}'.encode())
        assert await hear(socket) == {"msg": "pong", "id": "ü"}


@pytest.mark.parametrize("size", [0, 100, 125, 126, 1_000, 65_535, 65_536, 500_000])
async def test_messages_of_all_sizes(size):
    async with served() as address, connect(address) as client:
        assert await client.call("echo", "x" * size) == ["x" * size]


async def test_a_message_in_fragments():
    async with served() as address, connected(address) as socket:
        await socket.send(iter(['{"msg":', '"ping","i', 'd":"1"}']))
        assert await hear(socket) == {"msg": "pong", "id": "1"}


PATHS = pytest.mark.parametrize(
    "path", ["/websocket", "/websocket/", "/sockjs/websocket", "/sockjs/000/abc/websocket"]
)


@PATHS
async def test_a_plain_request_is_told_what_this_is(path):
    async with served() as address:
        response = await fetch(address, path)
        assert (response.code, response.body) == (400, b"Not a valid websocket request")


@PATHS
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FROB"])
@pytest.mark.parametrize("settings", [{}, {"xsrf_cookies": True}, {"debug": True}], ids=str)
async def test_only_get_can_be_upgraded(path, method, settings):
    server = make_server()
    application = Application(
        handlers(server), log_function=lambda _: None, autoreload=False, **settings
    )
    async with listening(application, server) as address:
        response = await fetch(address, path, method, "x" if method[0] == "P" else None)
        assert (response.code, response.body) == (405, b"")
        assert response.headers["Allow"] == "GET"


async def test_unknown_versions_of_the_protocol_are_refused():
    async with served() as address:
        _, writer, answer = await handshake(address, version=99)
        assert answer.startswith(b"HTTP/1.1 426")
        writer.close()
        await writer.wait_closed()


async def test_compression_is_off():
    async with served() as address, connected(address) as socket:
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


# --- closing ----------------------------------------------------------------------------------


async def test_a_refused_version_is_answered_and_closed():
    async with served() as address, raw(address) as socket:
        await say(socket, msg="connect", version="pre2", support=["1", "pre2"])
        assert await hear(socket) == {"msg": "failed", "version": "1"}
        assert (await closing(socket))[0] == 1000


async def test_the_server_closes_a_connection():
    server = make_server()
    closed = asyncio.Event()

    @server.method
    async def leave(ctx):
        ctx.connection.on_close(closed.set)
        ctx.connection.close()

    async with served(server) as address, connected(address) as socket:
        await say(socket, msg="method", id="1", method="leave")
        assert await closing(socket) == (1000, "Normal closure")
        await closed.wait()
        assert not server.sessions


@pytest.mark.parametrize("how", ["close", "vanish"])
async def test_a_client_that_leaves_ends_its_subscriptions(how):
    server = make_server()
    ended = asyncio.Queue()

    @server.publish("watch")
    async def watch(ctx):
        ctx.on_stop(lambda: ended.put_nowait("stopped"))
        ctx.connection.on_close(lambda: ended.put_nowait("closed"))
        ctx.ready()

    async with served(server) as address, connect(address) as client:
        await client.sub("watch")
        if how == "close":
            await client.socket.close()
        else:
            linger = struct.pack("ii", 1, 0)  # close with a TCP reset
            tcp = client.socket.transport.get_extra_info("socket")
            tcp.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, linger)
            client.socket.transport.abort()
        assert await ended.get() == "stopped"
        assert await ended.get() == "closed"
        assert not server.sessions


async def test_what_was_published_before_a_close_arrives():
    server = make_server()

    @server.publish("last words")
    async def last_words(ctx):
        ctx.added("words", "1", {"text": "Farewell"})
        ctx.connection.close()

    async with served(server) as address, connected(address) as socket:
        await say(socket, msg="sub", id="1", name="last words")
        assert (await hear(socket))["fields"] == {"text": "Farewell"}
        assert await closing(socket) == (1000, "Normal closure")


async def test_server_stop_says_goodbye():
    server = make_server()
    async with served(server) as address, connected(address) as socket:
        await server.stop()
        assert await closing(socket) == (1001, "Server is going away")


async def test_no_connection_outlives_the_server(monkeypatch):
    monkeypatch.setattr(connection, "CLOSE_PATIENCE", 60)
    server = make_server()
    async with served(server) as address, connected(address), raw(address):
        deaf, writer, _ = await handshake(address)
        accepted = list(server._transports)
        assert len(accepted) == 3
        writer.transport.pause_reading()
        await server.stop(patience=0.01)
        while len(others := [each for each in accepted if not each._over]) > 1:
            await asyncio.sleep(0)
        assert len(others) == 1  # the one that does not answer has some time left
        deaf.feed_eof()
        writer.transport.abort()
        await others[0].wait_closed()


# --- heartbeats -------------------------------------------------------------------------------


async def test_a_silent_client_is_pinged_and_lives_by_its_answer():
    server = make_server(heartbeat_interval=0.02, heartbeat_timeout=30)
    async with served(server) as address, connected(address) as socket:
        for _ in range(3):
            assert await hear(socket) == {"msg": "ping"}
            await say(socket, msg="pong")


async def test_a_dead_client_is_left():
    server = make_server(heartbeat_interval=0.02, heartbeat_timeout=0.02)
    async with served(server) as address, connected(address) as socket:
        assert await hear(socket) == {"msg": "ping"}
        assert await closing(socket) == (1000, "Normal closure")
        assert not server.sessions


async def test_a_socket_that_never_connects_is_closed():
    async with served(make_server(connect_timeout=0.02)) as address, raw(address) as socket:
        assert await closing(socket) == (1000, "No connect message in time")


# --- too much ---------------------------------------------------------------------------------


async def test_a_message_over_the_limit_closes_the_connection():
    async with served(make_server(max_message_size=1_000)) as address, connect(address) as other:
        reader, writer, _ = await handshake(address)
        # Only the header of a frame of 1,001 bytes: its length is all it takes.
        writer.write(struct.pack("!BBH", 0x81, 0x80 | 126, 1_001))
        frame = await reader.read()
        assert frame[2:4] == struct.pack("!H", 1009)
        writer.close()
        await writer.wait_closed()

        assert await other.call("echo", 1) == [1]


async def test_a_client_that_sends_all_of_it_is_closed_as_well():
    async with served(make_server(max_message_size=1_000)) as address, connect(address) as other:
        async with connected(address) as socket:
            await say(socket, msg="method", id="1", method="echo", params=["x" * 1_000])
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
        assert await other.call("echo", 1) == [1]


async def test_a_flood_is_answered_in_order_and_leaves_others_alone():
    count = 3_000
    async with (
        served() as address,
        connected(address) as socket,
        connect(address) as other,
    ):
        for number in range(count):
            await say(socket, msg="method", id=str(number), method="echo", params=[number])
        assert await other.call("echo", "me too") == ["me too"]
        for number in range(count):
            assert await hear(socket) == {"msg": "updated", "methods": [str(number)]}
            assert (await hear(socket))["result"] == [number]
        assert await answers(socket)


# --- what handlers see of a connection ---------------------------------------------------------


async def test_handlers_see_the_address_and_harmless_headers():
    server = make_server()

    @server.method
    async def who(ctx):
        return [ctx.connection.client_address, dict(ctx.connection.headers)]

    headers = [
        ("Cookie", "secret=1"),
        ("Authorization", "Basic c2VjcmV0"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-For", "10.0.0.2"),
    ]
    async with (
        served(server) as address,
        connected(address, additional_headers=headers, user_agent_header="Test") as socket,
    ):
        await say(socket, msg="method", id="1", method="who")
        await hear(socket)
        seen = (await hear(socket))["result"]
        forwarded = seen[1].pop("x-forwarded-for")
        assert seen == ["127.0.0.1", {"host": address, "user-agent": "Test"}]
        assert [each.strip() for each in forwarded.split(",")] == ["10.0.0.1", "10.0.0.2"]


# --- frames no client should send ---------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x82\0\0\0\0\xff\xfe",  # invalid UTF-8
        b"\xf1\x80\0\0\0\0",  # reserved bits
        b"\x83\x80\0\0\0\0",  # an opcode that does not exist
        b"\x80\x80\0\0\0\0",  # a continuation of nothing
        b"\x81",  # half a header, then the end
        b"\x89\xfe\x00\x7e\0\0\0\0",  # a ping that is too long
        b"\x81\xff" + b"\xff" * 8,  # a length beyond all limits
    ],
    ids=["utf-8", "reserved", "opcode", "continuation", "half", "ping", "length"],
)
async def test_broken_frames_end_only_their_own_connection(frame):
    server = make_server()
    async with served(server) as address, connect(address) as other:
        reader, writer, _ = await handshake(address)
        text = CONNECT.encode()
        writer.write(bytes((0x81, 0x80 | len(text))) + b"\0\0\0\0" + text)
        header = await reader.readexactly(2)
        assert json.loads(await reader.readexactly(header[1]))["msg"] == "connected"
        writer.write(frame)
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()

        assert await other.call("echo", 1) == [1]
        assert len(server.sessions) == 1
