"""One client on an ASGI websocket: the transport."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from ddpcore.transport import CLOSE_PATIENCE, Cookies, Transport, visible_headers
from ddpcore.wire.frame import Frame

__all__ = ["ASGITransport", "Receive", "Scope", "Send", "headers_of"]

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def headers_of(scope: Scope) -> list[tuple[str, str]]:
    """The request's headers, as text."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]


class ASGITransport(Transport):
    """A client whose websocket has been accepted.

    ASGI sends by a coroutine that waits for the network, so frames wait here in a queue, and one
    task takes them out. Another one reads, and waits while the session wants nothing.

    Args:
        scope: The websocket's.
        receive: The way in.
        send: The way out.
        cookies: See `Transport`.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, cookies: Cookies | None) -> None:
        self.headers = visible_headers(headers_of(scope))
        self.address = scope["client"][0] if scope.get("client") else None
        self.secure = scope.get("scheme") == "wss"
        self.cookies = cookies
        self._receive, self._send = receive, send
        self._queue: deque[Frame] = deque()
        self._waiting = 0  # bytes that `send` was given and the network has not taken
        self._blocked = False
        self._farewell: tuple[int, str] | None = None
        self._gone = False
        self._something_to_send = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._over = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Carry messages until the client is gone."""
        tasks = [asyncio.ensure_future(each) for each in (self._read(), self._write())]
        try:
            over = asyncio.ensure_future(self._over.wait())
            await asyncio.wait([*tasks, over], return_when=asyncio.FIRST_COMPLETED)
            tasks.append(over)
        finally:
            self._gone = True
            for task in tasks:
                task.cancel()
            for problem in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(problem, Exception) and not isinstance(problem, OSError):
                    logger.error("The way to a client has failed", exc_info=problem)
            if self._patience is not None:
                self._patience.cancel()
            self._queue.clear()
            self._over.set()
            receiver, self.receiver = self.receiver, None
            if receiver is not None:
                receiver.lost()

    # The way in

    async def _read(self) -> None:
        while True:
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                return
            await self._may_read.wait()
            text = event.get("text")
            self._bring(event["bytes"] if text is None else text)

    def _bring(self, message: str | bytes) -> None:
        if self.receiver is None or self._farewell is not None:
            return
        if len(message if isinstance(message, bytes) else message.encode()) > self.max_message_size:
            self.close(1009, "Message too big")
            return
        try:
            self.receiver.receive(message)
        except Exception:
            logger.exception("Exception at a message of a client")
            self.close(1011, "Internal error")

    def pause_reading(self) -> None:
        """Read one more message, and keep it; the ASGI server reads no further by itself."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Go on, in a turn of the loop to come."""
        self._may_read.set()

    # The way out

    def send(self, frames: Sequence[Frame]) -> None:
        """Put `frames` into the queue."""
        if self._farewell is not None or self._gone:
            return
        self._queue += frames
        self._waiting += sum(len(frame.data) for frame in frames)
        self._something_to_send.set()
        if self._waiting > self.high_water and not self._blocked:
            self._blocked = True
            if self.receiver is not None:
                self.receiver.blocked()

    async def _write(self) -> None:
        while True:
            await self._something_to_send.wait()
            self._something_to_send.clear()
            while self._queue:
                frame = self._queue.popleft()
                await self._send({"type": "websocket.send", "text": frame.data.decode("ascii")})
                self._waiting -= len(frame.data)
                self._tell_drained()
            if self._farewell is not None:
                code, reason = self._farewell
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
                return

    def _tell_drained(self) -> None:
        if self._blocked and self._waiting <= self.high_water // 2:
            self._blocked = False
            if self.receiver is not None and self._farewell is None:
                self.receiver.drained()

    def close(self, code: int, reason: str) -> None:
        """Let the queue be sent, then the close; but not for long."""
        if self._farewell is None and not self._gone:
            self._farewell = code, reason
            self._something_to_send.set()
            self._may_read.set()  # what comes now counts for nothing
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(CLOSE_PATIENCE, self._over.set)

    async def wait_closed(self) -> None:
        """Wait until the client is gone, or given up."""
        await self._over.wait()
