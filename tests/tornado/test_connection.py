"""The transport on its socket, with frames written by hand and a session that only listens."""

from __future__ import annotations

import asyncio
import gc
import random
import shutil
import socket as sockets
import ssl
import struct
import subprocess
import threading
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.web import Application

from ddpcore import DDPError
from ddpcore.clock import LoopClock
from ddpcore.wire.frame import Frame
from ddpcore_tornado import connection, handlers
from ddpcore_tornado.websocket import RawWebSocket

RAW, SOCKJS = "/websocket", "/sockjs/000/abcdefgh/websocket"
HANDSHAKE = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A


def request(path=RAW, version="HTTP/1.1", **changed):
    headers = HANDSHAKE | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"GET {path} {version}", *lines, "", ""]).encode()


def frame(first, payload=b""):
    size = len(payload)
    if size < 126:
        header = bytes((first, 0x80 | size))
    elif size < 65_536:
        header = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        header = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    return header + b"\0\0\0\0" + payload


def close(code, reason=b""):
    return code.to_bytes(2, "big") + reason


class Ear:
    """A session that notes what it is told."""

    def __init__(self, transport):
        self.transport = transport
        self.heard = []
        self.told = asyncio.Queue()
        self.on_message = lambda message: None

    def flush(self):
        pass

    def receive(self, text):
        self.heard.append(text)
        self.on_message(text)
        self.told.put_nowait(text)

    def lost(self):
        self.told.put_nowait(self.lost)

    def blocked(self):
        self.told.put_nowait(self.blocked)

    def drained(self):
        self.told.put_nowait(self.drained)

    async def next(self):
        return await self.told.get()


class Door:
    """What stands for a `Server`: it lets everybody in."""

    clock = LoopClock()
    wants_cookies = False
    options = SimpleNamespace(forwarded_count=0)
    max_message_size = 1_000

    def __init__(self):
        self.ears = asyncio.Queue()
        self.open = True
        self.transports = []

    async def start(self):
        pass

    def accept(self, transport):
        self.transports.append(transport)
        if not self.open:
            raise DDPError("closed")
        transport.high_water = 100_000
        transport.max_message_size = self.max_message_size
        transport.receiver = Ear(transport)
        self.ears.put_nowait(transport.receiver)


class Peer:
    """A client, by hand."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def send(self, *frames):
        self.writer.write(b"".join(frames))

    async def upgraded(self):
        answer = await self.reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
        assert b"Sec-WebSocket-Protocol" not in answer
        assert b"Sec-WebSocket-Extensions" not in answer

    async def hear(self):
        """The first byte and the payload of the next frame."""
        first, size = await self.reader.readexactly(2)
        if size > 125:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        return first, await self.reader.readexactly(size)

    async def ends(self):
        """Whether nothing more comes."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:  # the server has closed, and something of ours was unread
            return True


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
        f" -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {key} -out {cert}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return cert, key


class House:
    """A server for a `Door`, and ways to get there."""

    def __init__(self, dial):
        self.door = Door()
        self.dial = dial
        self.peers = []

    async def peer(self, path=RAW, behind=b"", **changed):
        """A client whose handshake is done, and the session it got."""
        peer = await self.knock(request(path, **changed) + behind)
        await peer.upgraded()
        return peer, await self.door.ears.get()

    async def gone(self):
        """All sockets are closed."""
        for each in self.door.transports:
            await each.wait_closed()

    async def knock(self, data):
        peer = Peer(*await self.dial())
        self.peers.append(peer)
        peer.send(data)
        return peer


KINDS = ["tcp", "unix", "tls"]


