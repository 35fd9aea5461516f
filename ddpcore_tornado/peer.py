"""Who is at the other end of a request's socket."""

from __future__ import annotations

import re

from tornado.httputil import HTTPServerRequest

__all__ = ["peer"]

_MAPPED = re.compile(r"^::ffff:(?=[0-9.]+$)")


def peer(request: HTTPServerRequest) -> str | None:
    """The IP address of whoever sent it; None if it came by a Unix socket, which has none."""
    # A socket for both protocols, such as systemd opens, has IPv4 as a part of IPv6.
    ip = _MAPPED.sub("", request.remote_ip or "")
    # What Tornado says of a Unix socket is the address of nobody.
    return None if ip in ("", "0.0.0.0") else ip  # noqa: S104
