"""Who is at the other end of a request's socket."""

from __future__ import annotations

from tornado.httputil import HTTPServerRequest

__all__ = ["peer"]


def peer(request: HTTPServerRequest) -> str | None:
    """The IP address of whoever sent it; None if it came by a Unix socket, which has none."""
    # What Tornado says then is the address of nobody.
    return None if request.remote_ip == "0.0.0.0" else request.remote_ip  # noqa: S104
