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
        bus: The URL of the bus to use where the command line names none.
        postgres: The DSN that the bus URL ``postgres:`` stands for, if there is one.
        name: What to call it in messages, e.g. ``mysite.settings``.
    """

    server: Server
    wsgi: Callable[..., Any] | None = None
    bus: str = "memory:"
    postgres: str | None = None
    name: str = "server"


def application_for(manager: PluginManager, options: argparse.Namespace) -> Application | None:
    """What the options of a command name, made by whichever plugin they concern.

    What its code raises is raised: it may be the user's, who needs to see where.
    """
    answers = manager.answers("ddpcore_application", options=options)
    return next((each for each in answers if each is not None), None)


def load(target: str) -> Application:
    """The application around the server named ``package.module:server``.

    Raises:
        ddpcore.DDPError: There is no such module, or no server in it.
    """
    module_name, _, attribute = target.partition(":")
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", target):
        raise DDPError(
            f"A server is named as package.module:server, the second part being the variable in "
            f"the module, not {target!r}."
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
        server = getattr(module, attribute)
    except AttributeError as problem:
        raise DDPError(f"The module {module_name!r} has no {attribute!r}.") from problem
    if not isinstance(server, Server):
        raise DDPError(f"{target} is no ddpcore.Server, but of type {type(server).__name__}.")
    return Application(server, name=target)
