"""Clients that can stop reading: a WebSocket whose buffers are small, and SockJS over HTTP.

Each is a socket as `ddp_client.Client` wants it, with `stop` and `go_on`.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ddp_client import Client
from sockjs_client import Session, Socket

RAW, TLS, SOCKJS = "raw", "tls", "sockjs"
WEBSOCKETS = [RAW, TLS, SOCKJS]
HTTP = ["xhr", "xhr_streaming"]
KINDS = [*WEBSOCKETS, *HTTP]

BUFFER = 4096  # bytes: the least that the kernel and asyncio keep for one that does not read


class _Slow:
    """Reads while it may.

    Attributes:
        closed: How the other side closed: code and reason.
    """

    def __init__(self) -> None:
        self.closed: tuple[int, str] | None = None
        self.may_read = asyncio.Event()
        self.may_read.set()

    def stop(self) -> None:
        """Read nothing, from the next message on."""
        self.may_read.clear()

    def go_on(self) -> None:
        self.may_read.set()


class WebSocket(_Slow):
    """A WebSocket, by hand."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, sockjs: bool
    ) -> None:
        super().__init__()
        self._reader, self._writer, self._sockjs = reader, writer, sockjs

    @classmethod
    async def connect(cls, address: str, kind: str, tls: ssl.SSLContext | None) -> WebSocket:
        host, port = address.split(":")
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (host, int(port)))
        named = {"server_hostname": "localhost"} if tls is not None else {}
        reader, writer = await asyncio.open_connection(sock=made, limit=BUFFER, ssl=tls, **named)
        path = f"/sockjs/000/{secrets.token_hex(4)}" if kind == SOCKJS else ""
        writer.write(
            f"GET {path}/websocket HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return cls(reader, writer, sockjs=kind == SOCKJS)

    async def send(self, text: str) -> None:
        payload = (json.dumps([text]) if self._sockjs else text).encode()
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        mask = os.urandom(4)
        body = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
        self._writer.write(b"\x81" + length + mask + body)
        await self._writer.drain()

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            await self.may_read.wait()
            try:
                first, payload = await self._frame()
            except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                return
            if first == 0x88:
                self.closed = int.from_bytes(payload[:2], "big"), payload[2:].decode()
                return
            text = payload.decode()
            if not self._sockjs:
                yield text
            elif text[0] == "a":
                for each in json.loads(text[1:]):
                    yield each
            elif text[0] == "c":
                self.closed = tuple(json.loads(text[1:]))

    async def _frame(self) -> tuple[int, bytes]:
        first, size = await self._reader.readexactly(2)
        if size > 125:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
        return first, await self._reader.readexactly(size)

    async def close(self) -> None:
        self.go_on()
        self._writer.transport.abort()


class Http(_Slow, Socket):
    """SockJS over HTTP: one that polls polls no more, one that has a stream leaves it unread."""

    def __init__(self, session: Session) -> None:
        _Slow.__init__(self)
        Socket.__init__(self, session)
        self._left = False

    def stop(self) -> None:
        super().stop()
        if self.session.answer is not None:
            self.session.answer.writer.transport.pause_reading()

    def go_on(self) -> None:
        super().go_on()
        if self.session.answer is not None:
            self.session.answer.writer.transport.resume_reading()

    async def __aiter__(self) -> AsyncIterator[str]:
        async for text in Socket.__aiter__(self):
            yield text
            await self.may_read.wait()
            if self._left:
                return

    async def close(self) -> None:
        self._left = True
        self.may_read.set()
        await Socket.close(self)


@asynccontextmanager
async def slow_client(
    address: str, kind: str, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Client]:
    """A connected client; it must have had nothing to complain of."""
    made = (
        Http(Session(address, kind))
        if kind in HTTP
        else await WebSocket.connect(address, kind, tls)
    )
    client = Client(made)
    try:
        if isinstance(made, Http):  # a session begins with its first request for frames
            while made.session.answer is None and made._reading is None:
                await asyncio.sleep(0)
        await client.send(msg="connect", version="1", support=["1"])
        await client.message(msg="connected")
        yield client
        assert not client.faults, client.faults
    finally:
        await made.close()
        await client._reader
