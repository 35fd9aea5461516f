"""`ddpcore serve`: listen, serve, and stop cleanly."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tornado.routing import AnyMatches, Rule
from tornado.web import Application as TornadoApplication
from tornado.web import RequestHandler

import ddpcore
from ddpcore import meteor
from ddpcore.application import Application
from ddpcore.errors import DDPError
from ddpcore.meteor.options import path_prefix, settings_of_environment
from ddpcore.plugins import make_bus, shown_url
from ddpcore.server import Server
from ddpcore.status import StatusServer
from ddpcore_tornado.backroom import Backroom, backrooms
from ddpcore_tornado.bodiless import BodilessHandler
from ddpcore_tornado.command_line import DEFAULT_BIND
from ddpcore_tornado.doorway import doorways
from ddpcore_tornado.files import within_files
from ddpcore_tornado.health import Health, State, told
from ddpcore_tornado.http import LimitedHTTPServer
from ddpcore_tornado.instruments import attach
from ddpcore_tornado.instruments import check as check_instruments
from ddpcore_tornado.listening import Address, Shares, bind, bindings_of, parse_binding
from ddpcore_tornado.meteor import meteor_handlers
from ddpcore_tornado.metrics import CONTENT_TYPE, AllMetrics
from ddpcore_tornado.monitor import Monitor, Page, as_rules, health_pages
from ddpcore_tornado.options import Options
from ddpcore_tornado.owner import Owner
from ddpcore_tornado.routes import handlers
from ddpcore_tornado.site import Site, make_site
from ddpcore_tornado.status import status_rules
from ddpcore_tornado.status.access import require_token, token
from ddpcore_tornado.status.relay import Relay
from ddpcore_tornado.systemd import Handed, Supervisor, handed_over
from ddpcore_tornado.tls import Certificate
from ddpcore_tornado.unix_socket import UnixAddress, UnixFiles
from ddpcore_tornado.worker import Worker

__all__ = ["make_routes", "run", "serve"]

logger = logging.getLogger(__name__)

COLLECT = (5_000, 5, 1600)
"""The thresholds of Python's garbage collector. To look at a million documents takes it half a
second, in which nobody is served, and there is nothing to find: they hold no cycles. So that is
done after forty million new objects and not after seventy thousand. The steps before look at five
and at thirty thousand objects: a millisecond and five."""


class _NotFound(BodilessHandler):
    """Without a site of its own, the server explains itself."""

    def get(self) -> None:
        """Say where DDP is to be found."""
        self.set_status(404)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish("Nothing here. DDP clients connect to /websocket or, with SockJS, /sockjs.\n")

    head = post = put = patch = delete = options = get


async def serve(
    application: Application,
    options: Options,
    worker: Worker | None = None,
    handed: Handed | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; a second SIGINT waits for nothing.

    Args:
        application: What to serve.
        options: How.
        worker: This process, if it is one of several.
        handed: What it was handed over by whoever started it, if it is not.

    Raises:
        ddpcore.DDPError: An address, the certificate or the bus cannot be used, or the site does
            not start.
    """
    handed = handed or Handed()
    server = application.server
    health = Health(lambda: server.bus.connected)
    check_instruments(options, monitored=worker is not None or _is_monitored(options, handed))
    pages: dict[str, Any] = {}
    if (render := attach(server, options)) is not None:
        pages["/metrics"] = lambda: Page(200, CONTENT_TYPE, render())
    status, rules = None, []
    if options.status:
        # A worker hears of whoever looks by its parent.
        status = StatusServer(server, token=token(), forwarded_count=int(worker is not None))
        rules = status_rules(status)
    told_at: Monitor | Backroom | None = None
    if worker is None:
        pages |= health_pages(lambda: told(health.state))
        told_at = _monitor(pages, options, handed, rules)
    elif pages or rules:  # the parent answers for all, and asks here
        told_at = Backroom(worker.directory, worker.number, [*as_rules(pages), *rules])
        told_at.listen()
    try:
        await _serve(application, options, health, worker, handed)
    finally:
        if told_at is not None:
            await told_at.close()
        if status is not None:
            await status.stop()


