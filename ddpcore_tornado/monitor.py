"""An address of its own that says whether all is well: for load balancers and supervisors.

It is no address for clients: it asks nobody who they are, so it belongs where only the machines
that need it can reach it. It is there from the beginning to the very end of the process. If they
are wanted, metrics are told there, and the status page is shown, which may ask for a token.
"""

from __future__ import annotations

import inspect
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tornado.httpserver import HTTPServer
from tornado.routing import Rule
from tornado.web import Application, RequestHandler, url

from ddpcore_tornado.health import State
from ddpcore_tornado.listening import Address, bind
from ddpcore_tornado.unix_socket import UnixFiles

__all__ = ["Monitor", "Page", "Pages", "as_rules", "health_pages"]

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
    body: str | bytes


Pages = Mapping[str, Callable[[], Page | Awaitable[Page]]]
"""What to say at which path."""


def as_rules(pages: Pages) -> list[Rule]:
    """Pages as rules of Tornado."""
    return [url(path, _Handler, {"page": page}) for path, page in pages.items()]


def health_pages(
    summary: Callable[[], Mapping[str, Any]],
) -> dict[str, Callable[[], Page | Awaitable[Page]]]:
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
        rules: What else is there.
        check: Given all sockets, raises a `ddpcore.DDPError` if they will not do.

    Attributes:
        sockets: Where it listens.

    Raises:
        ddpcore.DDPError: The address cannot be used.
    """

    def __init__(
        self,
        pages: Pages,
        address: Address | None,
        sockets: Sequence[socket.socket] = (),
        *,
        rules: Sequence[Rule] = (),
        check: Callable[[Sequence[socket.socket]], None] | None = None,
    ) -> None:
        own = [] if address is None else bind([address], option="--monitor")
        self._files = UnixFiles(own)
        self.sockets = [*own, *sockets]
        if check is not None:
            try:
                check(self.sockets)
            except BaseException:
                self._files.remove()
                for each in own:
                    each.close()
                raise
        application = Application(
            [*as_rules(pages), *rules],
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
    def initialize(self, page: Callable[[], Page | Awaitable[Page]]) -> None:
        self._page = page

    def prepare(self) -> None:
        """Leave the answer to `get`."""

    async def get(self) -> None:
        found = self._page()
        page = await found if inspect.isawaitable(found) else found
        self.set_status(page.status)
        self.set_header("Content-Type", page.content_type)
        self.finish(page.body)

    head = get


def _log_request(handler: RequestHandler) -> None:
    logger.debug("%d %s %s", handler.get_status(), handler.request.method, handler.request.uri)
