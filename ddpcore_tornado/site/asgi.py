"""An ASGI application (version 3): all of it on one loop, in a thread of its own.

What it is told and what it says passes from loop to loop: the exchange lives on Tornado's, and
`receive` and `send` are calls to there. So an application that blocks its loop delays its own
clients, and nobody of DDP.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from tornado.httputil import HTTPConnection, HTTPServerRequest

from ddpcore_tornado.site.exchange import Exchange, Site, path_of, peer_of
from ddpcore_tornado.site.lifespan import Lifespan
from ddpcore_tornado.site.loop import LoopThread
from ddpcore_tornado.site.response import ClientGone

__all__ = ["ASGISite"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
Message = MutableMapping[str, Any]
ASGI = {"version": "3.0", "spec_version": "2.3"}

AFTERWARDS = 5.0
"""Seconds in which an application may send to a client that is gone, without effect. It has been
told by `receive`; one that does not listen, such as a stream without end, then gets an error."""

PAUSE = 0.05
"""Seconds that it takes to send to nobody, lest such a stream be the fastest of all."""


class ASGISite(Site):
    """An ASGI application.

    Args:
        application: The application. What blocks in it stalls all its requests.
        max_upload: Bytes that the body of a request may have.
    """

    def __init__(self, application: Callable[..., Awaitable[None]], *, max_upload: int) -> None:
        super().__init__(max_upload=max_upload)
        self.application = application
        self.thread = LoopThread("ddpcore-asgi")
        self.lifespan = Lifespan(application, ASGI)

    def exchange(self, connection: HTTPConnection) -> Exchange:
        """Make what reads and answers a request."""
        return _Exchange(self, connection)

    async def start(self) -> None:
        """Start the thread, and the application by the lifespan protocol if it speaks that.

        Raises:
            ddpcore.DDPError: The application says that it cannot start.
        """
        self.thread.start()
        await self.thread.run(self.lifespan.start())

    async def stop(self) -> None:
        """Let the application end, by the lifespan protocol if it speaks that."""
        await self.thread.stop(self.lifespan.stop)


class _Exchange(Exchange):
    """A request whose application is called when its head is here."""

    def __init__(self, site: ASGISite, connection: HTTPConnection) -> None:
        super().__init__(site, connection)
        self._asgi = site
        self._loop = asyncio.get_running_loop()
        self._body: deque[bytes] = deque()
        self._is_complete = self._is_told = self._is_started = False
        self._news = asyncio.Event()
        self._taken = asyncio.Event()
        self._gone_since: float | None = None
        self._task: asyncio.Task[None] | None = None

    # On Tornado's loop

    def begin(self) -> None:
        if "websocket" in self.request.headers.get("Upgrade", "").lower():
            self.refuse(
                403, "This server has WebSockets for DDP, at /websocket, and none of the site.\n"
            )
            return
        scope = _scope(self.request) | {"state": dict(self._asgi.lifespan.state)}
        self.calling = True
        self._asgi.thread.loop.call_soon_threadsafe(self._call, scope)

    async def take(self, chunk: bytes) -> None:
        self._body.append(chunk)
        self._news.set()
        while self._body and not self.response.over.is_set() and not self.response.ended:
            self._taken.clear()
            await self._taken.wait()

    def complete(self) -> None:
        self._is_complete = True
        self._news.set()

    def over(self) -> None:
        if self.response.gone:
            self._gone_since = self._loop.time()
        self._news.set()
        self._taken.set()

    def abandon(self) -> None:
        with suppress(RuntimeError):
            self._asgi.thread.loop.call_soon_threadsafe(self._cancel)

    async def _receive(self) -> Message:
        while not self.refused and not self.response.over.is_set():
            if self._body or (self._is_complete and not self._is_told):
                body = b"".join(self._body)
                self._body.clear()
                self._taken.set()
                self._is_told = self._is_complete
                return {"type": "http.request", "body": body, "more_body": not self._is_complete}
            self._news.clear()
            await self._news.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind, response = message["type"], self.response
        if self.refused or response.gone:
            await self._to_nobody()
        elif kind == "http.response.start" and not self._is_started:
            response.begin(message["status"], None, _decoded(message.get("headers", ())))
            self._is_started = True
        elif kind == "http.response.body" and self._is_started and not response.ended:
            body, more = bytes(message.get("body", b"")), message.get("more_body", False)
            if not more and not response.begun:  # all of it in one piece
                response.content_length(len(body))
            with suppress(ClientGone):
                await response.write(body)
                if not more:
                    response.end()
                    self._taken.set()
                    self.log()
        else:
            when = "after the end" if response.ended else "now"
            raise RuntimeError(f"The application must not send {kind!r} {when}.")

    async def _to_nobody(self) -> None:
        now = self._loop.time()
        if self._gone_since is None:
            self._gone_since = now
        if now - self._gone_since > AFTERWARDS:
            raise ClientGone
        await asyncio.sleep(PAUSE)

    def _returned(self, problem: BaseException | None) -> None:
        response, request = self.response, self.request
        if not (response.ended or response.gone or self.refused):
            if problem is None:
                problem = RuntimeError("The application has returned before its answer was whole")
            logger.error("The site failed at %s %s", request.method, request.path, exc_info=problem)
            response.fail()
            self.log()
        elif not isinstance(problem, ClientGone | asyncio.CancelledError | None):
            after = "The site failed after %s %s"
            logger.error(after, request.method, request.path, exc_info=problem)
        self._taken.set()
        self.called()

    # On the application's loop

    def _call(self, scope: dict[str, Any]) -> None:
        self._task = asyncio.create_task(self._run(scope))

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self, scope: dict[str, Any]) -> None:
        problem: BaseException | None = None
        try:
            await self._asgi.application(scope, self._call_receive, self._call_send)
        except (Exception, SystemExit, asyncio.CancelledError) as caught:
            problem = caught
        with suppress(RuntimeError):  # Tornado's loop has ended
            self._loop.call_soon_threadsafe(self._returned, problem)

    async def _call_receive(self) -> Message:
        return await self._on_tornado(self._receive())

    async def _call_send(self, message: Message) -> None:
        await self._on_tornado(self._send(message))

    async def _on_tornado(self, call: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, self._loop))


def _decoded(headers: Any) -> list[tuple[str, str]]:
    return [
        (bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in headers
    ]


def _scope(request: HTTPServerRequest) -> dict[str, Any]:
    raw = path_of(request).encode("latin-1")
    return {
        "type": "http",
        "asgi": ASGI.copy(),
        "http_version": request.version.removeprefix("HTTP/"),
        "method": request.method,
        "scheme": request.protocol,
        "path": unquote_to_bytes(raw).decode("utf-8", "replace"),
        "raw_path": raw,
        "query_string": request.query.encode("latin-1"),
        "root_path": "",
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in request.headers.get_all()
            # With an underscore it could pose as a header that a proxy in front of us vouches for.
            if "_" not in name
        ],
        "client": peer_of(request),
        "server": _server_of(request),
        "extensions": {},
    }


def _server_of(request: HTTPServerRequest) -> tuple[str, int | None] | None:
    connection: Any = request.connection
    try:
        name = connection.stream.socket.getsockname()
    except (AttributeError, OSError):  # the client is gone already
        return None
    return (name[0], name[1]) if isinstance(name, tuple) else (name, None)
