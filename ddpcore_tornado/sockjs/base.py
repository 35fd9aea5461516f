"""What all answers of SockJS have in common: methods, caching, cookies, foreign pages."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import format_timestamp
from tornado.web import RequestHandler, stream_request_body

from ddpcore.origin import Origins
from ddpcore.transport import Transport
from ddpcore_tornado.sockjs.caller import may_talk
from ddpcore_tornado.sockjs.options import Options
from ddpcore_tornado.sockjs.sessions import Sessions

__all__ = ["Endpoint", "SockJSHandler"]

_YEAR = 365 * 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A SockJS address: what all its handlers share.

    Attributes:
        sessions: Its sessions.
        options: Its settings.
        origins: The policy on foreign pages.
        body_timeout: Seconds in which the body of a request must have come.
    """

    sessions: Sessions
    options: Options
    origins: Origins
    body_timeout: float


@stream_request_body
class SockJSHandler(RequestHandler):
    """A request, its body no longer than is allowed.

    Attributes:
        methods: What it may be.
        cors: Whether scripts of other origins may read the answer, where the policy allows it.
        in_session: Whether it belongs to a session; then it is refused to pages that may not
            talk to us.
        native: Whether programs other than browsers send such requests.
    """

    methods: ClassVar[tuple[str, ...]] = ("GET",)
    cors: ClassVar[bool] = False
    in_session: ClassVar[bool] = False
    native: ClassVar[bool] = True

    def initialize(self, endpoint: Endpoint) -> None:
        """Take what the rules give."""
        self.endpoint = endpoint
        self._body = bytearray()

    def compute_etag(self) -> None:
        """No answer of a session is asked for again."""

    def check_xsrf_cookie(self) -> None:
        """No request is trusted for its cookies; see `prepare` for other pages' requests."""

    def check_trusted_origin(self, origin: str) -> bool:
        """The same, by Tornado's newer way; the policy is ours."""
        del origin
        return True

    def prepare(self) -> None:
        """Set the headers, and refuse what must be."""
        cast(HTTP1Connection, self.request.connection).set_body_timeout(self.endpoint.body_timeout)
        if self.request.method not in self.methods:
            self.set_status(405)
            self.clear_header("Content-Type")
            self.set_header("Allow", ", ".join(self.methods))
            self.finish()
            return
        allowed = may_talk(self.request, self.endpoint.origins, native=self.native)
        if self.cors:
            self._let_read(allowed=allowed)
        if self.in_session:
            if not allowed:
                self.refuse(403, "Pages of this origin may not connect.\n")
                return
            if self.endpoint.options.jsessionid:
                value = self.get_cookie("JSESSIONID") or "dummy"
                self.set_header("Set-Cookie", f"JSESSIONID={value}; path=/")
            self.set_header(
                "Cache-Control", "no-store, no-cache, no-transform, must-revalidate, max-age=0"
            )

    def data_received(self, chunk: bytes) -> None:
        """Gather the body."""
        if self._finished:
            return
        self._body += chunk
        if len(self._body) > self.max_body:
            self._body.clear()
            self.refuse(413, "The body is too long.\n")

    def _let_read(self, *, allowed: bool) -> None:
        self.set_header("Vary", "Origin")
        if not allowed:
            return
        origin = self.request.headers.get("Origin")
        self.set_header("Access-Control-Allow-Origin", "*" if origin is None else origin)
        if origin is not None:
            self.set_header("Access-Control-Allow-Credentials", "true")
        requested = self.request.headers.get("Access-Control-Request-Headers")
        if requested:
            self.set_header("Access-Control-Allow-Headers", requested)

    def options(self) -> None:
        """Answer a browser's preflight."""
        self.set_status(204)
        self.set_header("Access-Control-Allow-Methods", ", ".join(self.methods))
        self.set_header("Access-Control-Max-Age", str(_YEAR))
        self.cache()
        self.finish()

    def cache(self) -> None:
        """Let the answer be kept for a year."""
        self.set_header("Cache-Control", f"public, max-age={_YEAR}")
        self.set_header("Expires", format_timestamp(time.time() + _YEAR))

    def refuse(self, status: int, text: str) -> None:
        """Answer with a failure."""
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(text)

    @property
    def max_body(self) -> int:
        """Bytes that the body may have: what a message of the session may. Else it is no use."""
        session = self.endpoint.sessions.find(self.session_id) if self.in_session else None
        return Transport.max_message_size if session is None else session.max_message_size

    @property
    def body(self) -> str:
        """The body; what is no UTF-8 in it is replaced, as node does."""
        return self._body.decode("utf-8", "replace")

    @property
    def session_id(self) -> str:
        """The session that the address names, as it stands there: /server/session/transport."""
        return self.request.path.rstrip("/").rsplit("/", 2)[1]
