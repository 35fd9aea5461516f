"""The addresses of DDP in a Tornado application."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from tornado.routing import Rule
from tornado.web import url

from ddpcore.server import Server
from ddpcore_tornado import sockjs as sockjs_http
from ddpcore_tornado.origin import Origins
from ddpcore_tornado.websocket import RawWebSocket, SockJSWebSocket

__all__ = ["MAX_MESSAGE_SIZE", "handlers"]

MAX_MESSAGE_SIZE = 1024 * 1024
"""Bytes a client's message may have. Meteor has no limit of its own, Tornado 10 MiB; what clients
send is method calls, and a megabyte of JSON already costs a dozen megabytes of objects."""


def handlers(
    server: Server,
    *,
    prefix: str = "",
    origins: Collection[str] = (),
    max_message_size: int = MAX_MESSAGE_SIZE,
    sockjs: sockjs_http.Options | None = None,
) -> list[Rule]:
    """The rules that let clients reach `server`, for a `tornado.web.Application`.

    Args:
        server: It is started with its first client; stop it yourself when you stop.
        prefix: What comes before ``/websocket`` and ``/sockjs``, e.g. ``"/live"``.
        origins: Origins of web pages that may connect, beside those of the same host; ``*``: all.
        max_message_size: Bytes a message may have, and a request with messages in SockJS; see
            `MAX_MESSAGE_SIZE`.
        sockjs: How SockJS is spoken; by default as in Meteor.
    """
    policy = Origins(origins)
    options = sockjs or sockjs_http.Options()
    websocket: dict[str, Any] = {
        "server": server,
        "origins": policy,
        "max_message_size": max_message_size,
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
        max_message_size=max_message_size,
        clock=server.clock,
        before=framed,
    )