async def _serve(
    application: Application,
    options: Options,
    health: Health,
    worker: Worker | None,
    handed: Handed,
) -> None:
    server = application.server
    if options.forwarded_count is not None:
        server.options = replace(server.options, forwarded_count=options.forwarded_count)
    url = application.bus_url(options.bus)
    certificate = _certificate(options)
    site = make_site(application, options, multiprocess=worker is not None)
    routes = make_routes(server, options, site)
    owner = None
    if worker is not None:
        owner = Owner(
            worker,
            routes,
            server.options.max_message_size,
            options.limits.body_timeout,
            path_prefix(options.root_url),
        )
    http = LimitedHTTPServer(
        owner or routes,
        limits=within_files(options.limits),
        forwarded_count=server.options.forwarded_count,
        ssl_options=certificate and certificate.context,
    )
    if certificate is not None:
        certificate.changed = lambda context: setattr(http, "ssl_options", context)
    server.bus = make_bus(server.plugins, url)
    if worker is not None and not server.bus.crosses_processes:
        raise DDPError(
            f"--workers {worker.count} needs a bus that crosses processes, and {shown_url(url)} "
            "stays within one: changes made in one worker would not reach the clients of another. "
            "Use PostgreSQL (--bus postgres://user@host/database), or serve without --workers."
        )
    await server.start()
    files = UnixFiles(())
    try:
        if site is not None:
            await site.start()
        if owner is not None:
            owner.listen()
        if worker is None:
            opened = bind(_addresses(options, handed))
            files = UnixFiles(opened)
        sockets = doorways(opened + handed.clients if worker is None else worker.sockets)
        http.add_sockets(sockets)
        _calm_collector()
        health.phase = State.SERVING
        if worker is None:
            stop = _signals(certificate, handed.supervisor)
            _say_serving(application.name, bindings_of(sockets), shown_url(url), options)
            handed.supervisor.ready(f"Serving {application.name}, bus {shown_url(url)}.")
            await stop.wait()
            _say_stopping(handed.supervisor)
        else:
            await worker.ready(application.name, shown_url(url), health, certificate).wait()
    finally:
        health.phase = State.DRAINING
        http.stop()
        server.refuse()
        files.remove()
        await _drain(server, http, site, owner, options.drain)


async def _drain(
    server: Server, http: LimitedHTTPServer, site: Site | None, owner: Owner | None, spread: float
) -> None:
    if site is not None:
        await site.finish()
    # Clients that poll need their HTTP connections until it is their turn. By these another
    # client could then start the server anew, hence the second stop.
    if owner is None:
        await server.stop(spread=spread)
    else:
        await asyncio.gather(server.stop(spread=spread), owner.finish(spread))
        await owner.stop()
    await http.close_all_connections()
    await server.stop()
    if site is not None:
        await site.stop()


def _calm_collector() -> None:
    """Let the garbage collector look at what is new, and seldom at all there is."""
    gc.collect()
    gc.freeze()  # the modules that are loaded by now will stay
    gc.set_threshold(*COLLECT)


def _say_serving(
    name: str, bindings: Sequence[Address], bus: str, options: Options, who: str = ""
) -> None:
    for binding in bindings:
        _say(f"Serving {name} on {_url(binding, tls=options.certfile is not None)}")
    _say(f"ddpcore {ddpcore.__version__}, bus {bus}{who and ', '}{who}. Ctrl-C stops.")


def _url(address: Address, *, tls: bool = False) -> str:
    if isinstance(address, UnixAddress):
        return str(address)
    return f"{'https' if tls else 'http'}://{address}/"


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # as in `ddpcore demo | head -1`: nobody reads on, and we serve on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say_stopping(supervisor: Supervisor) -> None:
    supervisor.stopping("Closing the connections of clients.")
    _say("Stopping.")