@pytest.fixture
def house(request, certificate, tmp_path):
    """`async with house() as it`: over TCP, or what the test is parametrized with."""
    kind = getattr(request, "param", "tcp")

    @asynccontextmanager
    async def built(max_message_size=1_000):
        server_tls = client_tls = None
        if kind == "tls":
            server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            server_tls.load_cert_chain(*certificate)
            client_tls = ssl.create_default_context(cafile=certificate[0])
        if kind == "unix":
            path = str(tmp_path / "socket")
            listening = bind_unix_socket(path)
        else:
            (listening,) = bind_sockets(0, "127.0.0.1")

        async def dial():
            if kind == "unix":
                return await asyncio.open_unix_connection(path)
            name = "localhost" if client_tls else None
            port = listening.getsockname()[1]
            return await asyncio.open_connection(
                "127.0.0.1", port, ssl=client_tls, server_hostname=name
            )

        it = House(dial)
        it.door.max_message_size = max_message_size
        rules = handlers(it.door)
        application = Application(rules, log_function=lambda _: None)
        http = HTTPServer(application, ssl_options=server_tls)
        http.add_socket(listening)
        try:
            yield it
        finally:
            http.stop()
            for peer in it.peers:
                peer.writer.transport.abort()
            await http.close_all_connections()
            for each in it.door.transports:
                if not each._over:
                    each._wire.abort()  # one that is paused does not notice that its peer is gone
            await it.gone()

    return built


everywhere = pytest.mark.parametrize("house", KINDS, indirect=True)


FILL = 400, Frame(b'"' + b"x" * 50_000 + b'"')


def fill(ear):
    """Send what a client must read before it is not blocked any more, whatever the kernel takes.

    That is some megabytes, and not all at once. So all is sent in one turn of the loop.
    """
    count, chunk = FILL
    for _ in range(count):
        ear.transport.send([chunk])


# --- the handshake ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [RAW, SOCKJS])
@pytest.mark.parametrize(
    "changed",
    [
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Connection": None},
        {"Connection": "keep-alive"},
        {"Sec_WebSocket_Key": None},
        {"Sec_WebSocket_Key": ""},
        {"Sec_WebSocket_Key": "c2hvcnQ="},
        {"Sec_WebSocket_Key": "!GhlIHNhbXBsZSBub25jZQ=="},
        {"Sec_WebSocket_Key": "é" * 24},
        {"version": "HTTP/1.0"},
    ],
    ids=str,
)
async def test_what_is_no_handshake_is_refused(house, path, changed):
    async with house() as it:
        peer = await it.knock(request(path, **changed))
        answer = await peer.reader.readuntil(b"Not a valid websocket request")
        assert answer.split(b" ")[1] == b"400"
        assert it.door.ears.empty()


@pytest.mark.parametrize("version", [None, "", "7", "99", "13, 8"])
async def test_other_versions_are_told_ours(house, version):
    async with house() as it:
        peer = await it.knock(request(Sec_WebSocket_Version=version))
        answer = await peer.reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 426 ")
        assert b"\r\nSec-Websocket-Version: 13\r\n" in answer
        assert it.door.ears.empty()


async def test_version_8_and_its_origin(house):
    async with house() as it:
        await it.peer(Sec_WebSocket_Version="8", Sec_WebSocket_Origin="http://localhost")
        foreign = request(Sec_WebSocket_Version="8", Sec_WebSocket_Origin="http://evil.example")
        peer = await it.knock(foreign)
        assert (await peer.reader.readuntil(b"not allowed")).split(b" ")[1] == b"403"


@everywhere
async def test_a_message_right_behind_the_handshake(house):
    async with house() as it:
        many = [b"%d" % number for number in range(1_000)]
        behind = b"".join(frame(TEXT, each) for each in many)
        peer, ear = await it.peer(behind=behind + frame(TEXT, b"half")[:7])
        peer.send(frame(TEXT, b"half")[7:], frame(PING, b"!"))
        assert await peer.hear() == (PONG, b"!")
        assert ear.heard == [*(each.decode() for each in many), "half"]


async def test_a_request_before_it_on_the_same_connection(house):
    async with house() as it:
        hello = b"GET /sockjs HTTP/1.1\r\nHost: localhost\r\n\r\n"
        peer = await it.knock(hello + request() + frame(TEXT, b"hello"))
        assert await peer.reader.readuntil(b"SockJS!\n")
        await peer.upgraded()
        assert await (await it.door.ears.get()).next() == "hello"


