"""The hooks of this package: `ddpcore serve`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from ddpcore.application import Application
from ddpcore.errors import DDPError
from ddpcore.hookspecs import hookimpl
from ddpcore.plugins import plugin_manager

__all__ = ["add_serve_options", "run_serve", "serve_application"]


def add_serve_options(parser: argparse.ArgumentParser, *, workers: bool = True) -> None:
    """The options of serving that do not depend on what is served.

    Args:
        parser: Where to add them.
        workers: With ``--workers``; what is served can be made in several processes.
    """
    parser.add_argument(
        "--bind",
        action="append",
        metavar="HOST:PORT",
        help="listen here; may be given several times (default: 127.0.0.1:8000)",
    )
    parser.add_argument(
        "--bus",
        metavar="URL",
        help="where changes come from: memory: (this process only), postgres://user@host/database,"
        " or postgres: for the database of the Django settings (default: postgres: where the"
        " Django database is PostgreSQL, else memory:)",
    )
    parser.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let web pages of this origin connect, beside those of the same host;"
        " * for all; may be given several times",
    )
    if workers:
        parser.add_argument(
            "--workers",
            type=int,
            default=1,
            metavar="N",
            help="serve with N processes on the same address, one for each processor core; needs"
            " PostgreSQL as the bus (default: 1)",
        )
    parser.add_argument(
        "--drain",
        type=float,
        default=None,
        metavar="SECONDS",
        help="when stopping, close clients one after the other over this time, so that they do not"
        " all come back in one instant; 0: at once (default: 5)",
    )
    parser.add_argument("--certfile", metavar="PEM", help="serve TLS with this certificate chain")
    parser.add_argument("--keyfile", metavar="PEM", help="its private key, if in a file of its own")


def run_serve(options: argparse.Namespace) -> int:
    """Find out what to serve, and serve it."""

    def load() -> Application:
        application: Application | None = plugin_manager().hook.ddpcore_application(options=options)
        if application is None:
            raise DDPError(
                "What shall be served? Name a server, as in `ddpcore serve package.module:server`,"
                " or a Django project, as in `ddpcore serve --settings mysite.settings`."
            )
        return application

    return serve_application(load, options)


def serve_application(load: Callable[[], Application], options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; the exit code.

    Args:
        load: Makes what is served, in each process that serves.
        options: What `add_serve_options` has added.

    Raises:
        ddpcore.DDPError: Tornado is missing, or an option cannot be fulfilled.
    """
    try:
        from ddpcore_tornado import listening, serve
    except ImportError as problem:
        raise DDPError(
            f"Serving needs Tornado ({problem}): pip install 'ddpcore[tornado]'."
        ) from problem
    bindings = [listening.parse_binding(text) for text in options.bind or ["127.0.0.1:8000"]]
    workers = getattr(options, "workers", 1)
    if workers < 1:
        raise DDPError(f"--workers takes a number of processes from 1, not {workers}.")
    drain = serve.DRAIN if options.drain is None else options.drain
    if not 0 <= drain < math.inf:
        raise DDPError(f"--drain takes a number of seconds from 0, not {drain:g}.")
    return serve.run(
        load,
        serve.Options(
            bind=bindings,
            bus=options.bus,
            origins=options.origin,
            certfile=options.certfile,
            keyfile=options.keyfile,
            workers=workers,
            drain=drain,
        ),
    )


@hookimpl
def ddpcore_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ddpcore serve`."""
    parser = commands.add_parser(
        "serve",
        help="serve DDP, and the Django site on the same port",
        description="Serve until Ctrl-C.",
    )
    parser.add_argument(
        "app", nargs="?", metavar="package.module:server", help="a ddpcore.Server to serve"
    )
    add_serve_options(parser)
    plugin_manager().hook.ddpcore_serve_options(parser=parser)
    parser.set_defaults(run=run_serve)
