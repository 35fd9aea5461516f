"""A load of WebSocket clients in one thread: bare sockets, epoll, frames counted by their headers.

It knows no more of DDP than it must, so that its own cost is small, and the same whoever serves.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import re
import select
import socket
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WINDOW = 100
"""Handshakes under way at once: what a server's listen queue holds."""

TIMEOUT = 120.0
"""Seconds without anything to read after which a run has failed."""

READ = 65536

AT = re.compile(rb'"at":(\d+)')
"""When a message's change was made, or its call: microseconds of `time.monotonic()`."""

MASK = os.urandom(4)

Take = Callable[["Connection", bytes], None]


def masked(*messages: bytes) -> bytes:
    """Frames as a client sends them; each message is of less than 64 kB."""
    frames = []
    for message in messages:
        size = len(message)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        key = int.from_bytes((MASK * (size // 4 + 1))[:size], "big")
        body = (int.from_bytes(message, "big") ^ key).to_bytes(size, "big")
        frames.append(b"\x81" + length + MASK + body)
    return b"".join(frames)


def ddp(**message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def sub(name: str, *params: Any) -> bytes:
    return ddp(msg="sub", id=name, name=name, params=params)


class Group:
    """Connections that were opened together, and what has come for all of them.

    Attributes:
        frames: How many frames, heartbeats apart.
        connected: How many have connected, or upgraded where it is not DDP.
        whole: How many have what they asked for: subscriptions are ready.
        closed: How many the server has closed.
    """

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.frames = self.bytes = self.connected = self.whole = self.closed = 0


class Connection:
    """One client.

    Attributes:
        take: Called with each frame's payload; None: they are counted only.
        session: The session's id, once connected.
        frames: How many frames of this session have come, as resumption counts them.
        resumed: Whether the session is that of an earlier connection.
        kept: Whether its documents are kept.
        documents: Collection/id → fields, if they are.
        notes: For whoever takes the messages.
    """

    __slots__ = ("bytes", "documents", "frames", "group", "hello", "kept", "load", "notes",
                 "rest", "resumed", "session", "socket", "take", "then", "upgraded")  # fmt: skip

    def __init__(self, load: Load, group: Group, socket: socket.socket) -> None:
        self.load, self.group, self.socket = load, group, socket
        self.take: Take | None = None
        self.then: Take | None = None  # takes over once connected
        self.hello = b""
        self.rest = b""
        self.upgraded = self.resumed = self.kept = False
        self.session: str | None = None
        self.frames = self.bytes = 0
        self.documents: dict[str, dict[str, Any]] = {}
        self.notes: list[Any] = []

    def send(self, *messages: bytes) -> None:
        self.write(masked(*messages))

    def write(self, frames: bytes) -> None:
        sent = self.socket.send(frames)
        assert sent == len(frames), "the server does not read"

    def readable(self) -> None:
        try:
            data = self.socket.recv(READ)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        self.load.now = time.monotonic()
        if not data:
            self.group.closed += 1
            self.load.forget(self)
            return
        self.bytes += len(data)
        self.group.bytes += len(data)
        if self.rest:
            data = self.rest + data
        self.rest = self._frames(data) if self.upgraded else self._upgrade(data)

    def _upgrade(self, data: bytes) -> bytes:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            return data
        assert b" 101 " in head[:20], head.decode()
        self.upgraded = True
        self.load.shaking -= 1
        if self.hello:
            self.take = _hello
            self.write(self.hello)
        else:
            self.group.connected += 1
        return self._frames(rest)

    def _frames(self, data: bytes) -> bytes:
        at, end, before = 0, len(data), self.frames
        gone = 0
        while at + 2 <= end:
            length, start = data[at + 1], at + 2
            if length == 126:
                start = at + 4
                length = int.from_bytes(data[at + 2 : start], "big")
            elif length == 127:
                start = at + 10
                length = int.from_bytes(data[at + 2 : start], "big")
            stop = start + length
            if stop > end or start > end:
                break
            if data[at] == 0x88:
                break  # the end of the socket follows
            at = stop
            if length < 64 and b'"ping"' in data[start:stop]:
                self.send(b'{"msg":"pong"}')
                continue
            self.frames += 1
            if self.take is not None:
                here = self.frames
                self.take(self, data[start:stop])
                gone += here - self.frames  # a new session counts anew
        self.group.frames += self.frames - before + gone
        return data[at:]


class Load:
    """The clients of one server.

    Attributes:
        now: When the latest bytes came, on the clock of the machine.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._request = (
            f"GET /websocket HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ).encode()
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self.shaking = 0
        self.now = time.monotonic()

    def open(
        self,
        count: int,
        *messages: bytes,
        bare: bool = False,
        then: Take | None = None,
        kept: int = 0,
        receive_buffer: int = 0,
    ) -> Group:
        """Connect `count` clients, and send `messages` with each `connect`.

        Where there are messages, which are subscriptions, wait until they are ready.

        Args:
            messages: ``{n}`` in them stands for the number of the client, from 0.
            bare: Not with DDP: connected once upgraded.
            then: What takes the frames after `connected`, if there are no messages.
            kept: Keep the documents of every so manieth client; 0: of none.
            receive_buffer: Bytes that the kernel may hold for a client; 0: as it likes.
        """
        group = Group()
        for number, connection in enumerate(self._connecting(group, count, receive_buffer)):
            if not bare:
                connection.hello = _hello_of(number, messages)
            connection.then = until_ready if messages else then
            connection.kept = kept > 0 and number % kept == 0
        self.run(lambda: group.connected == count and (not messages or group.whole == count))
        return group

    def reopen(self, former: Group, *messages: bytes, resume: bool) -> Group:
        """Connect the clients of a group again: `whole` when they have what they had, and news.

        Args:
            resume: Whether they ask for the sessions they had.
        """
        group = Group()
        count = len(former.connections)
        for number, connection in enumerate(self._connecting(group, count, 0)):
            old = former.connections[number]
            connection.kept, connection.then = old.kept, until_ready
            if resume:
                connection.session, connection.frames = old.session, old.frames
                connection.documents, connection.then = old.documents, until_news
                go_on = {"session": old.session, "receivedCount": old.frames}
                connection.hello = _hello_of(number, messages, **go_on)
            else:
                connection.hello = _hello_of(number, messages)
        self.run(lambda: group.whole == count)
        return group

    def _connecting(self, group: Group, count: int, receive_buffer: int) -> Iterator[Connection]:
        for _ in range(count):
            self.run(lambda: self.shaking < WINDOW)
            made = socket.socket()
            if receive_buffer:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            made.connect(self._address)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setblocking(False)
            made.send(self._request)
            connection = Connection(self, group, made)
            group.connections.append(connection)
            self.shaking += 1
            yield connection
            self.read(connection)

    def control(self) -> Control:
        return Control(self)

    def run(self, until: Callable[[], object]) -> None:
        """Read whatever comes, until `until()` is true; asked after each round of reading."""
        while not until():
            assert self.turn(TIMEOUT), "nothing comes any more"

    def rest(self, seconds: float) -> None:
        """Read whatever comes, for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.turn(left)

    def turn(self, timeout: float) -> bool:
        events = self._epoll.poll(timeout)
        for fileno, _ in events:
            if fileno in self._connections:
                self._connections[fileno].readable()
        return bool(events)

    def read(self, connection: Connection) -> None:
        self._connections[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket, select.EPOLLIN)

    def stop_reading(self, connection: Connection) -> None:
        del self._connections[connection.socket.fileno()]
        self._epoll.unregister(connection.socket)

    def forget(self, connection: Connection) -> None:
        if self._connections.pop(connection.socket.fileno(), None):
            self._epoll.unregister(connection.socket)
        connection.socket.close()

    def close(self, group: Group, *, for_good: bool = True) -> None:
        """Close a group's sockets; `for_good`: their DDP sessions, too."""
        for connection in group.connections:
            if connection.socket.fileno() >= 0:
                if for_good and connection.hello:
                    connection.send(b'{"msg":"disconnect"}')
                self.forget(connection)


class Control:
    """A connection of its own to call methods one by one, while the others are read as well."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._last = 0
        self._results: dict[str, dict[str, Any]] = {}
        self._connection = load.open(1, then=self._take).connections[0]

    def _take(self, _connection: Connection, payload: bytes) -> None:
        message = json.loads(payload)
        if message["msg"] == "result":
            self._results[message["id"]] = message

    def start(self, method: str, *params: Any) -> Callable[[], Any]:
        """Call a method; what is returned waits for its result."""
        self._last += 1
        key = str(self._last)
        self._connection.send(ddp(msg="method", id=key, method=method, params=params))

        def result() -> Any:
            self._load.run(lambda: key in self._results)
            message = self._results.pop(key)
            assert "error" not in message, message
            return message.get("result")

        return result

    def __call__(self, method: str, *params: Any) -> Any:
        return self.start(method, *params)()


def _hello_of(number: int, messages: Sequence[bytes], **more: Any) -> bytes:
    own = (message.replace(b"{n}", b"%d" % number) for message in messages)
    return masked(ddp(msg="connect", **more, version="1", support=["1"]), *own)


# What takes messages


def _hello(connection: Connection, payload: bytes) -> None:
    message = json.loads(payload)
    if "msg" not in message:
        connection.frames -= 1  # `server_id`, which resumption does not count
        return
    assert message["msg"] == "connected", message
    connection.resumed = connection.session == message["session"]
    if not connection.resumed:
        connection.session, connection.frames = message["session"], 1
        connection.documents = {}
        if connection.then is until_news:
            connection.then = until_ready
    connection.take = connection.then
    connection.group.connected += 1


def until_ready(connection: Connection, payload: bytes) -> None:
    """Wait for `ready`; from then on frames are counted, or kept."""
    if connection.kept:
        keep(connection, payload)
    kind = payload[:32]
    if b'"ready"' in kind:
        connection.take = keep if connection.kept else None
        connection.group.whole += 1
    else:
        assert b'"nosub"' not in kind, payload
        assert b'"error"' not in kind, payload


def until_news(connection: Connection, payload: bytes) -> None:
    """Wait for a `changed`; from then on frames are counted, or kept."""
    if connection.kept:
        keep(connection, payload)
    if b'"changed"' in payload[:32]:
        connection.take = keep if connection.kept else None
        connection.group.whole += 1


def keep(connection: Connection, payload: bytes) -> None:
    """Keep the documents."""
    message = json.loads(payload)
    if message["msg"] not in ("added", "changed", "removed"):
        return
    key = f"{message['collection']}/{message['id']}"
    if message["msg"] == "removed":
        del connection.documents[key]
    else:
        document = connection.documents.setdefault(key, {})
        document.update(message.get("fields", {}))
        for name in message.get("cleared", ()):
            del document[name]


def latencies(into: list[tuple[float, float]]) -> Take:
    """Note (when a message came, seconds since `at`)."""

    def take(connection: Connection, payload: bytes) -> None:
        if found := AT.search(payload):
            now = connection.load.now
            into.append((now, now - int(found[1]) / 1e6))

    return take


def arrivals(connection: Connection, _payload: bytes) -> None:
    """Note when each message came."""
    connection.notes.append(connection.load.now)


# Calls


class Calls:
    """Clients that call a method, each with so many calls in flight.

    Args:
        group: The clients.
        message: The call, with ``%d`` for its id.
        in_flight: Calls of each client.
        replies: Frames that answer one call.
    """

    def __init__(self, load: Load, group: Group, message: bytes, in_flight: int, replies: int):
        self._load, self._group, self._message = load, group, message
        self._in_flight, self._replies = in_flight, replies
        self._made: list[bytes] = []  # ids are told apart within a session only
        self._first = group.frames

    @property
    def done(self) -> int:
        return (self._group.frames - self._first) // self._replies

    def run(self, seconds: float) -> None:
        """Call for so long, then wait for the last results."""
        load, replies, in_flight = self._load, self._replies, self._in_flight
        called = dict.fromkeys(self._group.connections, 0)
        first = {connection: connection.frames for connection in called}
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            for connection, count in called.items():
                answered = (connection.frames - first[connection]) // replies
                if wanted := in_flight - (count - answered):
                    connection.write(b"".join(self._frames(count, wanted)))
                    called[connection] = count + wanted
            assert load.turn(max(end - now, 0) + TIMEOUT), "no answers any more"
        target = self._group.frames + sum(
            count * replies - (connection.frames - first[connection])
            for connection, count in called.items()
        )
        load.run(lambda: self._group.frames >= target)

    def _frames(self, start: int, count: int) -> list[bytes]:
        for number in range(len(self._made), start + count):
            self._made.append(masked(self._message % number))
        return self._made[start : start + count]


# Clients in a process of their own


class Bystanders:
    """Clients in another process: nothing that this process does delays them."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe

    def stop(self) -> list[tuple[float, float]]:
        """What they saw: (when a message came, seconds since its change or call)."""
        self._pipe.send(None)
        return self._pipe.recv()


@contextmanager
def bystanders(
    address: str, count: int, *messages: bytes, echo: float = 0.0
) -> Iterator[Bystanders]:
    """Clients that subscribe by `messages` and time the changes that come.

    Args:
        echo: Seconds from one call of each client to the next, which are timed; 0: none.
    """
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=_stand_by, args=(there, address, count, messages, echo), daemon=True
    )
    process.start()
    try:
        assert here.recv() == "ready"
        yield Bystanders(here)
    finally:
        process.terminate()
        process.join()


def _stand_by(pipe: Any, address: str, count: int, messages: Sequence[bytes], echo: float) -> None:
    load = Load(address)
    found: list[tuple[float, float]] = []
    group = load.open(count, *messages)
    for connection in group.connections:
        connection.take = latencies(found)
    pipe.send("ready")
    number = 0
    while not pipe.poll():
        if echo:
            number += 1
            call = {"at": int(time.monotonic() * 1e6)}
            for connection in group.connections:
                connection.send(ddp(msg="method", id=str(number), method="echo", params=[call]))
        load.rest(echo or 0.05)
    load.rest(0.3)  # what is under way
    pipe.send(found)


def spread(group: Group, count: int) -> list[Connection]:
    """So many connections of a group, evenly spread: to look closer at."""
    return group.connections[:: max(len(group.connections) // count, 1)][:count]


def kernel_bytes(connection: Connection) -> int:
    """Bytes for a client that the server has already given to the kernel."""
    unread = int.from_bytes(fcntl.ioctl(connection.socket, termios.FIONREAD, bytes(4)), "little")
    near, far = connection.socket.getpeername()[1], connection.socket.getsockname()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines():
        fields = line.split()
        if fields[1].endswith(f":{near:04X}") and fields[2].endswith(f":{far:04X}"):
            return unread + int(fields[4].partition(":")[0], 16)
    return unread
