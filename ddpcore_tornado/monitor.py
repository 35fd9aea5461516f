"""An address of its own that says whether all is well: for load balancers and supervisors.

It is no address for clients: it asks nobody who they are, so it belongs where only the machines
that need it can reach it. It is there from the beginning to the very end of the process.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler, url

from ddpcore_tornado.health import State
from ddpcore_tornado.listening import Address, bind
from ddpcore_tornado.unix_socket import UnixFiles

__all__ = ["Monitor", "Page", "health_pages"]

logger = logging.getLogger(__name__)


class Page(NamedTuple):
    """What is said at an address.

    Attributes:
        status: The status code.
        content_type: Its type.
        body: The text.
    """

    status: int
    content_type: str
    body: str


def health_pages(summary: Callable[[], Mapping[str, Any]]) -> dict[str, Callable[[], Page]]:
    """``/healthz``, which is fine as long as it answers, and ``/readyz``.

    Args:
        summary: How the process fares, see `ddpcore_tornado.health`.
    """

    def healthz() -> Page:
        return _json(200, {"status": "alive"})

    def readyz() -> Page:
        told = summary()
        return _json(200 if told["status"] == State.SERVING.value else 503, told)

    return {"/healthz": healthz, "/readyz": readyz}


def _json(status: int, value: Mapping[str, Any]) -> Page:
    return Page(status, "application/json", json.dumps(value) + "\n")


class Monitor:
    """A server of a few pages.

    Args:
        pages: What to say at which path.
        address: Where; None: only at sockets that are there already.
        sockets: Further listening sockets.

    Attributes:
        sockets: Where it listens.

    Raises:
        ddpcore.DDPError: The address cannot be used.
    """

    def __init__(
        self,
        pages: Mapping[str, Callable[[], Page]],
        address: Address | None,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        own = [] if address is None else bind([address], option="--monitor")
        self._files = UnixFiles(own)
        self.sockets = [*own, *sockets]
        application = Application(
            [url(path, _Handler, {"page": page}) for path, page in pages.items()],
            default_handler_class=_Nothing,
            log_function=_log_request,
        )
        # Nobody has anything to say here.
        self._http = HTTPServer(
            application, max_body_size=1024, idle_connection_timeout=60, body_timeout=10
        )
        self._http.add_sockets(self.sockets)

    async def close(self) -> None:
        """Say nothing more."""
        self._http.stop()
        self._files.remove()
        await self._http.close_all_connections()


class _Nothing(RequestHandler):
    SUPPORTED_METHODS = ("GET", "HEAD")

    def set_default_headers(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    def compute_etag(self) -> None:
        """Nothing here is kept."""

    def prepare(self) -> None:
        self.write_error(404)

    def write_error(self, status_code: int, **_: Any) -> None:
        self.set_status(status_code)
        if status_code == 405:
            self.set_header("Allow", ", ".join(self.SUPPORTED_METHODS))
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(f"{self._reason}\n")


class _Handler(_Nothing):
    def initialize(self, page: Callable[[], Page]) -> None:
        self._page = page

    def prepare(self) -> None:
        """Leave the answer to `get`."""

    def get(self) -> None:
        page = self._page()
        self.set_status(page.status)
        self.set_header("Content-Type", page.content_type)
        self.finish(page.body)

    head = get


def _log_request(handler: RequestHandler) -> None:
    logger.debug("%d %s %s", handler.get_status(), handler.request.method, handler.request.uri)
