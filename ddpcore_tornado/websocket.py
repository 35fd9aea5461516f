"""Where WebSockets begin: Tornado routes and upgrades, then the socket is ours.

A `tornado.websocket.WebSocketHandler` keeps the request, the handler and its own connection for
each client and makes a task turn for each message. Here the handler answers for the handshake
(RFC 6455, section 4.2), and what stays is a `Connection`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import os
import socket
from http import HTTPStatus
from typing import Any

from tornado.iostream import IOStream, StreamClosedError

from ddpcore.errors import DDPError, Stopping
from ddpcore.origin import Origins, is_readable
from ddpcore.server import Server
from ddpcore.transport import Cookies, visible_headers
from ddpcore_tornado.bodiless import BodilessHandler
from ddpcore_tornado.clients import Clients
from ddpcore_tornado.connection import Connection
from ddpcore_tornado.crowd import RETRY_AFTER, Place, TooMany
from ddpcore_tornado.framing import RAW, SOCKJS, Framing
from ddpcore_tornado.peer import peer
from ddpcore_tornado.stream import StreamTransport

__all__ = ["RawWebSocket", "SockJSWebSocket"]

logger = logging.getLogger(__name__)

# Of RFC 6455, and of the last draft before it, which differs in nothing we use.
VERSIONS = frozenset({"8", "13"})

_ACCEPT_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

UNSENT = 128 * 1024
"""Bytes the kernel keeps that have not been sent. By default it takes up to 4 MiB (Linux,
net.ipv4.tcp_wmem) for a client that reads slowly. These are frames that can neither be taken back
nor put together any more, and would all come before the client's documents of now."""


class RawWebSocket(BodilessHandler):
    """DDP as it is, one message in each text frame. Binary frames with JSON pass as well."""

    framing: Framing = RAW

    def initialize(
        self,
        server: Server,
        origins: Origins,
        clients: Clients,
        body_timeout: float = BodilessHandler.body_timeout,
    ) -> None:
        """Take what `handlers()` was given."""
        self.body_timeout = body_timeout
        self._server = server
        self._origins = origins
        self._clients = clients

    def check_xsrf_cookie(self) -> None:
        """No request is trusted for its cookies; those that Tornado would ask are refused."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Any other method, HEAD included, has no meaning here: only a GET can be upgraded."""
        if status_code != HTTPStatus.METHOD_NOT_ALLOWED:
            super().write_error(status_code, **kwargs)
            return
        self.set_header("Allow", "GET")
        self.clear_header("Content-Type")
        self.finish()

    async def get(self) -> None:
        """Upgrade, or say what this address is for. The first client starts the server."""
        if not self._is_handshake():
            self._refuse(400, "Not a valid websocket request")
            return
        if self.request.headers.get("Sec-WebSocket-Version") not in VERSIONS:
            self.set_header("Sec-WebSocket-Version", "13")
            self._refuse(426, "Upgrade Required")
            return
        if not self._is_welcome():
            self._refuse(403, "Cross origin websockets not allowed")
            return
        try:
            await self._server.start()
        except DDPError as problem:
            if isinstance(problem, Stopping):  # a proxy is to ask elsewhere, and not so again
                self.set_header("Connection", "close")
            else:
                logger.error("Cannot serve DDP: %s", problem)  # noqa: TRY400
            self._refuse(503, "The live service is not available at present.\n")
            return
        headers = visible_headers(self.request.headers.items())
        try:
            place = self._clients.enter(peer(self.request), headers)
        except TooMany as refusal:
            self.set_header("Retry-After", RETRY_AFTER)
            self._refuse(refusal.status, refusal.text)
            return
        await self._upgrade(headers, place)

    def _refuse(self, status: int, text: str) -> None:
        self.set_status(status)
        self.finish(text)

    def _is_handshake(self) -> bool:
        headers = self.request.headers
        connection = [word.strip().lower() for word in headers.get("Connection", "").split(",")]
        try:
            key = base64.b64decode(headers.get("Sec-WebSocket-Key", ""), validate=True)
        except (binascii.Error, ValueError):
            return False
        return (
            headers.get("Upgrade", "").lower() == "websocket"
            and "upgrade" in connection
            and len(key) == 16
            and self.request.version == "HTTP/1.1"
        )

    def _is_welcome(self) -> bool:
        headers = self.request.headers
        origin = headers.get("Origin", headers.get("Sec-WebSocket-Origin"))  # the latter in 8
        return is_readable(origin or "") and self._origins.allow(origin, self.request.host)

    def _cookies(self) -> Cookies | None:
        if not self._server.wants_cookies:
            return None
        header, origin = (self.request.headers.get(name) for name in ("Cookie", "Origin"))
        if not header or not origin or not self._origins.trusts(origin, self.request.host):
            return None
        return Cookies(header, origin)

    def _answer(self) -> bytes:
        # No subprotocol and no extension, whatever the client offers. Compression would cost
        # 163 kB for each client.
        key = self.request.headers["Sec-WebSocket-Key"].strip().encode("ascii")
        accept = base64.b64encode(hashlib.sha1(key + _ACCEPT_KEY, usedforsecurity=False).digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    async def _upgrade(self, headers: dict[str, str], place: Place) -> None:
        request = self.request
        self.set_status(HTTPStatus.SWITCHING_PROTOCOLS)
        stream = self.detach()
        self.ui = None  # type: ignore[assignment]  # it refers to us: as in Tornado's `finish`
        self.application.log_request(self)
        try:
            # What came behind the handshake. All of it is there at once, or has yet to come.
            read = asyncio.ensure_future(stream.read_bytes(stream.max_buffer_size, partial=True))
            early = read.result() if read.done() else b""
        except StreamClosedError:
            place.leave()
            return  # the client did not wait for an answer
        connection = Connection(
            self._server,
            self.framing,
            opening=self._answer(),
            address=peer(request),
            headers=headers,
            secure=request.protocol == "https",
        )
        connection.cookies = self._cookies()
        _tune(stream.socket)
        # With TLS the socket is not the whole of a stream. On Windows asyncio's and Tornado's ways
        # to watch a socket exclude each other.
        if type(stream) is IOStream and os.name == "posix":
            # The stream lets go of its socket by closing it: it is left with one copy of two.
            try:
                taken = stream.socket.dup()
            except OSError:  # there are no files left
                place.leave()
                stream.close()
                return
            connection.places = _places(stream, place)
            stream.close()
            connection.early, connection.socket = early, taken
            try:
                await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, taken)
            except BaseException:
                for each in connection.places:
                    each.leave()
                raise
        else:
            connection.places = _places(stream, place)
            StreamTransport(stream, connection, read)


class SockJSWebSocket(RawWebSocket):
    """The WebSocket transport of SockJS: arrays of messages after an opening ``o``."""

    framing = SOCKJS


def _places(stream: IOStream, place: Place) -> list[Place]:
    # That of the socket, which HTTP would leave now, and that of the client.
    of_socket = Place.taken_from(stream)
    return [place] if of_socket is None else [of_socket, place]


def _tune(connected: socket.socket) -> None:
    if connected.family in (socket.AF_INET, socket.AF_INET6):
        # A small frame is worth sending at once. What can be gathered has been.
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
