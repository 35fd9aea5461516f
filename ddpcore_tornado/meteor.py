"""A Meteor app in a Tornado application."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import replace
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.routing import Rule
from tornado.web import RequestHandler, stream_request_body, url

from ddpcore.forwarded import is_secure
from ddpcore.meteor import MeteorApp, Options, Request
from ddpcore.meteor.autoupdate import autoupdate
from ddpcore.meteor.responder import MAX_BODY
from ddpcore.server import Server
from ddpcore_tornado.limits import Limits

__all__ = ["meteor_handlers"]

CHUNK = 256 * 1024
"""Bytes of a large file that are sent at once."""


def meteor_handlers(
    bundle: str | os.PathLike[str] | MeteorApp,
    server: Server,
    *,
    prefix: str | None = None,
    options: Options | None = None,
    catch_all: bool = False,
    limits: Limits | None = None,
) -> list[Rule]:
    """The rules that serve a Meteor app, for a `tornado.web.Application`.

    They take every path below the prefix, so they come after those of DDP and your own::

        Application(ddpcore_tornado.handlers(server) + meteor_handlers("bundle/star.json", server))

    Args:
        bundle: The ``star.json`` of the bundle, or a `MeteorApp`.
        server: Tells its clients when there is a new version.
        prefix: What all paths begin with, such as ``/app``; by default what `options` say. Clients
            look for DDP there, too: `ddpcore_tornado.handlers(server, prefix="/app")`.
        options: How it is served; not with a `MeteorApp`, which has its own.
        catch_all: Take also what is not below the prefix: the app's ``/favicon.ico`` and
            ``/robots.txt``; all else there is 404.
        limits: Of them `body_timeout` matters; by default that of `Limits`.

    Raises:
        ddpcore.meteor.BundleError: The bundle cannot be served; the text says why.
        TypeError: Options for a `MeteorApp`.
    """
    if isinstance(bundle, MeteorApp):
        if options is not None or prefix is not None:
            raise TypeError("A MeteorApp has its own options.")
        app = bundle
    else:
        chosen = options or Options()
        app = MeteorApp(bundle, chosen if prefix is None else replace(chosen, prefix=prefix))
    _ = app.edition  # what is wrong with it is told now, and not to the first reader
    autoupdate(server).add(app)
    path = re.escape(app.options.path)
    below = rf"{path}(?:/.*)?" if path and not catch_all else ".*"
    given = {"app": app, "server": server, "limits": limits or Limits()}
    return [url(rf"(?s:{below})", _Meteor, given)]


@stream_request_body
class _Meteor(RequestHandler):
    """Any request to the app."""

    def initialize(self, app: MeteorApp, server: Server, limits: Limits) -> None:
        self._app = app
        self._proxies = server.options.forwarded_count
        self._limits = limits
        self._body = bytearray()

    def set_default_headers(self) -> None:
        """Send none that say nothing."""
        self.clear_header("Server")
        self.clear_header("Content-Type")

    def compute_etag(self) -> None:
        """It has its own."""

    def check_xsrf_cookie(self) -> None:
        """Nothing here goes by cookies."""

    def prepare(self) -> None:
        """Read no more than anybody has a use for, and wait for it no longer than for others."""
        connection = cast(HTTP1Connection, self.request.connection)
        connection.set_max_body_size(MAX_BODY)
        connection.set_body_timeout(self._limits.body_timeout)

    def data_received(self, chunk: bytes) -> None:
        """Gather the body."""
        self._body += chunk

    async def _answer(self) -> None:
        request = self.request
        headers = {name.lower(): value for name, value in request.headers.items()}
        secure = is_secure(request.protocol == "https", headers, self._proxies)
        told = Request(
            method=request.method or "",
            path=unquote(request.path),
            query=request.query,
            headers=headers,
            scheme="https" if secure else "http",
            host=request.host,
            body=lambda: bytes(self._body),
        )
        # In a thread: it reads files, and compresses them the first time.
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(None, self._app.respond, told)
        self.set_status(response.status)
        for name, value in response.headers.items():
            self.set_header(name, value)
        if isinstance(response.body, bytes):
            self.finish(response.body or None)
        else:
            with response.body:
                await self._send(loop, response.body)

    async def _send(self, loop: asyncio.AbstractEventLoop, file: BinaryIO) -> None:
        try:
            while chunk := await loop.run_in_executor(None, file.read, CHUNK):
                self.write(chunk)
                await self.flush()
            await self.finish()
        except StreamClosedError:
            pass  # the reader has gone away

    get = head = post = put = patch = delete = options = _answer

    def write_error(self, status_code: int, **_: Any) -> None:
        """Say it in short."""
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(f"{status_code} {self._reason}\n")