def _signals(certificate: Certificate | None, supervisor: Supervisor) -> asyncio.Event:
    # The event means to stop.
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        # The next Ctrl-C ends the process. SIGTERM will not: supervisors send both at once.
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)

    def reload(certificate: Certificate) -> None:
        supervisor.reloading()
        certificate.renew()
        supervisor.reloaded()

    if certificate is not None:  # else SIGHUP means what it always does
        loop.add_signal_handler(signal.SIGHUP, reload, certificate)
    return stop


def _certificate(options: Options) -> Certificate | None:
    if options.certfile is None:
        if options.keyfile is not None:
            raise DDPError("--keyfile needs --certfile, the certificate that the key belongs to.")
        return None
    return Certificate(options.certfile, options.keyfile)


def _addresses(options: Options, handed: Handed) -> Sequence[Address]:
    if options.bind or handed.clients:
        return options.bind
    return [parse_binding(DEFAULT_BIND)]


def _is_monitored(options: Options, handed: Handed) -> bool:
    return options.monitor is not None or bool(handed.monitor)


def _monitor(
    pages: Mapping[str, Any], options: Options, handed: Handed, rules: Sequence[Rule]
) -> Monitor:
    check = require_token if options.status else None
    monitor = Monitor(pages, options.monitor, handed.monitor, rules=rules, check=check)
    for address in bindings_of(monitor.sockets):
        _say(f"Monitor on {_url(address)}")
    return monitor


def make_routes(server: Server, options: Options, site: Site | None) -> TornadoApplication:
    """What answers where: DDP, what plugins add, and the site.

    Raises:
        ddpcore.DDPError: Something cannot be served as it was asked for.
    """
    prefix = path_prefix(options.root_url)
    rules: list[Any] = list(
        handlers(
            server,
            prefix=prefix,
            origins=options.origins,
            sockjs=options.sockjs,
            limits=options.limits,
        )
    )
    for more in server.plugins.answers("ddpcore_routes", list, server=server, options=options):
        rules += more or ()
    if options.meteor is not None:
        if site is not None:
            raise DDPError(
                "--meteor takes all paths, and the site would have none. Serve them by two commands"
                " or, in a Django project, the bundle with ddpcore_django.MeteorView in urls.py."
            )
        public = settings_of_environment().get("public", {})
        how = meteor.Options(root_url=options.root_url, public_settings=public)
        rules += meteor_handlers(
            options.meteor, server, options=how, catch_all=True, limits=options.limits
        )
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
    handed = handed_over()
    try:
        if worker is None and options.workers > 1:
            return asyncio.run(_parent(options, handed))
        asyncio.run(serve(load(), options, worker, handed))
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


async def _parent(options: Options, handed: Handed) -> int:
    from ddpcore_tornado.workers import Serving, Workers

    def serving(what: Serving) -> None:
        processes = ", ".join(map(str, what.processes))
        workers = f"{options.workers} workers (processes {processes})"
        _say_serving(what.name, what.bindings, what.bus, options, workers)
        supervisor.ready(f"Serving {what.name}, bus {what.bus}, {workers}.")

    supervisor = handed.supervisor
    check_instruments(options, monitored=_is_monitored(options, handed))
    certificate = _certificate(options)
    shares = Shares(_addresses(options, handed), handed.clients)
    try:
        workers = Workers(options.workers, shares, options.drain, certificate, supervisor)
    except BaseException:
        shares.close()
        raise
    try:
        rooms = backrooms(Path(workers.directory), options.workers)
        relay, metrics = Relay(rooms), AllMetrics(rooms)

        async def tell_metrics() -> Page:
            return Page(200, CONTENT_TYPE, await metrics.render())

        pages: dict[str, Any] = health_pages(lambda: workers.summary)
        if options.metrics:
            pages["/metrics"] = tell_metrics
        monitor = _monitor(pages, options, handed, relay.rules if options.status else [])
        try:
            return await workers.run(serving, lambda: _say_stopping(supervisor))
        finally:
            await monitor.close()
            await relay.close()
    finally:
        workers.forget()
        shares.close()
