"""`ddpcore serve`: listen, serve, and stop cleanly."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import ssl
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.routing import AnyMatches, Rule
from tornado.web import Application as TornadoApplication
from tornado.web import RequestHandler

import ddpcore
from ddpcore.application import Application
from ddpcore.errors import DDPError
from ddpcore.plugins import make_bus
from ddpcore.server import Server
from ddpcore_tornado.routes import handlers
from ddpcore_tornado.site import Site

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
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
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
    """Serve until SIGINT or SIGTERM; a second SIGINT waits for nothing.

    Raises:
        ddpcore.DDPError: An address, the certificate or the bus cannot be used.
    """
    server = application.server
    url = _bus_url(application, options)
    tls = _tls(options)
    threads = ThreadPoolExecutor(options.http_threads, "ddpcore-http")
    site = Site(application.wsgi, threads) if application.wsgi is not None else None
    http = HTTPServer(_routes(server, options, site), ssl_options=tls)
    server.bus = make_bus(server.plugins, url)
    await server.start()
    try:
        listening = _listen(http, options.bind)
        stop = _stop_signal()
        for binding in listening:
            scheme = "https" if tls else "http"
            _say(f"Serving {application.name} on {scheme}://{binding}/")
        _say(f"ddpcore {ddpcore.__version__}, bus {_shown(url)}. Ctrl-C stops.")
        await stop.wait()
        _say("Stopping.")
    finally:
        # In this order: while there are HTTP connections, a client could still start the server.
        http.stop()
        if site is not None:
            await site.finish()
        await http.close_all_connections()
        await server.stop()
        threads.shutdown(wait=True, cancel_futures=True)


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # as in `ddpcore demo | head -1`: nobody reads on, and we serve on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        # The next Ctrl-C ends the process. SIGTERM will not: supervisors send both at once.
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)
    return stop


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


def _shown(url: str) -> str:
    # A bus is named by a URL or, for PostgreSQL, by a DSN; a password may stand in several places.
    url = re.sub(r"(password=)('(?:[^'\\]|\\.)*'|[^\s&]*)", r"\1***", url)
    return re.sub(r"(://[^/@]*?:)[^/]*(?=@)", r"\1***", url)


def _tls(options: Options) -> ssl.SSLContext | None:
    if options.certfile is None:
        if options.keyfile is not None:
            raise DDPError("--keyfile needs --certfile, the certificate that the key belongs to.")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.certfile, options.keyfile)
    except (OSError, ssl.SSLError) as problem:
        raise DDPError(f"Cannot use the certificate {options.certfile}: {problem}.") from problem
    return context


def _routes(server: Server, options: Options, site: Site | None) -> TornadoApplication:
    rules: list[Any] = list(handlers(server, origins=options.origins))
    rules.append(Rule(AnyMatches(), site or _NotFound))
    return TornadoApplication(rules, log_function=_log_request)


def _log_request(handler: RequestHandler) -> None:
    logger.debug(
        "%d %s %s %.1f ms",
        handler.get_status(),
        handler.request.method,
        handler.request.uri,
        handler.request.request_time() * 1e3,
    )


def _listen(http: HTTPServer, bindings: Sequence[Binding]) -> list[Binding]:
    listening = []
    for binding in bindings:
        try:
            sockets = bind_sockets(binding.port, binding.host or None)
        except (OSError, UnicodeError) as problem:  # the latter from names that cannot be
            reason = getattr(problem, "strerror", None) or problem
            raise DDPError(
                f"Cannot listen on {binding}: {reason}. "
                "Choose another address with --bind HOST:PORT."
            ) from problem
        http.add_sockets(sockets)
        listening += [Binding(*each.getsockname()[:2]) for each in sockets]
    return listening


def run(application: Application, options: Options) -> int:
    """Serve to the end; the exit code."""
    if sys.platform == "win32":
        raise DDPError("ddpcore serve needs a Unix-like system; embed the handlers instead.")
    try:
        asyncio.run(serve(application, options))
    except KeyboardInterrupt:  # before there was anything to stop
        return 130
    return 0
