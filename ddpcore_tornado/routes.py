"""The addresses of DDP in a Tornado application."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from tornado.routing import Rule
from tornado.web import url

from ddpcore.origin import Origins
from ddpcore.server import Server
from ddpcore_tornado import sockjs as sockjs_http
from ddpcore_tornado.clients import Clients
from ddpcore_tornado.limits import Limits
from ddpcore_tornado.websocket import RawWebSocket, SockJSWebSocket

__all__ = ["handlers"]


def handlers(
    server: Server,
    *,
    prefix: str = "",
    origins: Collection[str] = (),
    sockjs: sockjs_http.Options | None = None,
    limits: Limits | None = None,
) -> list[Rule]:
    """The rules that let clients reach `server`, for a `tornado.web.Application`.

    Args:
        server: It is started with its first client; stop it yourself when you stop.
        prefix: What comes before ``/websocket`` and ``/sockjs``, e.g. ``"/live"``.
        origins: Origins of web pages that may connect, beside those of the same host; ``*``: all.
        sockjs: How SockJS is spoken, a `ddpcore_tornado.sockjs.Options`; None: as in Meteor.
        limits: A `Limits`, of which `connections_per_address` and `body_timeout` matter here; None:
            the defaults. Give the same to `listen`.
    """
    policy = Origins(origins)
    options = sockjs or sockjs_http.Options()
    limits = limits or Limits()
    clients = Clients(limits.connections_per_address, lambda: server.options.forwarded_count)
    websocket: dict[str, Any] = {
        "server": server,
        "origins": policy,
        "clients": clients,
        "body_timeout": limits.body_timeout,
    }
    raw, framed = [], []
    if options.websocket:
        path = re.escape(prefix)
        raw = [url(rf"{path}/websocket/?", RawWebSocket, websocket)]
        framed = [
            url(rf"{path}/sockjs/websocket/?", RawWebSocket, websocket),
            url(rf"{path}/sockjs/[^/.]+/[^/.]+/websocket/?", SockJSWebSocket, websocket),
        ]
    return raw + sockjs_http.rules(
        server,
        prefix=f"{prefix}/sockjs",
        options=options,
        origins=policy,
        clients=clients,
        body_timeout=limits.body_timeout,
        clock=server.clock,
        before=framed,
    )
