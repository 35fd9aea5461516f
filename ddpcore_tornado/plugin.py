"""The hooks of this package: `ddpcore serve` and `check`, and the client for the shell."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from ddpcore.application import Application, application_for
from ddpcore.errors import DDPError
from ddpcore.hookspecs import hookimpl
from ddpcore.plugins import plugin_manager
from ddpcore_tornado.command_line import add_options
from ddpcore_tornado.shell.command_line import add_commands

if TYPE_CHECKING:
    from ddpcore.checks import Check
    from ddpcore.server import Server
    from ddpcore_tornado.options import Options

__all__ = [
    "add_options",
    "ddpcore_checks",
    "ddpcore_commands",
    "run_check",
    "run_serve",
    "serve_application",
]


def run_serve(options: argparse.Namespace) -> int:
    """Find out what to serve, and serve it."""
    return serve_application(lambda: _load(options, "serve"), options)


def run_check(options: argparse.Namespace) -> int:
    """Find out what would be served, and whether it could be.

    Raises:
        ddpcore.DDPError: Tornado is missing.
    """
    try:
        from ddpcore_tornado.check_command import run_check
    except ImportError as problem:
        raise DDPError(
            f"Serving needs Tornado ({problem}): pip install 'ddpcore[tornado]'."
        ) from problem
    return run_check(lambda: _load(options, "check"), options)


def _load(options: argparse.Namespace, command: str) -> Application:
    application = application_for(plugin_manager(), options)
    if application is None:
        raise DDPError(
            f"What shall be served? Name a server, as in `ddpcore {command} package.module:server`,"
            f" or a Django project, as in `ddpcore {command} --settings mysite.settings`."
        )
    return application


def serve_application(load: Callable[[], Application], options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; the exit code.

    Args:
        load: Makes what is served, in each process that serves.
        options: What `command_line.add_options` has added.

    Raises:
        ddpcore.DDPError: Tornado is missing, or an option cannot be fulfilled.
    """
    try:
        from ddpcore_tornado.options import read_options
        from ddpcore_tornado.serve import run
    except ImportError as problem:
        raise DDPError(
            f"Serving needs Tornado ({problem}): pip install 'ddpcore[tornado]'."
        ) from problem
    return run(load, read_options(options))


@hookimpl
def ddpcore_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ddpcore serve` and `check`, and `ddpcore call`, `sub` and `load`."""
    parser = commands.add_parser(
        "serve",
        help="serve DDP, and the Django site on the same port",
        description="Serves until Ctrl-C. A Django project is named by --settings, in the "
        "directory of manage.py; a server of plain Python by its module and variable.",
    )
    _add_serving(parser, "serve")
    parser.set_defaults(run=run_serve)
    parser = commands.add_parser(
        "check",
        help="say whether `serve` with the same options would do well",
        description="Takes the options of `ddpcore serve`, tries all that it depends on, and says "
        "what to do. The exit code is 0 if it would serve, and 2 if not.",
    )
    _add_serving(parser, "check")
    parser.add_argument(
        "--strict", action="store_true", help="end with code 1 if there are warnings"
    )
    parser.add_argument("--json", action="store_true", help="report as one JSON document")
    parser.set_defaults(run=run_check)
    add_commands(commands)


def _add_serving(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "app", nargs="?", metavar="package.module:server", help=f"a ddpcore.Server to {what}"
    )
    for kind in ("wsgi", "asgi"):
        parser.add_argument(
            f"--{kind}",
            metavar="package.module:app",
            help=f"serve this {kind.upper()} application at all other paths; a Django project"
            ' has its own, see DDPCORE["SITE"]',
        )
    add_options(parser)
    plugin_manager().call_all("ddpcore_serve_options", parser=parser)


@hookimpl
def ddpcore_checks(server: Server | None, options: Options) -> list[Check]:
    """Addresses, TLS, origins, proxies and limits."""
    from ddpcore_tornado.checking import serving_checks

    return serving_checks(server, options)