async def test_a_client_that_goes_during_the_handshake(house):
    async with house() as it:
        starting, started = asyncio.Event(), asyncio.Event()

        async def start():
            starting.set()
            await started.wait()

        it.door.start = start
        peer = await it.knock(request())
        await starting.wait()
        peer.writer.transport.abort()
        await asyncio.sleep(0)
        started.set()
        it.door.start = Door().start
        await it.peer()


async def test_a_server_that_stopped_meanwhile(house):
    async with house() as it:
        it.door.open = False
        peer = await it.knock(request())
        await peer.upgraded()
        assert await peer.hear() == (CLOSE, close(1001, b"Server is going away"))
        peer.send(frame(CLOSE, close(1001)))
        assert await peer.ends()


async def test_a_server_that_cannot_take_clients(house, expect_log):
    expect_log("ddpcore_tornado", "^Exception at a new client$")
    async with house() as it:
        it.door.accept = lambda transport: 1 / 0
        peer = await it.knock(request())
        await peer.upgraded()
        assert await peer.hear() == (CLOSE, close(1011, b"Internal error"))


async def test_nothing_of_the_request_stays(house):
    async with house() as it:
        peer, ear = await it.peer()
        await asyncio.sleep(0)
        gc.collect()
        kinds = (RawWebSocket, HTTP1ServerConnection, IOStream)
        # By type: some objects do not like to be asked for their class.
        assert not [each for each in gc.get_objects() if issubclass(type(each), kinds)]
        peer.send(frame(TEXT, b"alive"))
        assert await ear.next() == "alive"


# --- messages -----------------------------------------------------------------------------------


@everywhere
async def test_messages_pings_and_fragments(house):
    async with house(100_000) as it:
        peer, ear = await it.peer()
        long = b"x" * 70_000
        peer.send(
            frame(TEXT, "é".encode()),
            frame(BINARY, b"\xff"),
            frame(TEXT, long),
            frame(0x01, "é".encode()[:1]),
            frame(PING, b"1"),
            frame(PING, b"2"),
            frame(PONG, b"unasked"),
            frame(0x80, "é".encode()[1:]),
            frame(PING),
        )
        for payload in (b"1", b"2", b""):
            assert await peer.hear() == (PONG, payload)
        assert ear.heard == ["é", b"\xff", long.decode(), "é"]


@everywhere
async def test_what_is_sent_at_once_leaves_at_once(house):
    async with house() as it:
        for path in (RAW, SOCKJS):
            peer, ear = await it.peer(path)
            writes, wire = [], ear.transport._wire
            write = wire.write
            busy = {
                "write": writes.append,
                "is_closing": wire.is_closing,
                "get_write_buffer_size": staticmethod(lambda: 1),
            }
            ear.transport._wire = type("Wire", (), busy)()
            ear.transport.send([Frame(b'{"a":1}'), Frame(b"{}")])
            ear.transport.send([])
            ear.transport._wire = wire
            (data,) = writes
            write(data)
            if path == RAW:
                assert await peer.hear() == (TEXT, b'{"a":1}')
                assert await peer.hear() == (TEXT, b"{}")
            else:
                assert await peer.hear() == (TEXT, b"o")
                assert await peer.hear() == (TEXT, b'a["{\\"a\\":1}","{}"]')


