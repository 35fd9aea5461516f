"""Which page sent a request, where browsers do not say it by an Origin."""

from __future__ import annotations

from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from ddpcore.origin import Origins, is_readable

__all__ = ["ancestors", "may_talk"]

_UNKNOWN = "null"
_LOOPBACK = ("localhost", "127.0.0.1")


def may_talk(request: HTTPServerRequest, origins: Origins, *, native: bool = True) -> bool:
    """Whether whoever sent `request` may talk to us.

    A browser names the page in Origin with requests of other origins, and POSTs; but not when a
    page loads a script, an image or a frame. Then there is a Referer, unless the page suppresses
    it, and Sec-Fetch-Site says at least that the page is a foreign one (over TLS, and on loopback
    addresses). A page that hides who it is counts as the opaque origin, ``null``.

    Args:
        request: The request.
        origins: The policy.
        native: Whether programs other than browsers send such requests; a request that says
            nothing is then one of those, and welcome.
    """
    return origins.allow(_page(request, native=native), request.host)


def _page(request: HTTPServerRequest, *, native: bool) -> str | None:
    origin = request.headers.get("Origin")
    if origin is not None:
        return origin
    referer = request.headers.get("Referer")
    if referer is not None:
        if not is_readable(referer):
            return _UNKNOWN
        parts = urlsplit(referer)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    site = request.headers.get("Sec-Fetch-Site")
    if site is None:
        return None if native else _UNKNOWN
    return None if site in ("same-origin", "none") else _UNKNOWN


def ancestors(origins: Origins, host: str) -> str | None:
    """The Content-Security-Policy by which browsers let only these pages frame an answer.

    None: all may.
    """
    if "*" in origins.named:
        return None
    own = urlsplit(f"//{host}").hostname if is_readable(f"//{host}") else None
    hosts = _LOOPBACK if own in _LOOPBACK else (own,) if own and ":" not in own else ()
    pages = [f"http://{each}:*" for each in hosts]  # which means https as well
    return " ".join(["frame-ancestors 'self'", *pages, *sorted(origins.named - {_UNKNOWN})])
