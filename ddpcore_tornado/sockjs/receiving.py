"""The requests that wait for frames: polls of two kinds, and streams of three."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import cast

from tornado.http1connection import HTTP1Connection

from ddpcore.errors import DDPError, Stopping
from ddpcore.transport import visible_headers
from ddpcore_tornado.crowd import RETRY_AFTER, TooMany
from ddpcore_tornado.peer import peer
from ddpcore_tornado.sockjs.base import Endpoint, SockJSHandler
from ddpcore_tornado.sockjs.caller import ancestors
from ddpcore_tornado.sockjs.framing import escaped
from ddpcore_tornado.sockjs.sessions import Full

__all__ = ["EventSource", "HtmlFile", "JsonpPolling", "XhrPolling", "XhrStreaming"]

logger = logging.getLogger(__name__)

_JAVASCRIPT = "application/javascript; charset=UTF-8"
_NO_IDENTIFIER = re.compile(r"[^a-zA-Z0-9\-_.]")

_HTML_HEAD = """\
<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.{callback};
    c.start();
    function p(d) {{c.message(d);}};
    window.onload = function() {{c.stop();}};
  </script>"""


class _Receiving(SockJSHandler):
    """A `Carrier`: it opens the session, if there is none, and waits for frames."""

    in_session = True
    content_type = _JAVASCRIPT

    def initialize(self, endpoint: Endpoint) -> None:
        super().initialize(endpoint)
        self._complete = asyncio.get_running_loop().create_future()

    async def receive(self) -> None:
        """Wait until the answer is complete."""
        sessions = self.endpoint.sessions
        session = sessions.find(self.session_id)
        if session is None:
            try:
                session = await sessions.open(
                    self.session_id,
                    peer(self.request),
                    visible_headers(self.request.headers.items()),
                    secure=self.request.protocol == "https",
                )
            except TooMany as refusal:
                self.set_header("Retry-After", RETRY_AFTER)
                self.refuse(refusal.status, refusal.text)
                return
            except DDPError as problem:
                if isinstance(problem, Stopping):  # a proxy is to ask elsewhere, and not so again
                    self.set_header("Connection", "close")
                elif not isinstance(problem, Full):
                    logger.error("Cannot serve SockJS: %s", problem)  # noqa: TRY400
                self.refuse(503, "The live service is not available at present.\n")
                return
        self.set_header("Content-Type", self.content_type)
        if self.closed:
            return
        self.begin()
        session.attach(self)
        try:
            await self._complete
        finally:
            session.hung_up(self)  # unless it has ended well

    def begin(self) -> None:
        """Send what comes before the first frame."""

    @property
    def complete(self) -> bool:
        """Whether the answer is complete."""
        return self._finished

    def carry(self, frame: bytes) -> asyncio.Future[None]:
        """Answer with a frame."""
        raise NotImplementedError

    def end(self) -> object:
        """Complete the answer."""
        raise NotImplementedError

    def wrap(self, frame: bytes) -> bytes:
        """A frame as it stands in the answer."""
        return frame + b"\n"

    @property
    def closed(self) -> bool:
        """Whether the client is known to have hung up."""
        return self._connection.stream.closed()

    def cut(self) -> None:
        """Hang up."""
        self._connection.stream.close()
        self._end()

    def _end(self) -> None:
        if not self._complete.done():
            self._complete.set_result(None)

    @property
    def _connection(self) -> HTTP1Connection:
        return cast(HTTP1Connection, self.request.connection)

    def on_connection_close(self) -> None:
        """The client hung up before it had its answer."""
        super().on_connection_close()
        self._end()


class _Polling(_Receiving):
    """One frame is an answer."""

    def carry(self, frame: bytes) -> asyncio.Future[None]:
        """Answer with `frame`."""
        taken = self.finish(self.wrap(frame))
        self._end()
        return taken


class _Streaming(_Receiving):
    """Many frames are an answer, up to a limit: browsers keep all of it in memory."""

    _sent = 0

    def stream(self, prelude: bytes) -> None:
        """Begin the answer."""
        # Proxies that gather answers (nginx) would keep frames back.
        self.set_header("X-Accel-Buffering", "no")
        if self.request.version == "HTTP/1.0":
            # Its end is that of the connection, which Tornado would promise to keep.
            self.request.headers.pop("Connection", None)
        self._connection.stream.set_nodelay(True)
        self.write(prelude)
        self.flush()

    def carry(self, frame: bytes) -> asyncio.Future[None]:
        """Add `frame` to the answer."""
        chunk = self.wrap(frame)
        self._sent += len(chunk)
        self.write(chunk)
        if self._sent < self.endpoint.options.response_limit:
            return self.flush()
        return self.end()

    def end(self) -> asyncio.Future[None]:
        """Complete the answer."""
        taken = self.finish()
        if self.request.version == "HTTP/1.0":
            stream = self._connection.stream
            taken.add_done_callback(lambda _: stream.close())
        self._end()
        return taken


class XhrPolling(_Polling):
    """A POST for each frame."""

    methods = ("OPTIONS", "POST")
    cors = True

    async def post(self) -> None:
        """Wait for a frame."""
        await self.receive()


class XhrStreaming(_Streaming):
    """A POST whose answer is read as it comes."""

    methods = ("OPTIONS", "POST")
    cors = True

    async def post(self) -> None:
        """Wait for frames."""
        await self.receive()

    def begin(self) -> None:
        """Send as much as some browsers gather before they show anything."""
        self.stream(b"h" * 2048 + b"\n")


class EventSource(_Streaming):
    """Server-sent events."""

    cors = True
    content_type = "text/event-stream"

    async def get(self) -> None:
        """Wait for frames."""
        await self.receive()

    def begin(self) -> None:
        """Send an empty line, which Opera needed."""
        self.stream(b"\r\n")

    def wrap(self, frame: bytes) -> bytes:
        """An event. Clients decode it like a URL; there are no other control characters in it."""
        return b"data: " + frame.replace(b"%", b"%25") + b"\r\n\r\n"


class HtmlFile(_Streaming):
    """A page in a hidden frame, whose scripts call the page around it as they come."""

    content_type = "text/html; charset=UTF-8"

    async def get(self) -> None:
        """Wait for frames."""
        callback = _callback(self)
        if callback is not None:
            self._callback = callback
            await self.receive()

    def begin(self) -> None:
        """Send the page's head, and as much as browsers gather before they run scripts."""
        policy = ancestors(self.endpoint.origins, self.request.host)
        if policy is not None:
            self.set_header("Content-Security-Policy", policy)
        head = _HTML_HEAD.format(callback=self._callback).encode()
        self.stream(head.ljust(1024) + b"\r\n\r\n")

    def wrap(self, frame: bytes) -> bytes:
        """A script."""
        return b"<script>\np(" + escaped(frame) + b");\n</script>\r\n"


class JsonpPolling(_Polling):
    """A script for each frame. Any page may run our scripts, so only known pages get one."""

    native = False

    async def get(self) -> None:
        """Wait for a frame."""
        callback = _callback(self, 32)
        if callback is not None:
            self._callback = callback.encode()
            self.set_header("X-Content-Type-Options", "nosniff")
            await self.receive()

    def wrap(self, frame: bytes) -> bytes:
        """A call. The comment keeps what comes from passing for something else, Flash for one."""
        return b"/**/" + self._callback + b"(" + escaped(frame) + b");\r\n"


def _callback(handler: SockJSHandler, longest: int | None = None) -> str | None:
    # The name that the client wants to be called by; without a fit one, the request is refused.
    name = handler.get_query_argument("c", None, strip=False)
    if name is None:
        name = handler.get_query_argument("callback", None, strip=False)
    if name is None:
        handler.refuse(500, '"callback" parameter required')
    elif _NO_IDENTIFIER.search(name) or (longest is not None and len(name) > longest):
        handler.refuse(500, 'invalid "callback" parameter')
    else:
        return name
    return None