@everywhere
@pytest.mark.parametrize("path", [RAW, SOCKJS])
async def test_a_pause_holds_back_what_has_been_read(house, path):
    async with house() as it:
        peer, ear = await it.peer(path)
        if path == SOCKJS:
            assert await peer.hear() == (TEXT, b"o")

        def pause(text):
            if text in ("1", "3", "6"):
                ear.transport.pause_reading()
            if text == "6":  # and on, before it has any effect
                ear.transport.resume_reading()

        ear.on_message = pause
        if path == SOCKJS:
            peer.send(frame(TEXT, b'["0","1","2","3"]'), frame(TEXT, b'["4","5"]'))
        else:
            peer.send(b"".join(frame(TEXT, b"%d" % each) for each in range(6)))
        peer.send(frame(PING))
        assert [await ear.next() for _ in range(2)] == ["0", "1"]
        six = frame(TEXT, b'["6","7"]') if path == SOCKJS else frame(TEXT, b"6") + frame(TEXT, b"7")
        peer.send(six, frame(PING, b"last"))
        ear.transport.resume_reading()
        assert ear.heard == ["0", "1"]  # not from within the call
        assert [await ear.next() for _ in range(2)] == ["2", "3"]
        ear.transport.resume_reading()
        ear.transport.pause_reading()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(ear.heard) == 4
        ear.transport.resume_reading()
        assert [await ear.next() for _ in range(4)] == ["4", "5", "6", "7"]
        assert await peer.hear() == (PONG, b"")
        assert await peer.hear() == (PONG, b"last")


async def test_a_paused_client_that_floods_waits_in_its_own_socket(house):
    async with house() as it:
        peer, ear = await it.peer()
        ear.on_message = lambda text: ear.transport.pause_reading()
        count = 20_000
        peer.send(frame(TEXT, b"x" * 500) * count)
        await ear.next()
        for _ in range(count - 1):
            assert len(ear.transport._held) * 500 <= 256 * 1024
            ear.transport.resume_reading()
            assert await ear.next() == "x" * 500


async def test_a_message_may_hand_the_client_to_another_session(house):
    async with house() as it:
        peer, first = await it.peer()
        second = Ear(first.transport)

        def hand_over(text):
            if text == "resume":
                first.transport.receiver = second

        first.on_message = hand_over
        peer.send(*(frame(TEXT, each) for each in (b"1", b"resume", b"2", b"3")))
        assert [await second.next() for _ in range(2)] == ["2", "3"]
        assert first.heard == ["1", "resume"]
        peer.writer.transport.abort()
        assert await second.next() == second.lost


# --- clients that do not take what is sent --------------------------------------------------------


@everywhere
async def test_blocked_and_drained_once_each(house):
    async with house() as it:
        peer, ear = await it.peer()
        peer.writer.transport.pause_reading()
        sent, chunk = FILL
        fill(ear)
        for _ in range(5):
            ear.transport.send([chunk])
            await asyncio.sleep(0)
        assert await ear.next() == ear.blocked
        assert ear.told.empty()
        peer.writer.transport.resume_reading()
        for _ in range(sent + 5):
            assert await peer.hear() == (TEXT, chunk.data)
        assert await ear.next() == ear.drained
        assert ear.told.empty()


@everywhere
@pytest.mark.parametrize("seed", range(3))
async def test_what_the_socket_takes_in_part_arrives_whole_and_in_order(house, seed):
    """Messages, answers to pings and a close, to a socket with little room."""
    chance = random.Random(seed)
    async with house() as it:
        peer, ear = await it.peer()
        socket = ear.transport.socket or ear.transport._wire._stream.socket
        socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, 4096)
        sent, pinged = [], []
        for n in range(200):
            for _ in range(chance.choice([0, 1, 3])):
                payload = b"%d." % len(sent) + b"x" * chance.choice([0, 100, 5_000, 30_000])
                sent.append(payload)
                ear.transport.send([Frame(payload)])
            if chance.random() < 0.3:
                pinged.append(b"%d" % n)
                peer.send(frame(PING, pinged[-1]), frame(TEXT, b"more"))
                while (await ear.next()) != "more":
                    pass  # blocked, drained
            while len(sent) > chance.choice([0, 5, 20]):
                first, payload = await peer.hear()
                if first == PONG:
                    pinged = pinged[pinged.index(payload) + 1 :]
                else:
                    assert (first, payload) == (TEXT, sent.pop(0))
        ear.transport.close(1000, "")
        while (first := (await peer.hear())) != (CLOSE, close(1000)):
            if first[0] == TEXT:
                assert first[1] == sent.pop(0)
        assert not sent


