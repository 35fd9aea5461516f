"""Tornado's HTTP server, with limits on what anybody may take of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any, cast

from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerConnectionDelegate, HTTPServerRequest
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets

from ddpcore_tornado.crowd import Crowd, Place, TooMany
from ddpcore_tornado.doorway import Doorway, doorways, ip_of
from ddpcore_tornado.limits import Limits
from ddpcore_tornado.listening import BACKLOG

__all__ = ["LimitedHTTPServer", "listen"]

Serves = HTTPServerConnectionDelegate | Callable[[HTTPServerRequest], None]


class LimitedHTTPServer(HTTPServer):
    """An HTTP server with `Limits`. Connections come in a few at a time, see `Doorway`.

    Args:
        request_callback: What serves, such as a `tornado.web.Application`.
        limits: A `Limits`; None: the defaults. Give the same to `handlers`.
        forwarded_count: How many proxies stand before it. With any, or on a Unix socket, the
            peers are not the clients, and `Limits.connections_per_address` is left to those who
            know the clients.
        settings: Further arguments of `tornado.httpserver.HTTPServer`.
    """

    def initialize(  # type: ignore[override]
        self,
        request_callback: Serves,
        *,
        limits: Limits | None = None,
        forwarded_count: int = 0,
        **settings: Any,
    ) -> None:
        """Take these; Tornado calls this in place of a constructor."""
        limits = limits or Limits()
        of_one = None if forwarded_count else limits.connections_per_address
        self.crowd = Crowd("connections", limits.connections, of_one)
        settings = {
            "idle_connection_timeout": limits.header_timeout,
            "max_header_size": limits.header_size,
        } | settings
        super().initialize(request_callback, **settings)

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on these sockets. They become doorways."""
        for each in sockets:
            entrance = each if isinstance(each, Doorway) else doorways([each])[0]
            entrance.check = self.crowd.check
            entrance.tells = self.ssl_options is None
            super().add_sockets([entrance])

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        """Serve a connection; Tornado calls this."""
        try:
            place = self.crowd.enter(ip_of(address))
        except TooMany:  # the doorway has said that there is one, and nobody has come since
            stream.close()
            return
        place.stay_with(stream)
        super().handle_stream(stream, cast("Any", address))

    def on_close(self, server_conn: object) -> None:
        """A connection is over, or has become something else than HTTP; Tornado calls this."""
        super().on_close(server_conn)
        place = Place.taken_from(cast("HTTP1ServerConnection", server_conn).stream)
        if place is not None:
            place.leave()


def listen(
    application: Serves,
    port: int,
    address: str | None = None,
    *,
    limits: Limits | None = None,
    forwarded_count: int = 0,
    **settings: Any,
) -> LimitedHTTPServer:
    """Serve an application with `Limits`, in place of `tornado.web.Application.listen`.

    Args:
        application: A `tornado.web.Application`, or what else Tornado can serve.
        port: The port; 0: any that is free.
        address: The IP address or host name to listen on; None: all of this machine.
        limits: A `Limits`; None: the defaults. Give the same to `handlers`.
        forwarded_count: Proxies that stand before it; give the same to `ddpcore.Server`.
        settings: Further arguments of `tornado.httpserver.HTTPServer`, such as `ssl_options`.

    Returns:
        The server. Stop it with its `stop()` and `close_all_connections()`.

    Raises:
        OSError: The address cannot be used.
    """
    http = LimitedHTTPServer(
        application, limits=limits, forwarded_count=forwarded_count, **settings
    )
    http.add_sockets(bind_sockets(port, address, backlog=BACKLOG))
    return http
