"""The addresses of SockJS over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tornado.routing import Rule
from tornado.web import url

from ddpcore.clock import Clock, LoopClock
from ddpcore.origin import Origins
from ddpcore_tornado.clients import Clients
from ddpcore_tornado.limits import Limits
from ddpcore_tornado.sockjs import pages, receiving, sending
from ddpcore_tornado.sockjs.base import Endpoint
from ddpcore_tornado.sockjs.options import Options
from ddpcore_tornado.sockjs.service import Service
from ddpcore_tornado.sockjs.sessions import Sessions

__all__ = ["rules"]

BODY_TIMEOUT = Limits().body_timeout

_TRANSPORTS = {
    "xhr": receiving.XhrPolling,
    "xhr_send": sending.XhrSend,
    "xhr_streaming": receiving.XhrStreaming,
    "eventsource": receiving.EventSource,
    "htmlfile": receiving.HtmlFile,
    "jsonp": receiving.JsonpPolling,
    "jsonp_send": sending.JsonpSend,
}


def rules(
    service: Service,
    *,
    prefix: str,
    options: Options,
    origins: Origins,
    clients: Clients | None = None,
    body_timeout: float = BODY_TIMEOUT,
    clock: Clock | None = None,
    before: Iterable[Rule] = (),
) -> list[Rule]:
    """The rules that let clients reach `service` by SockJS, for a `tornado.web.Application`.

    They take every address below `prefix`.

    Args:
        service: What the sessions belong to.
        prefix: The address, such as ``/sockjs``.
        options: The settings.
        origins: Which pages may talk to it.
        clients: Where clients are counted; by default nowhere.
        body_timeout: Seconds in which the body of a request must have come.
        clock: The time, for delays; by default the event loop's.
        before: Rules that come first: those for WebSockets.
    """
    endpoint = Endpoint(
        Sessions(service, options, clock or LoopClock(), Clients() if clients is None else clients),
        options,
        origins,
        body_timeout,
    )
    given = {"endpoint": endpoint}
    prefix = re.escape(prefix)
    return [
        *before,
        url(rf"{prefix}/?", pages.Greeting, given),
        url(rf"{prefix}/info/?", pages.Info, given),
        url(rf"{prefix}/iframe[0-9\-.a-z_]*\.html/?", pages.IframePage, given),
        *[
            url(rf"{prefix}/[^/.]+/[^/.]+/{name}/?", handler, given)
            for name, handler in _TRANSPORTS.items()
        ],
        url(rf"{prefix}/.*", pages.NotFound, given),
    ]
