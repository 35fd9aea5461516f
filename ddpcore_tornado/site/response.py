"""A response on its way to the client: its head, its pieces, and how it ends.

All of it happens on Tornado's loop. What the socket does not take waits here, a little of it: then
whoever writes has to wait as well, so an endless response to a slow client costs no memory.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPHeaders,
    HTTPServerRequest,
    ResponseStartLine,
    format_timestamp,
)
from tornado.iostream import StreamClosedError

__all__ = ["ClientGone", "Response"]

logger = logging.getLogger(__name__)

WINDOW = 1024 * 1024
"""Bytes of a response that may wait for the socket. Most pages are smaller: whoever wrote them is
free at once, and clients that read slowly hold no thread."""

PIECE = 64 * 1024
"""Bytes that are handed to the socket at once."""

STUCK = 60.0
"""Seconds a client may take for a piece. That is a kilobyte a second; who takes less takes nothing.
It is nginx's `send_timeout`."""

LINGER = 5.0
"""Seconds in which a client may go on to send a body that nobody reads, after its answer. To close
at once would make its system throw the answer away (RFC 9112, section 9.6)."""

# What concerns one connection alone (RFC 9110, section 7.6.1) is not the application's to say.
_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
     "upgrade"}
)  # fmt: skip


class ClientGone(ConnectionError):
    """Nobody is there to read any more."""


