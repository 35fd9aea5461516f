"""One request to the site and its response, whatever kind of application answers."""

from __future__ import annotations

import asyncio
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, cast

from tornado.http1connection import HTTP1Connection, is_transfer_encoding_chunked
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)

from ddpcore_tornado.peer import peer
from ddpcore_tornado.site.response import Response

__all__ = ["Exchange", "Site", "path_of", "peer_of"]

logger = logging.getLogger(__name__)

GRACE = 1.0
"""Seconds that applications get to end when they are cut off at a stop."""

SILENCE = 60.0
"""Seconds in which a client that has more to send may send nothing. One that has lost its network
says so by nothing else. It is nginx's `client_body_timeout`."""

_WITH_HOST = re.compile(r"https?://[^/]*", re.IGNORECASE)


class Site(HTTPServerConnectionDelegate, ABC):
    """An application as the target of a routing rule.

    Unlike Tornado's `WSGIContainer` it leaves forms to the application (Tornado parses them on
    the event loop and refuses those of more than 100 parts), answers HEAD, and answers also
    where the application fails.

    Args:
        max_upload: Bytes that the body of a request may have.

    Attributes:
        closed: It takes no more requests.
        exchanges: Those that are under way.
    """

    def __init__(self, *, max_upload: int) -> None:
        self.max_upload = max_upload
        self.closed = False
        self.exchanges: set[Exchange] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Read a request; Tornado calls this."""
        del server_conn
        return self.exchange(request_conn)

    @abstractmethod
    def exchange(self, connection: HTTPConnection) -> Exchange:
        """Make what reads and answers a request."""

    async def start(self) -> None:
        """Get ready to serve.

        Raises:
            ddpcore.DDPError: The application does not start.
        """

    async def finish(self, patience: float = 5.0) -> None:
        """Give requests that are under way this many seconds; then cut them off.

        Requests that come on connections that are still open are answered until then.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._idle.wait()
        self.closed = True
        for each in list(self.exchanges):
            each.response.cut()
        for each in list(self.exchanges):
            each.abandon()
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await self._idle.wait()
        if self.exchanges:
            logger.warning(
                "%d requests to the site do not end: they are left behind", len(self.exchanges)
            )

    async def stop(self) -> None:
        """Let go of threads, after `finish`. Those that hang are left behind."""

    def enter(self, exchange: Exchange) -> None:
        """Keep it until it is over."""
        self.exchanges.add(exchange)
        self._idle.clear()

    def leave(self, exchange: Exchange) -> None:
        """It is over."""
        self.exchanges.discard(exchange)
        if not self.exchanges:
            self._idle.set()


class Exchange(HTTPMessageDelegate, ABC):
    """One request and its response, on Tornado's loop.

    Args:
        site: Whose it is.
        connection: Where it comes from.

    Attributes:
        calling: The application is at work on it.
        refused: It is answered without the application.
    """

    request: HTTPServerRequest
    response: Response

    def __init__(self, site: Site, connection: HTTPConnection) -> None:
        self._site = site
        self._connection = cast(HTTP1Connection, connection)
        self._size = 0
        self._silence: asyncio.TimerHandle | None = None
        self.calling = False
        self.refused = False

    # What kinds of applications differ in

    @abstractmethod
    def begin(self) -> None:
        """The head of the request is here."""

    @abstractmethod
    async def take(self, chunk: bytes) -> None:
        """A piece of its body is here; the next one comes when this is done."""

    @abstractmethod
    def complete(self) -> None:
        """All of it is here."""

    def over(self) -> None:
        """Nothing more leaves."""

    def abandon(self) -> None:
        """The application has no more time."""

    # What Tornado calls

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        """Begin, or refuse what is too large before it comes; Tornado calls this and the next."""
        assert isinstance(start_line, RequestStartLine)
        self.request = HTTPServerRequest(
            connection=self._connection, start_line=start_line, headers=headers
        )
        self.response = Response(self.request, self._over)
        length = _length(headers)
        # The limit is ours: Tornado's answer would be that the request is malformed.
        self._connection.set_max_body_size(2**62)
        self._connection.set_close_callback(self.response.lost)
        self._site.enter(self)
        if self._site.closed:
            self.refuse(503, "The server is being stopped. Try again in a moment.\n")
        elif length > self._site.max_upload:
            self._too_large()
        else:
            self.begin()
            self._await_more()

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Pass a piece of the body on, as long as anybody wants it."""
        if self.refused or self.response.ended or self.response.gone:
            return None
        self._size += len(chunk)
        if self._size > self._site.max_upload:
            self._too_large()
            return None
        return self._take(chunk)

    async def _take(self, chunk: bytes) -> None:
        self._await_no_more()  # what takes long now is us
        await self.take(chunk)
        self._await_more()

    def finish(self) -> None:
        """There is no more."""
        self._await_no_more()
        self.response.received.set()
        if not self.refused and not self.response.gone:
            self.complete()
        if self._connection.stream.closed():  # of which Tornado tells only if it comes later
            self.response.lost()

    def on_connection_close(self) -> None:
        """The client is gone before there was all of it."""
        self.response.lost()

    # What both kinds need

    def refuse(self, status: int, text: str) -> None:
        """Answer in place of the application, and close the connection."""
        self.refused = True
        if self.request.headers.get("Expect", "").lower() == "100-continue" and not self._size:
            self.response.received.set()  # it waits for us, and sends nothing more
        if self.response.begun:
            self.response.cut()
        else:
            self.response.whole(status, text, close=True)
        self.log()

    def called(self) -> None:
        """The application is done with it."""
        self.calling = False
        self._settle()

    def log(self) -> None:
        """Say what became of it."""
        logger.debug(
            "%s %s %s %.1f ms",
            self.response.status or "---",
            self.request.method,
            self.request.uri,
            self.request.request_time() * 1e3,
        )

    def _too_large(self) -> None:
        self.refuse(
            413,
            f"The request has more than {self._site.max_upload} bytes, which is the most this "
            "server takes.\n",
        )

    def _await_more(self) -> None:
        if not self.response.over.is_set():
            loop = asyncio.get_running_loop()
            self._silence = loop.call_later(SILENCE, self._hang_up)

    def _await_no_more(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _hang_up(self) -> None:
        logger.info(
            "%s sends nothing more of %s: cut off", self.request.remote_ip, self.request.path
        )
        self.response.cut()

    def _over(self) -> None:
        self._await_no_more()
        self.over()
        self._settle()

    def _settle(self) -> None:
        if self.response.over.is_set() and not self.calling:
            self._site.leave(self)


def _length(headers: HTTPHeaders) -> int:
    # Tornado looks at these after us, when the application would be at work already.
    is_transfer_encoding_chunked(headers)
    lengths = {text.strip() for text in headers.get("Content-Length", "0").split(",")}
    if len(lengths) != 1 or not re.fullmatch("[0-9]{1,18}", length := lengths.pop()):
        raise HTTPInputError(f"Content-Length is a number, not {headers['Content-Length']!r}")
    return int(length)


def path_of(request: HTTPServerRequest) -> str:
    """The path as it was sent, each byte a character of Latin-1.

    A request may name the host as well (RFC 9112, section 3.2.2), which is not part of the path.
    """
    return _WITH_HOST.sub("", request.path, count=1) or "/"


def peer_of(request: HTTPServerRequest) -> tuple[str, int] | None:
    """Address and port of the client; None where it came by a Unix socket."""
    context: Any = cast(HTTP1Connection, request.connection).context
    address = getattr(context, "address", None)
    if not isinstance(address, tuple) or len(address) < 2:
        return None
    return peer(request) or "", address[1]
