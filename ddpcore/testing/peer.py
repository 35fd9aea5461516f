"""The other end of a transport: clients below DDP, who do as they are told and no more."""

from __future__ import annotations

import asyncio
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

__all__ = ["Peer", "Refused", "WebSocketPeer"]

BUFFER = 32 * 1024
"""Bytes that a client keeps which it has not been asked for, in each of two buffers."""

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


class Refused(Exception):
    """The client was not let in."""


class Peer(ABC):
    """A client, message by message. It takes nothing off the network but by `receive`.

    Attributes:
        closed: The code and the reason with which the server closed; None if it has not, or
            without a word. It is known when `receive` has returned None.
    """

    closed: tuple[int, str] | None = None

    @abstractmethod
    async def send(self, *texts: str) -> None:
        """Send messages; return when the network has taken them.

        Args:
            *texts: The messages, to be sent in one write if that can be.
        """

    @abstractmethod
    async def send_bytes(self, data: bytes) -> None:
        """Send `data`, which is no UTF-8, as a message; the server may refuse it."""

    @abstractmethod
    async def send_too_much(self, text: str) -> None:
        """Send `text`, a message that is too large; the server may hang up in the middle of it."""

    @abstractmethod
    async def misbehave(self) -> None:
        """Send what the transport's own rules forbid."""

    @abstractmethod
    async def receive(self) -> str | None:
        """The next message; None when no more will come."""

    @abstractmethod
    async def leave(self) -> None:
        """Go, as it is proper."""

    @abstractmethod
    async def vanish(self) -> None:
        """Go without a word. Idempotent, also after all else."""


class WebSocketPeer(Peer):
    """A client by WebSocket (RFC 6455), without extensions; `WebSocketPeer.connect` makes one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._ready: list[str] = []
        self._over = False

    @classmethod
    async def connect(
        cls, url: str, headers: Mapping[str, str], *, tls: ssl.SSLContext | None = None
    ) -> WebSocketPeer:
        """Connect; a client that was let in.

        Args:
            url: A ``ws:`` or ``wss:`` address.
            headers: Further headers of the request.
            tls: How to make sure of the other side, for ``wss:``.

        Raises:
            Refused: The answer is not 101.
        """
        parts = urlsplit(url)
        connected = socket.socket()
        # Small, for a client that reads nothing to be soon seen as such.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        connected.setblocking(False)
        where = parts.hostname, parts.port
        await asyncio.get_running_loop().sock_connect(connected, where)
        reader, writer = await asyncio.open_connection(
            sock=connected,
            limit=BUFFER,
            ssl=tls,
            server_hostname="localhost" if tls is not None else None,
        )
        named = {
            "Host": parts.netloc,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            **headers,
        }
        lines = [f"GET {parts.path} HTTP/1.1", *(f"{k}: {v}" for k, v in named.items()), "", ""]
        writer.write("\r\n".join(lines).encode("latin-1"))
        peer = cls(reader, writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError) as problem:
            await peer.vanish()
            raise Refused("no answer") from problem
        if not head.startswith(b"HTTP/1.1 101 "):
            await peer.vanish()
            raise Refused(head.partition(b"\r\n")[0].decode())
        return peer

    # How messages travel: others may put them into a framing of their own.

    def encode(self, texts: Sequence[str]) -> list[bytes]:
        """The payloads that bring the messages `texts`."""
        return [text.encode() for text in texts]

    def decode(self, payload: bytes) -> list[str]:
        """The messages that `payload` brings."""
        return [payload.decode()]

    # What clients do

    async def send(self, *texts: str) -> None:
        """Send each in a frame of its own, all in one write; see `Peer`, as for the others."""
        await self._write(b"".join(_frame(TEXT, each) for each in self.encode(texts)))

    async def send_bytes(self, data: bytes) -> None:
        """As a text frame."""
        await self._write(_frame(TEXT, data))

    async def send_too_much(self, text: str) -> None:
        """As any other."""
        await self.send(text)

    async def misbehave(self) -> None:
        """A frame of a kind that does not exist, without the mask that clients owe."""
        await self._write(b"\x83\x05hello")

    async def _write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (ConnectionError, ssl.SSLError):
            self._over = True

    async def receive(self) -> str | None:
        """The next message; pings are answered on the way."""
        while not self._ready:
            if self._over:
                return None
            try:
                await self._read()
            except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                self._over = True
        return self._ready.pop(0)

    async def _read(self) -> None:
        first, size = await self._reader.readexactly(2)
        if size > 125:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
        payload = await self._reader.readexactly(size)
        kind = first & 0x0F
        if kind in (TEXT, BINARY):
            self._ready += self.decode(payload)
        elif kind == PING:
            await self._write(_frame(PONG, payload))
        elif kind == CLOSE:
            if self.closed is None and payload:
                self.closed = int.from_bytes(payload[:2], "big"), payload[2:].decode()
            await self._write(_frame(CLOSE, payload[:2]))
            self._over = True

    async def leave(self) -> None:
        """Say farewell, and wait for the server's."""
        await self._write(_frame(CLOSE, (1000).to_bytes(2, "big")))
        while await self.receive() is not None:
            pass

    async def vanish(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()


def _frame(kind: int, payload: bytes) -> bytes:
    """A whole frame, with a mask that changes nothing."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65_536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([0x80 | kind]) + length + b"\0\0\0\0" + payload
