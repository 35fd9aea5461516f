"""The way to the status of a worker: its parent passes WebSockets on, byte by byte.

Each worker tells of itself at a Unix socket that only its own user can reach. The parent reads the
handshake, says who asks, and from then on knows nothing of what is said.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from tornado.iostream import IOStream, StreamClosedError
from tornado.routing import Rule
from tornado.web import RequestHandler, url

from ddpcore_tornado.peer import peer
from ddpcore_tornado.status.routes import page_rules

__all__ = ["Relay"]

logger = logging.getLogger(__name__)

MOST = 128
"""WebSockets that are passed on at once: a few pages, each with one for every worker."""

PIECE = 64 * 1024
"""Bytes that are passed on in one go."""

# What the parent says itself.
_OURS = frozenset({"x-forwarded-for", "x-forwarded-proto"})


class Relay:
    """Passes on to workers what is for their status.

    Args:
        sockets: Where each can be reached, by its number.

    Attributes:
        rules: The page, and the WebSockets of all workers.
    """

    def __init__(self, sockets: Mapping[int, Path]) -> None:
        self._sockets = sockets
        self._tasks: set[asyncio.Task[None]] = set()
        self.rules: list[Rule] = [
            *page_rules([f"{number}/websocket" for number in sockets]),
            url(r"/status/([1-9][0-9]{0,4})/websocket", _Socket, {"relay": self}),
        ]

    def path(self, number: int) -> Path | None:
        """Where to reach a worker; None: there is no such."""
        return self._sockets.get(number)

    @property
    def full(self) -> bool:
        """Whether there is no place for one more."""
        return len(self._tasks) >= 2 * MOST  # one for each direction

    def join(self, client: IOStream, worker: IOStream) -> None:
        """Let these two talk until one of them hangs up."""
        for source, target in ((client, worker), (worker, client)):
            task = asyncio.get_running_loop().create_task(_pass_on(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all of it."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


async def _pass_on(source: IOStream, target: IOStream) -> None:
    try:
        while True:
            await target.write(await source.read_bytes(PIECE, partial=True))
    except StreamClosedError:
        pass
    finally:
        source.close()
        target.close()


class _Socket(RequestHandler):
    def initialize(self, relay: Relay) -> None:
        self._relay = relay

    async def get(self, number: str) -> None:
        path = self._relay.path(int(number))
        if path is None:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such worker.\n")
            return
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            self._refuse(HTTPStatus.BAD_REQUEST, "Not a valid websocket request\n")
            return
        if self._relay.full:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "There are too many of you.\n")
            return
        worker = IOStream(socket.socket(socket.AF_UNIX))
        try:
            await worker.connect(str(path))
            await worker.write(self._head())
        except (OSError, StreamClosedError):
            worker.close()
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "The worker does not answer.\n")
            return
        self.set_status(HTTPStatus.SWITCHING_PROTOCOLS)  # or whatever the worker says
        self._relay.join(self.detach(), worker)

    def _head(self) -> bytes:
        request = self.request
        lines = ["GET /status/websocket HTTP/1.1"]
        lines += [
            f"{name}: {text}"
            for name, text in request.headers.get_all()
            if name.lower() not in _OURS
        ]
        # What the client says stays, at the left: it shows that a proxy stands before us.
        path = [*request.headers.get_list("X-Forwarded-For"), peer(request) or "unknown"]
        lines.append(f"X-Forwarded-For: {', '.join(path)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(text)
