"""`ddpcore serve`: listen, serve, and stop cleanly."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application as TornadoApplication
from tornado.web import FallbackHandler, RequestHandler
from tornado.wsgi import WSGIContainer

import ddpcore
from ddpcore.application import Application
from ddpcore.errors import DDPError
from ddpcore.plugins import make_bus
from ddpcore_tornado.routes import handlers

__all__ = ["Binding", "Options", "parse_binding", "serve"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Binding:
    """An address to listen on; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_binding(text: str) -> Binding:
    """Read ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT`` (all addresses of this machine).

    Raises:
        ddpcore.DDPError: It is none of these.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise DDPError(f"--bind takes HOST:PORT, such as 127.0.0.1:8000, not {text!r}.")
    return Binding(host.strip("[]"), int(port))


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve.

    Attributes:
        bind: The addresses to listen on.
        bus: URL of the bus; None: what the application prefers.
        origins: Origins of web pages that may connect, beside those of the same host.
        certfile: A certificate chain in PEM, to serve TLS.
        keyfile: Its private key, if it is not in `certfile`.
        http_threads: How many requests of the WSGI site run at once.
    """

    bind: Sequence[Binding] = (Binding("127.0.0.1", 8000),)
    bus: str | None = None
    origins: Collection[str] = field(default=())
    certfile: str | None = None
    keyfile: str | None = None
    http_threads: int = 4


class _NotFound(RequestHandler):
    """Without a site of its own, the server explains itself."""

    def prepare(self) -> None:
        """Say where DDP is to be found."""
        self.set_status(404)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish("Nothing here. DDP clients connect to /websocket or, with SockJS, /sockjs.\n")


async def serve(application: Application, options: Options) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ddpcore.DDPError: An address, the certificate or the bus cannot be used.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = application.server
    url = _bus_url(application, options)
    server.bus = make_bus(server.plugins, url)
    tls = _tls(options)
    await server.start()
    site_threads = ThreadPoolExecutor(options.http_threads, "ddpcore-http")
    http = HTTPServer(_routes(application, options, site_threads), ssl_options=tls)
    try:
        for binding in _listen(http, options.bind):
            scheme = "https" if tls else "http"
            print(f"Serving {application.name} on {scheme}://{binding}/", flush=True)
        print(
            f"ddpcore {ddpcore.__version__}, bus {_without_password(url)}. Ctrl-C stops.",
            flush=True,
        )
        await stop.wait()
        print("Stopping.", flush=True)
    finally:
        http.stop()
        await server.stop()
        await http.close_all_connections()
        site_threads.shutdown(wait=True, cancel_futures=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _bus_url(application: Application, options: Options) -> str:
    url = options.bus or application.bus
    if url not in ("postgres:", "postgresql:"):
        return url
    if application.postgres is None:
        raise DDPError(
            f"--bus {url} means the PostgreSQL of the Django settings, and {application.name} has "
            "none as its default database. Name one: --bus postgres://user@host/database."
        )
    return application.postgres


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{place}"


def _tls(options: Options) -> ssl.SSLContext | None:
    if options.certfile is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.certfile, options.keyfile)
    except (OSError, ssl.SSLError) as problem:
        raise DDPError(f"Cannot use the certificate {options.certfile}: {problem}.") from problem
    return context


def _routes(
    application: Application, options: Options, threads: ThreadPoolExecutor
) -> TornadoApplication:
    rules: list[Any] = list(handlers(application.server, origins=options.origins))
    if application.wsgi is None:
        rules.append((r".*", _NotFound))
    else:
        site = WSGIContainer(application.wsgi, executor=threads)
        rules.append((r".*", FallbackHandler, {"fallback": site}))
    return TornadoApplication(rules, log_function=_log_request)


def _log_request(handler: RequestHandler) -> None:
    logger.debug(
        "%d %s %.1f ms",
        handler.get_status(),
        handler.request.uri,
        handler.request.request_time() * 1e3,
    )


def _listen(http: HTTPServer, bindings: Sequence[Binding]) -> list[Binding]:
    listening = []
    for binding in bindings:
        try:
            sockets = bind_sockets(binding.port, binding.host or None)
        except OSError as problem:
            raise DDPError(
                f"Cannot listen on {binding}: {problem.strerror or problem}. "
                "Choose another address with --bind HOST:PORT."
            ) from problem
        http.add_sockets(sockets)
        listening += [Binding(*each.getsockname()[:2]) for each in sockets]
    return listening


def run(application: Application, options: Options) -> int:
    """Serve to the end; the exit code."""
    if sys.platform == "win32":
        raise DDPError("ddpcore serve needs a Unix-like system; embed the handlers instead.")
    asyncio.run(serve(application, options))
    return 0
