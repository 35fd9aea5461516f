"""`ddpcore serve`: listen, serve, and stop cleanly."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import signal
import ssl
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from tornado.routing import AnyMatches, Rule
from tornado.web import Application as TornadoApplication
from tornado.web import RequestHandler

import ddpcore
from ddpcore.application import Application
from ddpcore.errors import DDPError
from ddpcore.plugins import make_bus
from ddpcore.server import Server
from ddpcore_tornado.doorway import doorways
from ddpcore_tornado.files import within_files
from ddpcore_tornado.http import LimitedHTTPServer
from ddpcore_tornado.listening import Binding, bind, bindings_of
from ddpcore_tornado.options import Options
from ddpcore_tornado.owner import Owner
from ddpcore_tornado.routes import handlers
from ddpcore_tornado.site import Site
from ddpcore_tornado.worker import Worker

__all__ = ["run", "serve"]

logger = logging.getLogger(__name__)

COLLECT = (5_000, 5, 1600)
"""The thresholds of Python's garbage collector. To look at a million documents takes it half a
second, in which nobody is served, and there is nothing to find: they hold no cycles. So that is
done after forty million new objects and not after seventy thousand. The steps before look at five
and at thirty thousand objects: a millisecond and five."""


class _NotFound(RequestHandler):
    """Without a site of its own, the server explains itself."""

    def prepare(self) -> None:
        """Say where DDP is to be found."""
        self.set_status(404)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish("Nothing here. DDP clients connect to /websocket or, with SockJS, /sockjs.\n")


async def serve(application: Application, options: Options, worker: Worker | None = None) -> None:
    """Serve until SIGINT or SIGTERM; a second SIGINT waits for nothing.

    Args:
        application: What to serve.
        options: How.
        worker: This process, if it is one of several.

    Raises:
        ddpcore.DDPError: An address, the certificate or the bus cannot be used.
    """
    server = application.server
    if options.forwarded_count is not None:
        server.options = replace(server.options, forwarded_count=options.forwarded_count)
    url = _bus_url(application, options)
    tls = _tls(options)
    threads = ThreadPoolExecutor(options.site_threads, "ddpcore-http")
    site = None
    if application.wsgi is not None:
        site = Site(application.wsgi, threads, multiprocess=worker is not None)
    routes = _routes(server, options, site)
    owner = None
    if worker is not None:
        owner = Owner(worker, routes, server.options.max_message_size, options.limits.body_timeout)
    http = LimitedHTTPServer(
        owner or routes,
        limits=within_files(options.limits),
        forwarded_count=server.options.forwarded_count,
        ssl_options=tls,
    )
    server.bus = make_bus(server.plugins, url)
    if worker is not None and not server.bus.crosses_processes:
        raise DDPError(
            f"--workers {worker.count} needs a bus that crosses processes, and {_shown(url)} stays "
            "within one: changes made in one worker would not reach the clients of another. Use "
            "PostgreSQL (--bus postgres://user@host/database), or serve without --workers."
        )
    await server.start()
    try:
        if owner is not None:
            owner.listen()
        sockets = doorways(bind(options.bind) if worker is None else worker.sockets)
        http.add_sockets(sockets)
        _calm_collector()
        if worker is None:
            stop = _stop_signal()
            _say_serving(application.name, bindings_of(sockets), _shown(url), options)
        else:
            stop = worker.ready(application.name, _shown(url))
        await stop.wait()
        if worker is None:
            _say("Stopping.")
    finally:
        http.stop()
        if site is not None:
            await site.finish()
        # Clients that poll need their HTTP connections until it is their turn. By these another
        # client could then start the server anew, hence the second stop.
        if owner is None:
            await server.stop(spread=options.drain)
        else:
            await asyncio.gather(server.stop(spread=options.drain), owner.finish(options.drain))
            await owner.stop()
        await http.close_all_connections()
        await server.stop()
        threads.shutdown(wait=True, cancel_futures=True)


def _calm_collector() -> None:
    """Let the garbage collector look at what is new, and seldom at all there is."""
    gc.collect()
    gc.freeze()  # the modules that are loaded by now will stay
    gc.set_threshold(*COLLECT)


def _say_serving(
    name: str, bindings: Sequence[Binding], bus: str, options: Options, who: str = ""
) -> None:
    scheme = "https" if options.certfile else "http"
    for binding in bindings:
        _say(f"Serving {name} on {scheme}://{binding}/")
    _say(f"ddpcore {ddpcore.__version__}, bus {bus}{who and ', '}{who}. Ctrl-C stops.")


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
    rules: list[Any] = list(
        handlers(server, origins=options.origins, sockjs=options.sockjs, limits=options.limits)
    )
    for more in server.plugins.hook.ddpcore_routes(server=server, options=options):
        rules += more
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


def run(load: Callable[[], Application], options: Options) -> int:
    """Serve to the end; the exit code.

    Args:
        load: Makes what is served; not called in the parent of several workers.
        options: How to serve it.

    Raises:
        ddpcore.DDPError: It cannot be served; the text says why.
    """
    if sys.platform == "win32":
        raise DDPError("ddpcore serve needs a Unix-like system; embed the handlers instead.")
    worker = Worker.here()
    try:
        if worker is None and options.workers > 1:
            return asyncio.run(_parent(options))
        asyncio.run(serve(load(), options, worker))
    except KeyboardInterrupt:  # before there was anything to stop
        return 130
    except DDPError as problem:
        if worker is None:
            raise
        worker.failed(str(problem))
        return 2
    finally:
        if worker is not None:
            worker.ended()
    return 0


async def _parent(options: Options) -> int:
    from ddpcore_tornado.workers import Serving, Workers

    def serving(what: Serving) -> None:
        processes = ", ".join(map(str, what.processes))
        workers = f"{options.workers} workers (processes {processes})"
        _say_serving(what.name, what.bindings, what.bus, options, workers)

    workers = Workers(options.workers, options.bind, options.drain)
    return await workers.run(serving, lambda: _say("Stopping."))
