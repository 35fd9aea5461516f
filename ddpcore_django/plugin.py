"""The hooks of this package: `ddpcore serve --settings …`, and `ddpcore demo`."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ddpcore.application import Application
from ddpcore.errors import DDPError
from ddpcore.hookspecs import hookimpl

if TYPE_CHECKING:
    from ddpcore.checks import Check
    from ddpcore.typescript.interface import Interface

__all__ = [
    "ddpcore_application",
    "ddpcore_checks",
    "ddpcore_commands",
    "ddpcore_serve_options",
    "ddpcore_types",
]


@hookimpl
def ddpcore_serve_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--settings``."""
    parser.add_argument(
        "--settings", metavar="MODULE", help="a Django project, e.g. mysite.settings"
    )


@hookimpl
def ddpcore_application(options: argparse.Namespace) -> Application | None:
    """The Django project of ``--settings``."""
    settings: str | None = getattr(options, "settings", None)
    if settings is None:
        return None
    if getattr(options, "app", None) is not None:
        raise DDPError("Name either a server or --settings, not both.")
    if getattr(options, "wsgi", None) or getattr(options, "asgi", None):
        raise DDPError(
            "--wsgi and --asgi are for servers without Django. The site of a Django project is "
            'chosen by DDPCORE["SITE"] in its settings: "wsgi", "asgi" or None.'
        )
    try:
        import django  # noqa: F401
    except ImportError as problem:
        raise DDPError(
            "Serving a Django project needs Django: pip install 'ddpcore[django]'."
        ) from problem
    from ddpcore_django.application import from_settings

    return from_settings(settings)


@hookimpl
def ddpcore_types(options: argparse.Namespace) -> Interface | None:
    """What the project of ``--settings`` registers."""
    settings: str | None = getattr(options, "settings", None)
    if settings is None:
        return None
    if getattr(options, "app", None) is not None:
        raise DDPError("Name either a server or --settings, not both.")
    if find_spec("django") is None:
        raise DDPError("This needs Django: pip install 'ddpcore[django]'.")
    from ddpcore_django.application import set_up

    set_up(settings)
    from ddpcore_django.interface import project_interface

    return project_interface(settings)


@hookimpl
def ddpcore_checks(options: Any) -> list[Check] | None:
    """The project of ``--settings``: its settings, database, triggers and accounts."""
    if getattr(options.given, "settings", None) is None or find_spec("django") is None:
        return None
    from django.apps import apps

    if not apps.ready:  # why not is told already
        return None
    from ddpcore_django.checking import project_checks

    return project_checks(options)


@hookimpl
def ddpcore_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ddpcore demo`, `ddpcore explain` and `ddpcore port-django-ddp`."""
    from ddpcore_django import demo
    from ddpcore_django.porting import cli

    demo.add_command(commands)
    cli.add_command(commands)
    parser = commands.add_parser(
        "explain",
        help="say how the queries of a Django publication are kept current",
        description="Says of each query of a publication how it is kept current (matched, matched "
        "through joins, or polled), why, which tables it reads, and by which column its observer "
        "is found.",
    )
    parser.add_argument("publication", metavar="PUBLICATION")
    parser.add_argument("params", metavar="PARAM", nargs="*", help="JSON, or any other text")
    parser.add_argument("--settings", metavar="MODULE", required=True, help="e.g. mysite.settings")
    parser.add_argument("--user", metavar="ID", help="whose subscription (default: nobody's)")
    parser.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> int:
    if find_spec("django") is None:
        raise DDPError("This needs Django: pip install 'ddpcore[django]'.")
    from ddpcore_django import explain

    return explain.run(options)
