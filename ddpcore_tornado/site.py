"""The WSGI site on the same port: a request runs in a thread, its response leaves in one piece."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
    format_timestamp,
    split_host_and_port,
)

from ddpcore_tornado.peer import peer

__all__ = ["Site"]

logger = logging.getLogger(__name__)


class _Response(NamedTuple):
    status: str
    headers: list[tuple[str, str]]
    body: bytes


_FAILED = _Response(
    "500 Internal Server Error",
    [("Content-Type", "text/plain; charset=UTF-8")],
    b"Internal Server Error\n",
)


class Site(HTTPServerConnectionDelegate):
    """A WSGI application as the target of a routing rule.

    Unlike Tornado's `WSGIContainer` it leaves forms to the application (Tornado parses them on
    the event loop and refuses those of more than 100 parts), answers HEAD, and answers also
    where the application fails.

    Args:
        application: The WSGI application; it may block.
        threads: Where it runs.
        multiprocess: Whether other processes serve it, too.
    """

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        threads: Executor,
        *,
        multiprocess: bool = False,
    ) -> None:
        self._application = application
        self._multiprocess = multiprocess
        self._threads = threads
        self._tasks: set[asyncio.Task[None]] = set()

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Read a request; Tornado calls this."""
        del server_conn
        return _Reader(self, request_conn)

    def answer(self, request: HTTPServerRequest, connection: HTTPConnection) -> None:
        """Answer a request that is complete."""
        task = asyncio.get_running_loop().create_task(self._answer(request, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, patience: float = 5.0) -> None:
        """Give requests that are being answered this many seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)

    async def _answer(self, request: HTTPServerRequest, connection: HTTPConnection) -> None:
        loop = asyncio.get_running_loop()
        environ = _environ(request) | {"wsgi.multiprocess": self._multiprocess}
        try:
            response = await loop.run_in_executor(self._threads, self._run, environ)
            _write(response, request, connection)
        except Exception:
            logger.exception("The site failed at %s %s", request.method, request.path)
            response = _FAILED
            _write(response, request, connection)
        logger.debug(
            "%s %s %s %.1f ms",
            response.status[:3],
            request.method,
            request.uri,
            request.request_time() * 1e3,
        )

    def _run(self, environ: dict[str, Any]) -> _Response:
        # From first to last in this thread: closing the response ends Django's request,
        # connections included, and these belong to the thread.
        started: list[Any] = []
        body: list[bytes] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], _exc_info: object = None
        ) -> Callable[[bytes], None]:
            started[:] = status, headers
            return body.append

        try:
            response = self._application(environ, start_response)
            try:
                body.extend(response)
            finally:
                if hasattr(response, "close"):
                    response.close()
        except SystemExit as problem:  # which would stop the event loop
            raise RuntimeError(f"The site called sys.exit({problem.code!r})") from problem
        status, headers = started
        return _Response(status, headers, b"".join(body))


class _Reader(HTTPMessageDelegate):
    """Gathers one request."""

    def __init__(self, site: Site, connection: HTTPConnection) -> None:
        self._site = site
        self._connection = connection
        self._body: list[bytes] = []

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        assert isinstance(start_line, RequestStartLine)
        self._request = HTTPServerRequest(
            connection=self._connection, start_line=start_line, headers=headers
        )

    def data_received(self, chunk: bytes) -> None:
        self._body.append(chunk)

    def finish(self) -> None:
        self._request.body = b"".join(self._body)
        self._site.answer(self._request, self._connection)


def _environ(request: HTTPServerRequest) -> dict[str, Any]:
    host, port = split_host_and_port(request.host)
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.path.encode("latin-1")).decode("latin-1"),
        "QUERY_STRING": request.query,
        "REMOTE_ADDR": peer(request) or "",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or (443 if request.protocol == "https" else 80)),
        "SERVER_PROTOCOL": request.version,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.protocol,
        "wsgi.input": BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        # With an underscore it could pose as a header that a proxy in front of us vouches for.
        if "_" not in name:
            environ["HTTP_" + name.replace("-", "_").upper()] = value
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ["CONTENT_LENGTH"] = str(len(request.body))  # also of a body that came in chunks
    environ.pop("HTTP_CONTENT_LENGTH", None)
    return environ


def _write(response: _Response, request: HTTPServerRequest, connection: HTTPConnection) -> None:
    code, _, reason = response.status.partition(" ")
    headers = HTTPHeaders({"Date": format_timestamp(time.time())})
    for name, value in response.headers:
        # Django writes cookies with a leading blank, which Tornado rightly refuses.
        headers.add(name, value.strip())
    body = response.body
    if code in ("204", "304"):
        body = b""
        headers.pop("Content-Length", None)
    elif request.method == "HEAD":
        headers.setdefault("Content-Length", str(len(body)))
        body = b""
    else:
        headers["Content-Length"] = str(len(body))
    connection.write_headers(ResponseStartLine("HTTP/1.1", int(code), reason), headers, body)
    connection.finish()
