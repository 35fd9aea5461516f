"""Requests that need no body: what comes of one is forgotten as it comes."""

from __future__ import annotations

from typing import cast

from tornado.http1connection import HTTP1Connection
from tornado.web import RequestHandler, stream_request_body

from ddpcore_tornado.limits import Limits

__all__ = ["BodilessHandler"]


@stream_request_body
class BodilessHandler(RequestHandler):
    """Answers whatever is sent along. Tornado would gather up to 100 MiB, and read it as a form.

    Attributes:
        body_timeout: Seconds in which a body must have come all the same.
    """

    body_timeout: float = Limits().body_timeout

    def prepare(self) -> None:
        """Wait for it no longer than that."""
        cast(HTTP1Connection, self.request.connection).set_body_timeout(self.body_timeout)

    def data_received(self, chunk: bytes) -> None:
        """Forget it."""
