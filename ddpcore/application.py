"""What `ddpcore serve` serves: a server, and whatever else answers on the same port."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ddpcore.errors import DDPError
from ddpcore.hooks import PluginManager
from ddpcore.server.server import Server

__all__ = ["Application", "application_for", "load"]


@dataclass(slots=True)
class Application:
    """A server with its surroundings.

    Attributes:
        server: The DDP server.
        wsgi: A WSGI application for all HTTP paths that are not DDP's; it may block.
        asgi: An ASGI application in its place.
        bus: The URL of the bus to use where the command line names none.
        postgres: The DSN that the bus URL ``postgres:`` stands for, if there is one.
        name: What to call it in messages, e.g. ``mysite.settings``.

    Raises:
        ddpcore.DDPError: It has both a WSGI and an ASGI application.
    """

    server: Server
    wsgi: Callable[..., Any] | None = None
    asgi: Callable[..., Any] | None = None
    bus: str = "memory:"
    postgres: str | None = None
    name: str = "server"

    def __post_init__(self) -> None:
        if self.wsgi is not None and self.asgi is not None:
            raise DDPError("Serve either a WSGI or an ASGI application, not both.")

    def bus_url(self, named: str | None = None) -> str:
        """The URL of the bus, that of the Django settings' PostgreSQL included.

        Args:
            named: What the command line says, if it does: ``postgres:`` is the PostgreSQL of the
                settings.

        Raises:
            ddpcore.DDPError: The settings have no PostgreSQL.
        """
        url = named or self.bus
        if url not in ("postgres:", "postgresql:"):
            return url
        if self.postgres is None:
            raise DDPError(
                f"--bus {url} means the PostgreSQL of the Django settings, and {self.name} has "
                "none as its default database. Name one: --bus postgres://user@host/database."
            )
        return self.postgres


def application_for(manager: PluginManager, options: argparse.Namespace) -> Application | None:
    """What the options of a command name, made by whichever plugin they concern.

    What its code raises is raised: it may be the user's, who needs to see where.

    Args:
        manager: Whose plugins are asked, by the hook `ddpcore_application`.
        options: Those of the command, such as `app`.

    Returns:
        The application, or None if the options concern no plugin.
    """
    answers = manager.answers("ddpcore_application", Application, options=options)
    return next((each for each in answers if each is not None), None)


def load(target: str, *, wsgi: str | None = None, asgi: str | None = None) -> Application:
    """The application around the server named ``package.module:server``.

    Args:
        target: The name of the server.
        wsgi: The name of a WSGI application beside it, in the same form.
        asgi: The name of an ASGI application in its place.

    Raises:
        ddpcore.DDPError: There is no such module, or nothing of the kind in it.
    """
    server = _named(target, "A server", "package.module:server")
    if not isinstance(server, Server):
        raise DDPError(f"{target} is no ddpcore.Server, but of type {type(server).__name__}.")
    return Application(server, wsgi=_site(wsgi, "WSGI"), asgi=_site(asgi, "ASGI"), name=target)


def _site(target: str | None, kind: str) -> Callable[..., Any] | None:
    if target is None:
        return None
    application = _named(target, f"The {kind} application", "package.module:app")
    if not callable(application):
        raise DDPError(
            f"{target} is no {kind} application, but of type {type(application).__name__}, which "
            "cannot be called."
        )
    return application  # type: ignore[no-any-return]


def _named(target: str, what: str, form: str) -> Any:
    module_name, _, attribute = target.partition(":")
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", target):
        hint = "" if ":" in target else " A Django project is named by --settings mysite.settings."
        raise DDPError(
            f"{what} is named as {form}, the second part being the variable in "
            f"the module, not {target!r}.{hint}"
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as problem:
        if not f"{module_name}.".startswith(f"{problem.name}."):
            raise  # the module is there, but something that it imports is not
        raise DDPError(
            f"There is no module {problem.name!r} here. Run the command where it can be "
            f"imported, or set PYTHONPATH."
        ) from problem
    try:
        return getattr(module, attribute)
    except AttributeError as problem:
        raise DDPError(f"The module {module_name!r} has no {attribute!r}.") from problem
