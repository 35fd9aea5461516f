"""Sessions over WebSockets: raw DDP, one message a frame, and the same in SockJS framing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import ujson
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketHandler

from ddpcore.errors import DDPError
from ddpcore.server import Server
from ddpcore.transport import Transport, visible_headers
from ddpcore.wire.frame import Frame
from ddpcore_tornado.framing import sockjs_farewell, sockjs_websocket, websocket_text
from ddpcore_tornado.origin import Origins, is_readable

__all__ = ["RawWebSocket", "SockJSWebSocket"]

logger = logging.getLogger(__name__)


class _Outbox(Transport):
    """A client's way out: gathers the frames of a loop turn and hands them over in one write."""

    def __init__(self, handler: _DDPWebSocket) -> None:
        self._handler = handler
        self._waiting: list[bytes] = []
        self._paused: asyncio.Event | None = None
        self._framing = handler.framing
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self.address = handler.request.remote_ip
        self.headers = visible_headers(handler.request.headers.items())

    def send(self, frames: Sequence[Frame]) -> None:
        """Send with everything else of this loop turn."""
        if self._closed:
            return
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting += [frame.wrapped(self._framing) for frame in frames]

    def flush(self) -> None:
        """Hand over what has been gathered."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self.write(b"".join(waiting))

    def write(self, frames: bytes) -> None:
        """Hand over WebSocket frames, at once."""
        connection = self._handler.ws_connection
        if connection is None or connection.is_closing():
            return
        # Frames are ready-made here, so they go to the stream, not through write_message.
        stream = connection.stream
        try:
            if stream is not None:
                stream.write(frames)
        except StreamClosedError:
            self._closed = True

    def close(self, code: int, reason: str) -> None:
        """Send what waits, then close."""
        if not self._closed:
            self.flush()
            self._closed = True
            if self._handler.farewell is not None:
                self.write(self._handler.farewell(code, reason))
            self._handler.close(code, reason)

    def pause_reading(self) -> None:
        """Let the handler take no further message."""
        self._paused = self._paused or asyncio.Event()

    def resume_reading(self) -> None:
        """Let it go on."""
        if self._paused is not None:
            self._paused.set()
            self._paused = None

    def readable(self) -> Awaitable[None] | None:
        """What is to be waited for before the next message; Tornado reads no further meanwhile."""
        return self._wait() if self._paused is not None else None

    async def _wait(self) -> None:
        while self._paused is not None:
            await self._paused.wait()

    def forget(self) -> None:
        """The client is gone."""
        self._closed = True
        self._waiting.clear()
        self.resume_reading()
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.lost()


class _DDPWebSocket(WebSocketHandler):
    """What raw and SockJS WebSockets share."""

    framing = staticmethod(websocket_text)
    greeting: bytes | None = None
    farewell: Callable[[int, str], bytes] | None = None

    def initialize(self, server: Server, origins: Origins, max_message_size: int) -> None:
        """Take what `handlers()` was given."""
        self._server = server
        self._origins = origins
        self._max_message_size = max_message_size
        self._outbox: _Outbox | None = None

    @property
    def max_message_size(self) -> int:
        """Bytes a client's message may have; beyond, the socket closes with code 1009."""
        return self._max_message_size

    def check_origin(self, origin: str) -> bool:
        """See `Origins`."""
        return self._origins.allow(origin, self.request.host)

    def open(self, *_args: str, **_kwargs: str) -> None:
        """Open a session."""
        self.set_nodelay(True)
        self._outbox = _Outbox(self)
        if self.greeting is not None:
            self._outbox.write(self.greeting)
        self._server.accept(self._outbox)

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Pass a message on."""
        outbox = self._outbox
        if outbox is None or outbox.receiver is None:
            return None
        outbox.receiver.receive(message)
        return outbox.readable()

    def on_close(self) -> None:
        """The client is gone, or we closed."""
        if self._outbox is not None:
            self._outbox.forget()
            self._outbox = None

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Upgrade, or say what this address is for. The first client starts the server."""
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            self.set_status(400)
            self.finish("Not a valid websocket request")
            return
        if not is_readable(self.request.headers.get("Origin", "")):
            self.set_status(403)
            self.finish("Cross origin websockets not allowed")
            return
        try:
            await self._server.start()
        except DDPError as problem:
            logger.error("Cannot serve DDP: %s", problem)  # noqa: TRY400
            self.set_status(503)
            self.finish("The live service is not available at present.\n")
            return
        await super().get(*args, **kwargs)


class RawWebSocket(_DDPWebSocket):
    """DDP as it is, one message in each text frame. Binary frames with JSON pass as well."""


class SockJSWebSocket(_DDPWebSocket):
    """The WebSocket transport of SockJS: arrays of messages after an opening ``o``."""

    framing = staticmethod(sockjs_websocket)
    greeting = websocket_text(b"o")
    farewell = staticmethod(sockjs_farewell)

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Take the messages out of their array; a single string will do, too."""
        if not message:
            return None
        try:
            content = ujson.loads(message)
        except ValueError:
            content = None
        texts = content if isinstance(content, list) else [content]
        if not all(isinstance(text, str) for text in texts):
            self.close(3000, "Broken framing.")
            self.on_close()  # nothing more of this client counts
            return None
        readable = None
        for text in texts:
            readable = super().on_message(text)
        return readable
