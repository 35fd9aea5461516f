"""The hooks of this package: `ddpcore serve`, and the client for the shell."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ddpcore.application import Application, application_for
from ddpcore.errors import DDPError
from ddpcore.hookspecs import hookimpl
from ddpcore.plugins import plugin_manager
from ddpcore_tornado.command_line import add_options
from ddpcore_tornado.shell.command_line import add_commands

__all__ = ["add_options", "run_serve", "serve_application"]


def run_serve(options: argparse.Namespace) -> int:
    """Find out what to serve, and serve it."""

    def load() -> Application:
        application = application_for(plugin_manager(), options)
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
    """Add `ddpcore serve`, and `ddpcore call`, `sub` and `load`."""
    parser = commands.add_parser(
        "serve",
        help="serve DDP, and the Django site on the same port",
        description="Serve until Ctrl-C.",
    )
    parser.add_argument(
        "app", nargs="?", metavar="package.module:server", help="a ddpcore.Server to serve"
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
    parser.set_defaults(run=run_serve)
    add_commands(commands)