@pytest.mark.parametrize("house", ["unix"], indirect=True)
async def test_nothing_overtakes_an_answer_that_waits_for_room(house):
    async with house() as it:
        peer, ear = await it.peer()
        ear.transport.send([Frame(b"first")])
        assert await peer.hear() == (TEXT, b"first")
        peer.writer.transport.pause_reading()
        ears, peers = ear.transport.socket, peer.writer.transport._sock
        filled = 0
        while True:
            try:
                filled += ears.send(frame(PONG)[:1] + b"\0")
            except BlockingIOError:
                break
        peer.send(frame(PING, b"asked"), frame(TEXT, b"more"))
        assert await ear.next() == "more"
        assert ear.transport._wire.get_write_buffer_size()
        while filled:
            filled -= len(peers.recv(filled))
        ear.transport.send([Frame(b"last")])  # now there is room
        peer.writer.transport.resume_reading()
        assert await peer.hear() == (PONG, b"asked")
        assert await peer.hear() == (TEXT, b"last")


@everywhere
async def test_where_nothing_waits_the_socket_is_sent_to(house):
    async with house() as it:
        peer, ear = await it.peer()
        writes, wire = [], ear.transport._wire
        idle = {"write": writes.append, "get_write_buffer_size": staticmethod(lambda: 0)}
        ear.transport._wire = type("Wire", (), idle)()
        ear.transport.send([Frame(b"{}")])
        ear.transport._wire = wire
        if ear.transport.socket is None:  # with TLS
            assert len(writes) == 1
        else:
            assert writes == []
            assert await peer.hear() == (TEXT, b"{}")


def test_each_thread_reads_to_a_place_of_its_own():
    """Each loop has a thread, and there may be several."""
    spaces = [connection._buffer.space]
    thread = threading.Thread(target=lambda: spaces.append(connection._buffer.space))
    thread.start()
    thread.join()
    assert spaces[0].obj is not spaces[1].obj
    assert connection._buffer.space is spaces[0]


async def test_a_session_that_gets_a_blocked_client_is_told_when_it_goes_on(house):
    async with house() as it:
        peer, first = await it.peer()
        peer.writer.transport.pause_reading()
        fill(first)
        second = first.transport.receiver = Ear(first.transport)
        peer.writer.transport.resume_reading()
        while second.told.empty():
            assert await peer.hear() == (TEXT, FILL[1].data)
        assert await second.next() == second.drained
        assert second.told.empty()
        assert await first.next() == first.blocked
        assert first.told.empty()


async def test_the_kernel_keeps_little_for_a_client_that_does_not_read(house):
    if not hasattr(sockets, "TCP_NOTSENT_LOWAT"):
        pytest.skip("this system has no TCP_NOTSENT_LOWAT")
    async with house() as it:
        _, ear = await it.peer()
        tcp = ear.transport._wire.get_extra_info("socket")
        assert tcp.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_NOTSENT_LOWAT) == 128 * 1024
        assert tcp.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY)


async def test_pings_without_end_of_a_client_that_does_not_read(house):
    async with house() as it:
        peer, ear = await it.peer()
        peer.writer.transport.pause_reading()
        fill(ear)
        waiting = ear.transport._wire.get_write_buffer_size()
        peer.send(*(frame(PING, b"%d" % each) for each in range(10_000)), frame(TEXT, b"end"))
        assert [await ear.next() for _ in range(2)] == [ear.blocked, "end"]
        assert ear.transport._wire.get_write_buffer_size() <= waiting
        peer.writer.transport.resume_reading()
        pongs = []
        while not pongs:
            first, payload = await peer.hear()
            pongs += [payload] * (first == PONG)
        assert pongs == [b"9999"]


# --- closing --------------------------------------------------------------------------------------


