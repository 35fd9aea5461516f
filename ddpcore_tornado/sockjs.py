"""The HTTP side of SockJS that comes before its WebSocket: greeting and info."""

from __future__ import annotations

import secrets
from typing import Any

import ujson
from tornado.web import RequestHandler

from ddpcore_tornado.origin import Origins

__all__ = ["Greeting", "Info", "NotFound"]

_YEAR = 365 * 24 * 60 * 60


class Greeting(RequestHandler):
    """Shows a curious person that the address is right."""

    def get(self) -> None:
        """Greet, in the words of the SockJS protocol."""
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish("Welcome to SockJS!\n")


class NotFound(RequestHandler):
    """Any other address below the SockJS prefix."""

    def prepare(self) -> None:
        """Say so, in the words of the SockJS protocol."""
        self.set_status(404)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish("404 Error: Page not found\n")


class Info(RequestHandler):
    """What this server can do; a SockJS client asks before anything else."""

    def initialize(self, origins: Origins) -> None:
        """Take the policy on foreign pages."""
        self._origins = origins

    def set_default_headers(self) -> None:
        """Never cached: the answer carries entropy."""
        self.set_header(
            "Cache-Control", "no-store, no-cache, no-transform, must-revalidate, max-age=0"
        )

    def prepare(self) -> None:
        """Let pages of allowed origins read the answer."""
        origin = self.request.headers.get("Origin")
        self.set_header("Vary", "Origin")
        if origin is None:
            self.set_header("Access-Control-Allow-Origin", "*")
        elif self._origins.allow(origin, self.request.host):
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Allow-Credentials", "true")

    def get(self) -> None:
        """Answer with the info object."""
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        info: dict[str, Any] = {
            "websocket": True,
            "origins": ["*:*"],
            "cookie_needed": False,
            "entropy": secrets.randbits(32),
        }
        self.finish(ujson.dumps(info))

    def options(self) -> None:
        """Answer a browser's preflight."""
        self.set_status(204)
        self.set_header("Access-Control-Allow-Methods", "OPTIONS, GET")
        self.set_header("Access-Control-Max-Age", str(_YEAR))
        requested = self.request.headers.get("Access-Control-Request-Headers")
        if requested:
            self.set_header("Access-Control-Allow-Headers", requested)
        self.set_header("Cache-Control", f"public, max-age={_YEAR}")
        self.finish()
