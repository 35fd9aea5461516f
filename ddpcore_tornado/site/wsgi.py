"""A WSGI application (PEP 3333): a request runs in a thread, its response leaves as it comes."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Iterable, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import IO, Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import FileWrapper

from tornado.httputil import HTTPConnection, HTTPServerRequest, split_host_and_port

from ddpcore_tornado.site.exchange import GRACE, Exchange, Site, path_of, peer_of
from ddpcore_tornado.site.response import PIECE, ClientGone
from ddpcore_tornado.site.spool import Spool
from ddpcore_tornado.site.threads import Threads

__all__ = ["WSGISite"]

logger = logging.getLogger(__name__)

Headers = list[tuple[str, str]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class WSGISite(Site):
    """A WSGI application.

    Args:
        application: The application; it may block.
        threads: How many requests run at once. Further ones wait for a thread.
        max_upload: Bytes that the body of a request may have.
        multiprocess: Whether other processes serve it, too.
    """

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        *,
        threads: int,
        max_upload: int,
        multiprocess: bool = False,
    ) -> None:
        super().__init__(max_upload=max_upload)
        self.application = application
        self.multiprocess = multiprocess
        self.threads = Threads(threads, "ddpcore-site")
        # Not the threads of the site: hanging views must not keep uploads from ending.
        self.writer = ThreadPoolExecutor(1, "ddpcore-upload")

    def exchange(self, connection: HTTPConnection) -> Exchange:
        """Make what reads and answers a request."""
        return _Exchange(self, connection)

    async def stop(self) -> None:
        """Let go of the threads."""
        await asyncio.to_thread(self.threads.stop, GRACE)
        self.writer.shutdown(wait=False, cancel_futures=True)


class _Exchange(Exchange):
    """A request that is gathered first: a slow upload holds no thread."""

    def __init__(self, site: WSGISite, connection: HTTPConnection) -> None:
        super().__init__(site, connection)
        self._wsgi = site
        self._body = Spool(site.writer)

    def begin(self) -> None:
        """Wait for the rest."""

    async def take(self, chunk: bytes) -> None:
        try:
            await self._body.write(chunk)
        except OSError:
            logger.exception("A request of %d bytes and more cannot be kept", self._body.size)
            if not self.response.gone:
                self.refuse(500, "Internal Server Error\n")

    def complete(self) -> None:
        self.calling = True
        environ = _environ(self.request, self._body.size) | {
            "wsgi.multiprocess": self._wsgi.multiprocess
        }
        call = _Call(self, self._wsgi.application, environ, self._body)
        self._wsgi.threads.run(call.run)

    def over(self) -> None:
        if not self.calling:
            self._body.close()

    @property
    def pointless(self) -> bool:
        """Nobody wants to know any more, and asking changes nothing."""
        return self.response.gone and self.request.method in ("GET", "HEAD")


class _Call:
    """One call of the application, from first to last in one thread.

    So closing the response, too: it ends Django's request, connections to the database included,
    and these belong to the thread.
    """

    def __init__(
        self,
        exchange: _Exchange,
        application: Callable[..., Iterable[bytes]],
        environ: dict[str, Any],
        body: Spool,
    ) -> None:
        self._exchange = exchange
        self._response = exchange.response
        self._application = application
        self._environ = environ
        self._body = body
        self._loop = asyncio.get_running_loop()
        self._head: tuple[int, str, Headers] | None = None
        self._is_whole = False

    def run(self) -> None:
        try:
            if not self._exchange.pointless:
                self._answer()
        except ClientGone:
            pass
        except (Exception, SystemExit) as problem:
            # That of `sys.exit` would end the thread.
            said = f", by sys.exit({problem.code!r})" if isinstance(problem, SystemExit) else ""
            request = self._exchange.request
            logger.exception("The site failed at %s %s%s", request.method, request.path, said)
            self._tell(self._response.fail)
        self._body.close()
        self._tell(self._exchange.log)
        self._tell(self._exchange.called)

    def _answer(self) -> None:
        self._environ["wsgi.input"] = self._body.open()
        response = self._application(self._environ, self._start_response)
        try:
            # An answer in one piece tells its length, as in wsgiref.
            self._is_whole = isinstance(response, Sized) and len(response) == 1
            for piece in response:
                if piece:
                    self._write(piece)
                if self._response.bodiless:
                    break
        finally:
            if hasattr(response, "close"):
                response.close()
        self._wait(self._end())

    def _start_response(
        self, status: str, headers: Headers, exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None:
            try:
                if self._response.begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # it refers to this frame
        elif self._head is not None:
            raise RuntimeError("start_response was called twice, the second time without exc_info")
        code, _, reason = status.partition(" ")
        self._head = int(code), reason, list(headers)
        return self._write

    def _write(self, piece: bytes) -> None:
        if not isinstance(piece, bytes):
            raise TypeError(f"A response is made of bytes, not of {type(piece).__name__}")
        self._wait(self._send(piece))

    def _wait(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result()

    def _tell(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and we were left behind
            self._loop.call_soon_threadsafe(call)

    # On Tornado's loop

    async def _send(self, piece: bytes) -> None:
        if not self._response.begun:
            self._begin()
            if self._is_whole:
                self._response.content_length(len(piece))
        await self._response.write(piece)

    async def _end(self) -> None:
        if not self._response.begun:
            self._begin()
        self._response.end()

    def _begin(self) -> None:
        if self._head is None:
            raise RuntimeError("The application has not called start_response")
        self._response.begin(*self._head)


def _file_wrapper(file: IO[bytes], size: int = PIECE) -> FileWrapper:
    # Django asks for pieces of 4 kB, and each is a way to the event loop and back.
    return FileWrapper(file, max(size, PIECE))


def _environ(request: HTTPServerRequest, size: int) -> dict[str, Any]:
    host, port = split_host_and_port(request.host)
    address, client_port = peer_of(request) or ("", "")
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path_of(request).encode("latin-1")).decode("latin-1"),
        "QUERY_STRING": request.query,
        "REMOTE_ADDR": address,
        "REMOTE_PORT": str(client_port),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or (443 if request.protocol == "https" else 80)),
        "SERVER_PROTOCOL": request.version,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.protocol,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": _file_wrapper,
    }
    for name, value in request.headers.items():
        # With an underscore it could pose as a header that a proxy in front of us vouches for.
        if "_" not in name:
            environ["HTTP_" + name.replace("-", "_").upper()] = value
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    # Of what has come. A body in chunks is one no longer.
    environ["CONTENT_LENGTH"] = str(size)
    for name in ("HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"):
        environ.pop(name, None)
    return environ