@everywhere
@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (frame(TEXT, b"\xff"), 1007),
        (frame(0x01, b"\xc3") + frame(0x80, b"\xc3"), 1007),
        (frame(0xC1, b"x"), 1002),
        (frame(0x83, b"x"), 1002),
        (frame(0x8B), 1002),
        (b"\x81\x01x", 1002),
        (frame(0x09), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(0x80, b"x"), 1002),
        (frame(0x01, b"x") + frame(TEXT, b"x"), 1002),
        (frame(TEXT, b"x" * 1_001), 1009),
        (frame(0x01, b"x" * 600) + frame(0x80, b"x" * 401), 1009),
    ],
)
async def test_who_breaks_the_rules_is_told_which(house, broken, code):
    async with house() as it:
        peer, ear = await it.peer()
        peer.send(frame(TEXT, b"fine"), broken, frame(TEXT, b"no more"))
        first, payload = await peer.hear()
        assert (first, payload[:2]) == (CLOSE, close(code))
        assert payload[2:].decode()
        assert [await ear.next() for _ in range(2)] == ["fine", ear.lost]
        peer.send(frame(TEXT, b"no more"), frame(CLOSE, close(code)))
        assert await peer.ends()
        await it.gone()
        assert ear.told.empty()


@everywhere
async def test_a_close_arrives_though_the_client_was_sending(house):
    async with house() as it:
        peer, ear = await it.peer()
        peer.send(*[frame(TEXT, b"x" * 300_000)] * 20, frame(CLOSE, close(1009)))
        first, payload = await peer.hear()
        assert (first, payload[:2]) == (CLOSE, close(1009))
        assert await peer.ends()
        assert await ear.next() == ear.lost


@everywhere
@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        *((close(code), close(code)) for code in (1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999)),
        (b"", b""),
        (close(1000, "Auf Wiederhören".encode()), close(1000)),
        (close(1000, b"x" * 123), close(1000)),
        *((close(code), close(1002)) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999)),
        (close(5000), close(1002)),
        (close(65_535), close(1002)),
        (b"\x03", close(1002)),
        (close(1000, b"\xff"), close(1007)),
    ],
)
async def test_the_close_of_a_client_is_answered(house, sent, answer):
    async with house() as it:
        peer, ear = await it.peer()
        peer.send(frame(CLOSE, sent), frame(TEXT, b"no more"))
        first, payload = await peer.hear()
        assert (first, payload[:2]) == (CLOSE, answer)
        assert await peer.ends()
        assert await ear.next() == ear.lost
        await it.gone()
        assert ear.told.empty()


@everywhere
@pytest.mark.parametrize("path", [RAW, SOCKJS])
async def test_the_server_sends_what_waits_and_closes(house, path):
    async with house() as it:
        peer, ear = await it.peer(path)
        ear.transport.send([Frame(b"{}")])
        ear.transport.close(1001, "Server is going away")
        ear.transport.close(1000, "again")
        ear.transport.send([Frame(b"no more")])
        sockjs = [b"o", b'a["{}"]', b'c[1001,"Server is going away"]']
        for payload in [b"{}"] if path == RAW else sockjs:
            assert await peer.hear() == (TEXT, payload)
        assert await peer.hear() == (CLOSE, close(1001, b"Server is going away"))
        # What the client sent before it knew reaches nobody.
        peer.send(frame(TEXT, b'["late"]'), frame(PING), frame(0x01, b"x"), frame(0x83, b""))
        assert ear.told.empty()
        peer.send(frame(CLOSE, close(1001)))
        assert await peer.ends()
        assert await ear.next() == ear.lost
        await it.gone()
        assert ear.told.empty()


@everywhere
async def test_a_paused_client_is_closed_all_the_same(house):
    async with house() as it:
        for behind in (frame(TEXT, b"2"), frame(TEXT, b"2") + frame(CLOSE, close(1000))):
            peer, ear = await it.peer()
            ear.on_message = lambda text, ear=ear: ear.transport.pause_reading()
            peer.send(frame(TEXT, b"1") + behind)
            assert await ear.next() == "1"
            ear.transport.close(1000, "Normal closure")
            assert await peer.hear() == (CLOSE, close(1000, b"Normal closure"))
            if len(behind) < 10:
                peer.send(frame(CLOSE, close(1000)))
            assert await peer.ends()
            assert await ear.next() == ear.lost