class Response:
    """What one request is answered.

    Args:
        request: The request.
        on_over: Is called when nothing more leaves: it is complete, or the client is gone.

    Attributes:
        status: The status, once there is one.
        begun: The head has left; it cannot be taken back.
        ended: Whoever writes it is done with it.
        gone: Nobody reads it: the client hung up, or was cut off.
        over: Set when nothing more leaves.
        received: Set when all of the request has come.
    """

    def __init__(self, request: HTTPServerRequest, on_over: Callable[[], None]) -> None:
        self._request = request
        self._connection = cast(HTTP1Connection, request.connection)
        self._on_over = on_over
        self._fields = HTTPHeaders()
        self._start = ResponseStartLine("HTTP/1.1", 500, "")
        self._remaining: int | None = None
        self._bodiless = self._closing = self._until_close = False
        self._waiting: deque[bytes] = deque()
        self._unsent = 0
        self._room = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self.status: int | None = None
        self.begun = self.ended = self.gone = False
        self.over = asyncio.Event()
        self.received = asyncio.Event()

    def begin(self, status: int, reason: str | None, headers: Iterable[tuple[str, str]]) -> None:
        """Take the head. It leaves with the first piece, or at the end, and may change until then.

        Raises:
            ValueError: There is no such status, or a header cannot be sent.
            tornado.httputil.HTTPInputError: A header cannot be sent.
        """
        if not 200 <= status <= 999:
            raise ValueError(f"A response has a status from 200 to 999, not {status}.")
        if reason is None:
            reason = HTTPStatus(status).phrase if status in _PHRASES else "Unknown"
        fields = HTTPHeaders()
        closing = False
        for name, value in headers:
            if name.lower() not in _HOP:
                value.encode("latin-1")
                # Django writes cookies with a leading blank, which Tornado rightly refuses.
                fields.add(name, value.strip())
            elif name.lower() == "connection" and value.strip().lower() == "close":
                closing = True
        fields.setdefault("Date", format_timestamp(time.time()))
        if status in (204, 304):
            fields.pop("Content-Length", None)
        length = fields.get("Content-Length")
        if length is not None and not re.fullmatch("[0-9]+", length):
            raise ValueError(f"Content-Length is a number of bytes, not {length!r}.")
        self.status = status
        self._fields = fields
        self._start = ResponseStartLine("HTTP/1.1", status, reason)
        self._bodiless = self._request.method == "HEAD" or status in (204, 304)
        self._remaining = None if self._bodiless or length is None else int(length)
        self._closing = closing

    @property
    def bodiless(self) -> bool:
        """Whether nothing follows the head, whatever is written."""
        return self._bodiless

    def content_length(self, length: int) -> None:
        """The length of the body, if the head does not tell it."""
        if not self._bodiless and self._remaining is None and not self.begun:
            self._fields["Content-Length"] = str(length)
            self._remaining = length
        elif length and self._request.method == "HEAD" and self.status not in (204, 304):
            self._fields.setdefault("Content-Length", str(length))

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; wait while too much waits for the socket.

        Raises:
            ClientGone: Nobody is there.
            ValueError: It is more than the head says.
        """
        if self.gone:
            raise ClientGone
        if self._bodiless:
            data = b""
        if self._remaining is not None:
            self._remaining -= len(data)
            if self._remaining < 0:
                raise ValueError("The body is longer than its Content-Length.")
        if self.begun and not data:
            return
        for start in range(0, len(data) or 1, PIECE):
            if start:
                await asyncio.sleep(0)  # others have their turn
            self._put(data[start : start + PIECE])
            while self._unsent > WINDOW and not self.gone:
                self._room.clear()
                await self._room.wait()
            if self.gone:
                raise ClientGone

    def end(self) -> None:
        """It is complete. What waits for the socket is still sent.

        Raises:
            ValueError: It is less than the head says.
        """
        if self.gone or self.ended:
            return
        if self._remaining:
            raise ValueError(
                f"The body is {self._remaining} bytes shorter than its Content-Length."
            )
        if not self.begun:
            if not self._bodiless:
                self.content_length(0)
            self._put(b"")
        self.ended = True
        if self._pump is None:
            if self.received.is_set():
                self._finish()
            else:
                self._pump = asyncio.create_task(self._close())

    def whole(self, status: int, text: str, *, close: bool = False) -> None:
        """Answer with a short text, and no more."""
        body = text.encode()
        headers = [
            ("Content-Type", "text/plain; charset=UTF-8"),
            ("Content-Length", str(len(body))),
        ]
        if close:
            headers.append(("Connection", "close"))
        self.begin(status, None, headers)
        self._remaining = None
        self._put(b"" if self._bodiless else body)
        self.end()

    def fail(self) -> None:
        """The application has failed: say so, or let half an answer not look like a whole one."""
        if self.gone or self.ended:
            return
        if self.begun:
            self.cut()
        else:
            self.whole(500, "Internal Server Error\n")

    def cut(self) -> None:
        """Hang up."""
        if self.over.is_set():
            return
        stream = self._connection.stream
        if self.begun and self._until_close and not stream.closed():
            # Here an orderly end of the connection would be the end of the response.
            with suppress(OSError):
                stream.socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
        self._connection.close()
        self.lost()

    def lost(self) -> None:
        """The connection is closed."""
        if self.over.is_set():
            return
        self.gone = True
        self._waiting.clear()
        pump, self._pump = self._pump, None
        if pump is not None and pump is not asyncio.current_task():
            pump.cancel()
        self._finished()

    def _finished(self) -> None:
        self._room.set()
        self.received.set()
        self.over.set()
        self._on_over()

    def _put(self, piece: bytes) -> None:
        if self._pump is not None:
            self._waiting.append(piece)
        else:
            sent = self._send(piece)
            if sent.done() and sent.exception() is None:
                return
            self._pump = asyncio.create_task(self._drain(sent, len(piece)))
        self._unsent += len(piece)

    def _send(self, piece: bytes) -> asyncio.Future[None]:
        if self.begun:
            return self._connection.write(piece)
        self.begun = True
        request = self._request
        if request.version == "HTTP/1.0" and not self._bodiless and self._remaining is None:
            self._until_close = "Content-Length" not in self._fields
            self._closing |= self._until_close
        if self._closing:
            # By this header Tornado would promise to keep the connection.
            request.headers.pop("Connection", None)
            self._fields["Connection"] = "close"
        return self._connection.write_headers(self._start, self._fields, piece)

    async def _drain(self, sent: asyncio.Future[None], size: int) -> None:
        # One write at a time: Tornado tells of the last one only. It may forget to tell when the
        # connection is closed, and `lost` ends this.
        try:
            while True:
                async with asyncio.timeout(STUCK):
                    await sent
                self._unsent -= size
                if self._unsent <= WINDOW:
                    self._room.set()
                if not self._waiting:
                    break
                piece = self._waiting.popleft()
                sent, size = self._send(piece), len(piece)
        except StreamClosedError:
            self.lost()
        except TimeoutError:
            logger.info(
                "%s takes nothing of %s: cut off", self._request.remote_ip, self._request.path
            )
            self.cut()
        else:
            self._pump = None
            if self.ended:
                await self._close()

    async def _close(self) -> None:
        if not self.received.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    await self.received.wait()
        if not self.over.is_set():
            self._finish()

    def _finish(self) -> None:
        self._connection.finish()
        if self._closing:
            self._pump = asyncio.create_task(self._hang_up())
        else:
            self._finished()

    async def _hang_up(self) -> None:
        with suppress(StreamClosedError):
            await self._connection.stream.write(b"")  # which means: once all is written
        self._connection.close()
        self._finished()


_PHRASES = frozenset(HTTPStatus)
