"""Attacks, with the memory of the server's process and the service of another client watched."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import sys
from contextlib import suppress

import pytest
import websockets
from attacked import BINARY, CLOSE, MB, PING, PONG, TEXT, attacked, frame
from ddp_client import CallError, connect
from sockjs_client import Session, ask, whole

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

FRAGMENT, CONTINUED = 0x01, 0x00
CONNECT = frame(TEXT, b'{"msg":"connect","version":"1","support":["1"]}')
KB = b"x" * 1024


async def flood(peer, chunks):
    """Send until the server has had enough; what it said."""
    reader, writer = peer
    said = bytearray()

    async def listen():
        with suppress(ConnectionError):
            while chunk := await reader.read(65_536):
                said.extend(chunk)

    listening = asyncio.ensure_future(listen())
    with suppress(ConnectionError):
        for chunk in chunks:
            if listening.done() or farewell(said) is not None:
                break
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)
        else:
            await listening
    if farewell(said) is None:
        await listening
    writer.transport.abort()
    await listening
    return bytes(said)


def farewell(said):
    """The code with which the last frame closes; None: it does not, or has not come as a whole."""
    _, first, rest = bytes(said).rpartition(bytes((CLOSE,)))
    whole = first and rest and len(rest) > rest[0]
    return int.from_bytes(rest[1:3], "big") if whole else None


def closed_with(said, code):
    """Whether the last frame closes with this code."""
    return farewell(said) == code


# --- frames --------------------------------------------------------------------------------------


def empty_fragments():
    yield frame(FRAGMENT)
    while True:
        yield frame(CONTINUED) * 99


def pings():
    while True:
        yield frame(PING, b"x" * 125) * 9


def pongs():
    while True:
        yield frame(PONG, b"x" * 125) * 9


def pings_amid_fragments():
    yield frame(FRAGMENT, KB)
    while True:
        yield frame(PING) + frame(CONTINUED)


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("what", [empty_fragments, pings, pongs, pings_amid_fragments])
async def test_frames_that_say_nothing_are_no_life(what, connected):
    short = {"connect_timeout": 0.5, "heartbeat_interval": 0.3, "heartbeat_timeout": 0.2}
    async with attacked(**short) as it:
        peer = await it.upgraded()
        if connected:
            peer[1].write(CONNECT)
        assert closed_with(await flood(peer, what()), 1000)
        await it.serves_others()


@pytest.mark.parametrize("connected", [False, True])
async def test_a_byte_at_a_time_is_no_life(connected):
    short = {"connect_timeout": 0.5, "heartbeat_interval": 0.3, "heartbeat_timeout": 0.2}
    async with attacked(**short) as it:
        reader, writer = await it.upgraded()
        if connected:
            writer.write(CONNECT)
        message = frame(TEXT, b" " * 60_000)
        said = bytearray()

        async def listen():
            # What comes after the close is answered by a reset, perhaps before we have read it.
            with suppress(ConnectionError):
                while farewell(said) is None and (chunk := await reader.read(65_536)):
                    said.extend(chunk)

        listening = asyncio.ensure_future(listen())
        for byte in message:
            if listening.done():
                break
            writer.write(bytes((byte,)))
            await asyncio.wait([listening], timeout=0.01)  # the attacker's rhythm
        else:
            raise AssertionError("the message came to its end")
        assert closed_with(bytes(said), 1000)
        writer.transport.abort()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("path", ["/websocket", "/sockjs/0/a/websocket"])
async def test_a_message_that_is_too_long_before_login(opcode, path):
    async with attacked() as it:
        for size in (64 * 1024 + 1, 1 << 62):  # a promise is enough
            header = bytes((opcode, 0xFF)) + size.to_bytes(8, "big")
            said = await flood(await it.upgraded(path), [header, KB])
            assert closed_with(said, 1009)
        fragments = itertools.chain([frame(FRAGMENT, KB)], itertools.repeat(frame(CONTINUED, KB)))
        assert closed_with(await flood(await it.upgraded(path), fragments), 1009)


async def test_many_messages_that_stay_just_below():
    async with attacked(most=20 * MB) as it:
        peers = [await it.upgraded() for _ in range(100)]
        for _, writer in peers:
            writer.write(frame(FRAGMENT, KB * 60) + frame(CONTINUED, KB * 3))
            await writer.drain()
        await it.serves_others()
        for _, writer in peers:
            writer.transport.abort()


async def test_login_makes_messages_longer_and_logout_shorter_again():
    async with attacked() as it, connect(it.address) as client:
        long = "x" * 100_000
        await client.call("login")
        assert await client.call("echo", long) == [long]
        await client.call("logout")
        await client.send(msg="method", id="long", method="echo", params=[long])
        with pytest.raises(AssertionError, match="closed"):
            await client.message(msg="result", id="long")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await client.socket.recv()
        assert closed.value.rcvd.code == 1009


async def test_after_resumption_the_user_counts():
    async with attacked() as it:
        async with websockets.connect(f"ws://{it.address}/websocket") as first:
            await first.send('{"msg":"connect","version":"1","support":["1"]}')
            session = json.loads(await first.recv())["session"]
            await first.send('{"msg":"method","id":"1","method":"login","params":[]}')
            got = 1
            while json.loads(await first.recv())["msg"] != "result":
                got += 1
            first.transport.abort()
        again = {"msg": "connect", "version": "1", "support": ["1"], "session": session}
        async with websockets.connect(f"ws://{it.address}/websocket") as second:
            await second.send(json.dumps(again | {"receivedCount": got + 1}))
            assert json.loads(await second.recv())["session"] == session
            long = "x" * 100_000
            await second.send(json.dumps({"msg": "method", "id": "2", "method": "echo",
                                          "params": [long]}))  # fmt: skip
            while (said := json.loads(await second.recv()))["msg"] != "result":
                pass
            assert said["result"] == [long]


async def test_close_before_anything():
    async with attacked() as it:
        for _ in range(200):
            assert closed_with(await flood(await it.upgraded(), [frame(CLOSE, b"\x03\xe8")]), 1000)


# --- messages ------------------------------------------------------------------------------------


def call(method, *params, id="1"):
    message = {"msg": "method", "id": id, "method": method, "params": params}
    return frame(TEXT, json.dumps(message, separators=(",", ":")).encode())


async def stuffed(it, *first, chunk, most=16 * MB):
    """A client that sends as much as is read, and reads nothing."""
    reader, writer = await it.upgraded()
    writer.write(CONNECT + b"".join(first))
    writer.transport.set_write_buffer_limits(0)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.5):  # then it reads no more
            for _ in range(most // len(chunk)):
                writer.write(chunk)
                await writer.drain()
    await it.serves_others()
    await reader.readuntil(b"connected")
    assert not reader.at_eof()
    assert not writer.is_closing()
    return writer


async def test_messages_that_wait_behind_a_method_that_hangs():
    """Parsed they are large: sixty kilobytes of `[],[],…` are more than a megabyte of lists."""
    async with attacked(most=40 * MB) as it:
        lists = call("echo", *[[]] * 20_000)
        writers = [await stuffed(it, call("hang"), chunk=lists) for _ in range(5)]
        await it.serves_others()
        for writer in writers:
            writer.transport.abort()


async def test_methods_that_let_others_overtake():
    async with attacked() as it:
        chunk = b"".join(call("hang_aside") for _ in range(1000))
        writer = await stuffed(it, chunk=chunk, most=4 * MB)
        writer.transport.abort()


async def test_too_many_subscriptions():
    async with attacked(most=3 * MB, max_subscriptions=50) as it, connect(it.address) as client:
        for _ in range(50):
            await client.sub("things")
        await client.send(msg="sub", id="more", name="things", params=[])
        nosub = await client.message(msg="nosub", id="more")
        assert nosub["error"]["error"] == 429
        for number in range(5_000):
            await client.send(msg="sub", id=f"x{number}", name="things", params=[])
        await client.message(msg="nosub", id="x4999")
        assert await client.call("echo", 1) == [1]


async def test_nonsense_without_end_whose_answers_nobody_reads():
    async with attacked(most=30 * MB) as it:
        for text in (b"[", b'{"msg":"ping"}', b'{"msg":"what"}'):
            await flood_unread(it, frame(TEXT, text) * 1000)


async def flood_unread(it, chunk):
    # Until the server reads no more, or has hung up.
    _, writer = await it.upgraded()
    writer.transport.pause_reading()
    try:
        for _ in range(200):
            writer.write(chunk)
            async with asyncio.timeout(1):
                await writer.drain()
    except (ConnectionError, TimeoutError):
        pass
    await it.serves_others()
    writer.transport.abort()


async def test_deep_json():
    async with attacked() as it, connect(it.address) as client:
        for brackets in ("[" * 30_000, '{"a":' * 10_000, "[" * 30_000 + "]" * 30_000):
            await client.socket.send(brackets)
            await client.message(msg="error")
            client.messages.clear()
        with pytest.raises(CallError):
            await client.call("nonsense")


async def test_clients_that_are_gone_and_never_come_back():
    """Their sessions wait for them, and are as many as may wait."""
    async with attacked(most=2 * MB, max_absent=10, grace_period=600) as it:
        for _ in range(500):
            reader, writer = await it.upgraded("/websocket", CONNECT)
            await reader.readuntil(b"}")
            writer.transport.abort()
        await it.serves_others()


# --- HTTP ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
async def test_headers_that_never_end(sent):
    async with attacked(limits={"header_timeout": 0.5}) as it:
        reader, writer = await it.dial()
        writer.write(sent)
        assert await reader.read() == b""
        writer.close()


async def test_headers_byte_by_byte():
    async with attacked(limits={"header_timeout": 0.5}) as it:
        reader, writer = await it.dial()
        said = asyncio.ensure_future(reader.read())
        for _ in range(1000):
            writer.write(b"G")
            if (await asyncio.wait([said], timeout=0.01))[0]:  # the attacker's rhythm
                break
        assert await said == b""
        writer.close()


async def test_headers_that_are_too_long():
    async with attacked() as it:
        assert await flood(await it.dial(), itertools.repeat(b"X" * 1000 + b"\r\n")) == b""


@pytest.mark.parametrize("path", ["/sockjs/0/abc/xhr_send", "/websocket"])
async def test_a_body_that_never_comes(path):
    async with attacked(limits={"body_timeout": 0.5}) as it:
        reader, writer = await it.dial()
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n["
        writer.write(head.encode())
        assert await reader.read() == b""
        writer.close()


async def test_a_body_that_is_too_long():
    async with attacked() as it:
        head = (
            b"POST /sockjs/0/abc/xhr_send HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n"
        )
        said = await flood(await it.dial(), [head, KB * 65])  # and no more of ninety megabytes
        assert said.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/websocket", "/sockjs/0/abc/websocket"])
async def test_a_body_where_there_is_none(method, path):
    async with attacked() as it:
        length, kind = 64 * MB, "Content-Type: application/x-www-form-urlencoded"
        head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{kind}\r\n\r\n"
        _, writer = peer = await it.dial()
        writer.write(head.encode() + b"a=")
        said = await flood(peer, [MB * b"x"] * 63 + [(MB - 2) * b"x", b"GET / HTTP/1.0\r\n\r\n"])
        assert said.startswith(b"HTTP/1.1 400 " if method == "GET" else b"HTTP/1.1 405 ")


async def test_a_body_may_be_as_long_as_a_message_of_its_user():
    async with attacked() as it:
        session = Session(it.address, "xhr")
        assert await session.frame() == "o"

        async def method(name, *params):
            text = {"msg": "method", "id": "1", "method": name, "params": params}
            return (await session.post(json.dumps([json.dumps(text)])))[0]

        await session.send('{"msg":"connect","version":"1","support":["1"]}')
        assert await method("echo", "x" * 70_000) == 413
        assert await method("login") == 204
        while '\\"result\\"' not in await session.frame():
            pass
        assert await method("echo", "x" * 70_000) == 204


async def test_a_body_that_is_a_bomb():
    bomb = gzip.compress(b"[" + b" " * 50 * MB)
    assert len(bomb) < 64 * 1024
    async with attacked(most=20 * MB) as it:
        session = Session(it.address, "xhr")
        assert await session.frame() == "o"
        for _ in range(5):
            status, text = await whole(
                it.address, "POST", f"{session.path}/xhr_send", bomb, Content_Encoding="gzip"
            )
            assert (status, text) == (500, b"Broken JSON encoding.")


async def test_compression_is_offered_in_vain():
    async with attacked() as it:
        async with websockets.connect(
            f"ws://{it.address}/websocket", compression="deflate"
        ) as socket:
            assert "Sec-WebSocket-Extensions" not in socket.response.headers
            assert socket.protocol.extensions == []
        compressed = bytes((TEXT | 0x40,)) + frame(TEXT, b"bomb")[1:]
        assert closed_with(await flood(await it.upgraded(), [compressed]), 1002)


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
SMUGGLING = {
    "CL and TE": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": b"Content-Length: 4, 0\r\n\r\n",
    "a signed length": b"Content-Length: +0\r\n\r\n",
    "a hexadecimal length": b"Content-Length: 0x0\r\n\r\n",
    "an unknown encoding": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a disguised encoding": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Content-Length : 0\r\n\r\n",
    "a bad chunk": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
}


@pytest.mark.parametrize("how", SMUGGLING)
async def test_smuggling(how):
    """Tornado refuses what two readers could read in two ways, and hangs up at once."""
    async with attacked(limits={"header_timeout": 600}) as it:
        reader, writer = await it.dial()
        head = b"POST /sockjs/info HTTP/1.1\r\nHost: a\r\n"
        writer.write(head + SMUGGLING[how] + SMUGGLED)
        said = await reader.read()
        assert said.count(b"HTTP/1.1 ") == 1, said
        assert said.startswith(b"HTTP/1.1 400 ") or b"405" in said
        writer.close()


async def test_folded_headers_and_bare_line_feeds():
    """These Tornado reads as they were meant once: a header goes on, a line feed ends a line."""
    async with attacked() as it:
        for head in (
            b"GET /sockjs HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Folded: a\r\n b\r\n\r\n",
            b"GET /sockjs HTTP/1.1\nHost: a\nConnection: close\n\n",
        ):
            reader, writer = await it.dial()
            writer.write(head)
            said = await reader.read()
            assert said.split(b" ")[1] in (b"200", b"400"), said
            writer.close()


# --- crowds --------------------------------------------------------------------------------------


async def test_too_many_connections_of_one_address():
    async with attacked(limits={"connections_per_address": 20}) as it:
        guests = [await it.dial() for _ in range(19)]
        for _ in range(50):
            reader, writer = await it.dial()
            said = await reader.read()
            assert said.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
            assert b"\r\nRetry-After: 10\r\n" in said
            writer.close()
        await it.serves_others()
        for _, writer in guests:
            writer.transport.abort()
    assert it.log.count("127.0.0.1 has 20 connections: further ones are refused") == 1
    assert it.log.count("--forwarded-count") == 1


async def test_too_many_connections_in_all():
    async with attacked(limits={"connections": 20}) as it:
        guests = [await it.upgraded() for _ in range(10)] + [await it.dial() for _ in range(9)]
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"ws://{it.address}/websocket")
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "10"
        for _, writer in guests:
            writer.transport.abort()
        while True:  # they leave as soon as the server has seen it
            try:
                async with connect(it.address) as client:
                    assert await client.call("echo", 1) == [1]
                break
            except websockets.InvalidStatus:
                pass
    assert it.log.count("There are 20 connections") == 1


async def test_no_files_left():
    async with attacked(limits={"files": 40}) as it:
        guests = [await it.dial() for _ in range(60)]
        await it.logs("Cannot accept connections")
        await it.serves_others()
        for _, writer in guests:
            writer.transport.abort()
        async with connect(it.address) as client:  # it waits until there are files again
            assert await client.call("echo", 1) == [1]
    assert it.log.count("Cannot accept connections: Too many open files.") == 1, it.log
    assert "Traceback" not in it.log


async def test_too_many_sessions_of_one_address():
    async with attacked(limits={"connections_per_address": 20}) as it:
        for _ in range(19):
            status, _ = await whole(it.address, "POST", Session(it.address, "xhr").path + "/xhr")
            assert status == 200
        refused = await ask(it.address, "POST", Session(it.address, "xhr").path + "/xhr")
        assert refused.status == 429
        assert await refused.body() == b"There are too many connections from your address.\n"
        refused.hang_up()
    assert it.log.count("127.0.0.1 has 20 clients: further ones are refused") == 1