async def test_a_message_may_close(house):
    async with house() as it:
        peer, ear = await it.peer()
        ear.on_message = lambda text: ear.transport.close(1000, "")
        peer.send(frame(TEXT, b"1"), frame(TEXT, b"2"), frame(PING), frame(CLOSE, close(1000)))
        assert await peer.hear() == (CLOSE, close(1000))
        assert await peer.ends()
        assert ear.heard == ["1"]


@everywhere
@pytest.mark.parametrize("reads", [True, False], ids=["silent", "deaf"])
async def test_a_client_that_does_not_answer_is_cut_off(house, reads, monkeypatch):
    monkeypatch.setattr(connection, "CLOSE_PATIENCE", 0.05)
    async with house() as it:
        peer, ear = await it.peer()
        if not reads:
            peer.writer.transport.pause_reading()
            fill(ear)
            assert await ear.next() == ear.blocked
        ear.transport.close(1000, "Normal closure")
        await it.gone()
        assert await ear.next() == ear.lost
        assert ear.told.empty()


@everywhere
@pytest.mark.parametrize("how", ["reset", "end"])
async def test_a_client_that_vanishes_is_lost_once(house, how):
    async with house() as it:
        peer, ear = await it.peer()
        peer.send(frame(TEXT, b"1"), frame(TEXT, b"half")[:7])
        assert await ear.next() == "1"
        if how == "reset":
            tcp = peer.writer.get_extra_info("socket")
            tcp.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
            peer.writer.transport.abort()
        elif peer.writer.can_write_eof():
            peer.writer.write_eof()
            assert await peer.ends()
        else:
            peer.writer.close()
        assert await ear.next() == ear.lost
        await it.gone()
        assert ear.told.empty()
        ear.transport.send([Frame(b"{}")])
        ear.transport.close(1000, "")
        ear.transport.pause_reading()
        ear.transport.resume_reading()


async def test_a_half_closed_client_that_does_not_read_is_cut_off(house, monkeypatch):
    monkeypatch.setattr(connection, "CLOSE_PATIENCE", 0.05)
    async with house() as it:
        peer, ear = await it.peer()
        peer.writer.transport.pause_reading()
        fill(ear)
        peer.writer.write_eof()
        assert [await ear.next() for _ in range(2)] == [ear.blocked, ear.lost]
        await it.gone()


@everywhere
async def test_an_exception_ends_only_its_own_connection(house, expect_log):
    expect_log("ddpcore_tornado", "^Exception at a message of a client$")
    async with house() as it:
        peer, ear = await it.peer()
        other, others = await it.peer()
        ear.on_message = lambda text: 1 / 0
        peer.send(frame(TEXT, b"1"), frame(TEXT, b"2"))
        assert await peer.hear() == (CLOSE, close(1011, b"Internal error"))
        assert await ear.next() == ear.lost
        assert ear.heard == ["1"]
        other.send(frame(TEXT, b"fine"))
        assert await others.next() == "fine"


async def test_broken_sockjs_framing(house):
    async with house() as it:
        peer, ear = await it.peer(SOCKJS)
        assert await peer.hear() == (TEXT, b"o")
        peer.send(frame(TEXT, b'["1"]'), frame(TEXT, b"[") + frame(TEXT, b'["2"]'))
        assert await peer.hear() == (CLOSE, close(3000, b"Broken framing."))
        assert [await ear.next() for _ in range(2)] == ["1", ear.lost]
        assert await peer.ends()


@everywhere
async def test_broken_sockjs_framing_of_a_client_that_closes(house):
    async with house() as it:
        peer, ear = await it.peer(SOCKJS)
        assert await peer.hear() == (TEXT, b"o")
        peer.send(frame(TEXT, b"["), frame(CLOSE, close(1000)))
        assert await peer.hear() == (CLOSE, close(3000, b"Broken framing."))
        assert await peer.ends()
        assert await ear.next() == ear.lost
