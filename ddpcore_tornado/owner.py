"""Which worker owns a SockJS session, and how the others hand its requests over.

A client that polls sends many HTTP requests for one session, and each may reach any worker, while
the session lives in one. Whose it is follows from its id in the URL, by a hash on which all
workers agree: nobody keeps a table, and no cookie or sticky proxy is needed. A request that reaches
another worker is passed to the owner by a Unix socket, and the answer comes back as it flows.

WebSockets are one connection, hence at home wherever they arrive. This layer knows nothing of
SockJS but the shape of its URLs.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import zlib
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import bind_unix_socket
from tornado.routing import Router

from ddpcore_tornado.worker import Worker

__all__ = ["Owner", "owner_of"]

logger = logging.getLogger(__name__)

_SESSION = re.compile(r"/sockjs/[^/.]+/([^/.]+)/(?!websocket/?$)[^/.]+/?")

# Who asks in truth: protocol and address. Believed where only workers can connect.
_PEER = "X-Ddpcore-Peer"

# What concerns one connection alone (RFC 9110, section 7.6.1), and is made anew for the next one.
_HOP = (
    "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
    "Upgrade", "Expect",
)  # fmt: skip

# A response has the size that the owner gives it, and a stream may go on for ever.
_UNLIMITED = HTTP1ConnectionParameters(no_keep_alive=True, max_body_size=2**62)


def owner_of(path: str, count: int, prefix: str = "") -> int | None:
    """The number of the worker, from 1 to `count`, that owns the session a request is for.

    Args:
        path: The path of the URL, as it was sent.
        count: How many workers there are.
        prefix: What comes before ``/sockjs``.

    Returns:
        None if it is for no session, or for a WebSocket, which any worker serves.
    """
    if not path.startswith(prefix):
        return None
    found = _SESSION.fullmatch(path, len(prefix))
    return None if found is None else zlib.crc32(unquote_to_bytes(found[1])) % count + 1


class Owner(Router):
    """Serves what is this worker's, and passes on what is not.

    Args:
        worker: This process.
        routes: What serves here.
        max_body: Bytes that a request may have that is passed on.
        body_timeout: Seconds in which they must have come.
        prefix: What comes before ``/sockjs``.
    """

    def __init__(
        self,
        worker: Worker,
        routes: Router,
        max_body: int,
        body_timeout: float,
        prefix: str = "",
    ) -> None:
        self.max_body = max_body
        self.body_timeout = body_timeout
        self._worker = worker
        self._prefix = prefix
        self._routes = routes
        self._inside = HTTPServer(_Inside(routes))
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Take requests from other workers. A predecessor's address is taken over."""
        path = self._path(self._worker.number)
        self._inside.add_socket(bind_unix_socket(str(path), mode=0o600))

    async def finish(self, patience: float) -> None:
        """Give requests that others are answering this many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._tasks:
                    await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Take none, and end those that are under way."""
        self._inside.stop()
        await self._inside.close_all_connections()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate | None:
        """Decide who answers; Tornado calls this."""
        owner = owner_of(request.path, self._worker.count, self._prefix)
        if owner in (None, self._worker.number):
            return self._routes.find_handler(request, **kwargs)
        return _Request(self, owner, request)

    def relay(self, owner: int, request: HTTPServerRequest) -> None:
        """Pass on a request that is complete."""
        task = asyncio.get_running_loop().create_task(_relay(self._path(owner), request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _path(self, number: int) -> Path:
        return self._worker.directory / str(number)


class _Request(HTTPMessageDelegate):
    """Gathers a request of somebody else's session."""

    def __init__(self, owner: Owner, number: int, request: HTTPServerRequest) -> None:
        self._owner = owner
        self._number = number
        self._request = request
        self._body = bytearray()
        self._client = cast(HTTP1Connection, request.connection)
        self._client.set_body_timeout(owner.body_timeout)

    def data_received(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > self._owner.max_body:  # this is the last that we hear of it
            self._body.clear()
            _refuse(self._client, 413, "Content Too Large", b"The body is too long.\n")

    def finish(self) -> None:
        self._request.body = bytes(self._body)
        self._owner.relay(self._number, self._request)


async def _relay(path: Path, request: HTTPServerRequest) -> None:
    client = cast(HTTP1Connection, request.connection)
    stream = IOStream(socket.socket(socket.AF_UNIX))
    # The owner is to notice when the client hangs up, since that may end the session.
    client.set_close_callback(stream.close)
    response = _Response(client)
    try:
        await stream.connect(str(path))
        if client.stream.closed():  # before there was a callback
            return
        inside = HTTP1Connection(stream, is_client=True, params=_UNLIMITED)
        assert request.method is not None
        assert request.uri is not None
        start = RequestStartLine(request.method, request.uri, "HTTP/1.1")
        inside.write_headers(start, _passed_on(request), request.body)
        inside.finish()
        await inside.read_response(response)
    except StreamClosedError:
        if not response.begun:
            # The owner is being started again, or has just died. SockJS clients then try a new
            # session.
            _refuse(client, 503, "Service Unavailable", b"The session is not available.\n")
    finally:
        stream.close()
        if response.begun and not response.complete:
            client.close()  # half an answer must not look like a whole one


def _passed_on(request: HTTPServerRequest) -> HTTPHeaders:
    headers = request.headers.copy()
    for name in _HOP:
        headers.pop(name, None)
    headers["Connection"] = "close"
    headers[_PEER] = f"{request.protocol} {request.remote_ip}"
    if request.body or "Content-Length" in headers:
        headers["Content-Length"] = str(len(request.body))
    elif request.method in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = "0"
    return headers


def _refuse(client: HTTP1Connection, status: int, reason: str, text: bytes) -> None:
    if client.stream.closed():
        return
    headers = HTTPHeaders(
        {"Content-Type": "text/plain; charset=UTF-8", "Content-Length": str(len(text))}
    )
    client.write_headers(ResponseStartLine("HTTP/1.1", status, reason), headers, text)
    client.finish()


class _Response(HTTPMessageDelegate):
    """Brings the client what the owner answers, piece by piece.

    Attributes:
        begun: The client has got something.
        complete: There is no more to come.
    """

    def __init__(self, client: HTTP1Connection) -> None:
        self._client = client
        self.begun = self.complete = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        assert isinstance(start_line, ResponseStartLine)
        if start_line.code < 200:
            return
        headers = headers.copy()
        for name in _HOP:
            headers.pop(name, None)
        self.begun = True
        self._client.write_headers(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None]:
        return self._write(chunk)

    async def _write(self, chunk: bytes) -> None:
        # The owner is read no faster than the client reads.
        try:
            await self._client.write(chunk)
        except StreamClosedError:  # its close callback ends the rest
            return

    def finish(self) -> None:
        self.complete = True
        if not self._client.stream.closed():
            self._client.finish()


class _Inside(HTTPServerConnectionDelegate):
    """What comes from other workers, for the routes here: its peer is who asked them."""

    def __init__(self, routes: Router) -> None:
        self._routes = routes

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Read a request; Tornado calls this."""
        return _Peered(self._routes.start_request(server_conn, request_conn), request_conn)


class _Peered(HTTPMessageDelegate):
    def __init__(self, inner: HTTPMessageDelegate, connection: HTTPConnection) -> None:
        self._inner = inner
        self._context = cast(HTTP1Connection, connection).context

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        context: Any = self._context  # of this request alone: connections here carry only one
        context.protocol, context.remote_ip = headers.pop(_PEER).split(" ", 1)
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        self._inner.finish()

    def on_connection_close(self) -> None:
        self._inner.on_connection_close()
