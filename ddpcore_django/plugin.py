"""The hooks of this package: `ddpcore serve --settings …`, and `ddpcore demo`."""

from __future__ import annotations

import argparse

from ddpcore.application import Application
from ddpcore.errors import DDPError
from ddpcore.hookspecs import hookimpl

__all__: list[str] = []


@hookimpl
def ddpcore_serve_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--settings``."""
    parser.add_argument(
        "--settings", metavar="MODULE", help="serve a Django project, e.g. mysite.settings"
    )


@hookimpl
def ddpcore_application(options: argparse.Namespace) -> Application | None:
    """The Django project of ``--settings``."""
    settings: str | None = getattr(options, "settings", None)
    if settings is None:
        return None
    if getattr(options, "app", None) is not None:
        raise DDPError("Name either a server or --settings, not both.")
    try:
        import django  # noqa: F401
    except ImportError as problem:
        raise DDPError(
            "Serving a Django project needs Django: pip install 'ddpcore[django]'."
        ) from problem
    from ddpcore_django.application import from_settings

    return from_settings(settings)


@hookimpl
def ddpcore_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ddpcore demo`."""
    from ddpcore_django import demo

    demo.add_command(commands)
