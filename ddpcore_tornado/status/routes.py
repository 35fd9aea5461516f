"""The addresses of the status page.

| path | what |
|---|---|
| ``/status/`` | the page, and its two files |
| ``/status/processes`` | where the page finds the processes: paths of WebSockets, as JSON |
| ``/status/websocket`` | DDP, of the one process; of worker N: ``/status/N/websocket`` |
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest
from tornado.routing import Rule
from tornado.web import RequestHandler, url

from ddpcore.origin import Origins, is_readable
from ddpcore.server import Server
from ddpcore.status import StatusServer
from ddpcore_tornado.clients import Clients
from ddpcore_tornado.peer import peer
from ddpcore_tornado.websocket import RawWebSocket

__all__ = ["StatusSocket", "page_rules", "status_handlers", "status_rules"]

FILES = {
    "": ("index.html", "text/html; charset=UTF-8"),
    "page.css": ("page.css", "text/css; charset=UTF-8"),
    "page.js": ("page.js", "text/javascript; charset=UTF-8"),
}
"""The files of the page, and their types."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do: nothing but what it does."""

MOST = 32
"""Connections of one address: pages that somebody has left open."""


def status_handlers(
    server: Server,
    *,
    prefix: str = "",
    token: str | None = None,
    origins: Collection[str] = (),
) -> list[Rule]:
    """The rules of a status page for `server`, for a `tornado.web.Application`.

    It belongs on an address of its own, or at least one that strangers do not reach.

    Args:
        server: Whose status it is. The page goes when it stops.
        prefix: What comes before ``/status/``.
        token: What the page asks for, 16 characters or more. None: only clients of this machine
            may look, who call it by a name of this machine.
        origins: Origins of web pages that may connect, beside this one: where a proxy calls the
            server by another name.

    Raises:
        ddpcore.DDPError: The token is too short, or an origin is none.
    """
    return status_rules(StatusServer(server, token=token), prefix=prefix, origins=origins)


def status_rules(
    status: StatusServer, *, prefix: str = "", origins: Collection[str] = ()
) -> list[Rule]:
    """The same for a server that is there."""
    clients = Clients(MOST, lambda: status.options.forwarded_count)
    what = {"server": status, "origins": Origins(origins), "clients": clients}
    return [
        *page_rules(["websocket"], prefix=prefix),
        url(rf"{re.escape(prefix)}/status/websocket", StatusSocket, what),
    ]


def page_rules(sockets: Sequence[str], *, prefix: str = "") -> list[Rule]:
    """The page alone.

    Args:
        sockets: Where it finds the processes, as paths from ``/status/``.
        prefix: What comes before that.
    """
    path = re.escape(prefix)
    return [
        url(rf"{path}/status", _Redirect),
        url(rf"{path}/status/({'|'.join(map(re.escape, FILES))})", _File),
        url(rf"{path}/status/processes", _Processes, {"sockets": list(sockets)}),
    ]


class StatusSocket(RawWebSocket):
    """DDP for the status page alone: a page elsewhere, though of this machine, is no friend."""

    def _is_welcome(self) -> bool:
        request = self.request
        origin, host = request.headers.get("Origin"), request.host
        assert isinstance(self._server, StatusServer)
        if self._server.token is None and not (
            _is_here(peer(request))
            # A name that strangers have made point here (DNS rebinding) is none of this machine's.
            and _names_here(host)
            # A proxy of this machine may bring anybody.
            and _heard_of(request) <= self._server.options.forwarded_count
        ):
            return False
        if origin is None or origin.lower() in self._origins.named:
            return True
        return is_readable(origin) and urlsplit(origin).netloc.lower() == host.lower()


def _is_here(address: str | None) -> bool:
    return address is None or ip_address(address.partition("%")[0]).is_loopback


def _heard_of(request: HTTPServerRequest) -> int:
    """How many addresses proxies have noted."""
    return sum(len(each.split(",")) for each in request.headers.get_list("X-Forwarded-For"))


def _names_here(host: str) -> bool:
    if not is_readable(f"//{host}"):
        return False
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


class _Plain(RequestHandler):
    SUPPORTED_METHODS = ("GET", "HEAD")

    def set_default_headers(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Content-Security-Policy", POLICY)

    def compute_etag(self) -> None:
        """Nothing here is kept."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if status_code != HTTPStatus.METHOD_NOT_ALLOWED:
            super().write_error(status_code, **kwargs)
            return
        self.set_header("Allow", ", ".join(self.SUPPORTED_METHODS))
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish("Method Not Allowed\n")


class _Redirect(_Plain):
    def get(self) -> None:
        self.redirect("status/")

    head = get


class _File(_Plain):
    def get(self, name: str) -> None:
        file, kind = FILES[name]
        self.set_header("Content-Type", kind)
        self.finish((Path(__file__).parent / "page" / file).read_bytes())

    head = get


class _Processes(_Plain):
    def initialize(self, sockets: list[str]) -> None:
        self._sockets = sockets

    def get(self) -> None:
        self.finish({"sockets": self._sockets})

    head = get
