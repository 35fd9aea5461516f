"""Finding plugins: what is built in, what is installed, and what a server was given."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

import ddpcore
from ddpcore import hookspecs
from ddpcore.bus import Bus, MemoryBus
from ddpcore.errors import DDPError
from ddpcore.hooks import PluginManager
from ddpcore.hookspecs import hookimpl

if TYPE_CHECKING:
    import argparse

    from ddpcore.application import Application
    from ddpcore.checks import Check
    from ddpcore.server.server import Server
    from ddpcore.typescript.interface import Interface

__all__ = [
    "DISABLE",
    "BuiltIn",
    "Listed",
    "MemoryBusPlugin",
    "disable",
    "disabled",
    "listed",
    "make_bus",
    "plugin_manager",
    "shown_url",
]

GROUP = "ddpcore"

DISABLE = "DDPCORE_DISABLE"
"""Variable of the environment: names of plugins that are not to be used, with commas, as
`--disable` names them one by one."""


class BuiltIn:
    """The hooks that the core itself implements."""

    @hookimpl(tryfirst=True)
    def ddpcore_commands(
        self, commands: argparse._SubParsersAction[argparse.ArgumentParser]
    ) -> None:
        """`ddpcore plugins` and `ddpcore types`."""
        from ddpcore.cli import add_plugins_command
        from ddpcore.typescript.command import add_command

        add_plugins_command(commands)
        add_command(commands)

    @hookimpl
    def ddpcore_checks(self, server: Server | None, options: Any) -> list[Check]:
        """Plugins, versions, the bus and the workers."""
        from ddpcore.core_checks import core_checks

        return core_checks(server, options)

    @hookimpl(trylast=True)
    def ddpcore_application(self, options: argparse.Namespace) -> Application | None:
        """``package.module:server``."""
        from ddpcore.application import load

        target: str | None = getattr(options, "app", None)
        if target is None:
            return None
        wsgi, asgi = (getattr(options, kind, None) for kind in ("wsgi", "asgi"))
        return load(target, wsgi=wsgi, asgi=asgi)

    @hookimpl(trylast=True)
    def ddpcore_types(self, options: argparse.Namespace) -> Interface | None:
        """Those of ``package.module:server``."""
        from ddpcore.typescript.command import interface_of_server

        return interface_of_server(options)


class MemoryBusPlugin:
    """The bus of one process."""

    @hookimpl(trylast=True)
    def ddpcore_bus(self, url: str) -> Bus | None:
        """``memory:``."""
        return MemoryBus() if url == "memory:" else None


def _built_in() -> dict[str, object]:
    from ddpcore.server.rate_limiter import RateLimiterPlugin

    return {
        "core": BuiltIn(),
        "memory-bus": MemoryBusPlugin(),
        "rate-limiter": RateLimiterPlugin(),
    }


@cache
def _entry_points() -> tuple[EntryPoint, ...]:
    # Reading the metadata of all installed distributions takes milliseconds: once will do.
    return tuple(entry_points(group=GROUP))


@cache
def _load(entry_point: EntryPoint) -> Any:
    try:
        return entry_point.load()
    except Exception as problem:
        raise DDPError(
            f"The plugin {entry_point.name!r} ({entry_point.value}) cannot be loaded: "
            f"{problem}. Repair or uninstall the distribution it belongs to, or do without it: "
            f"ddpcore --disable {entry_point.name} …"
        ) from problem


def disabled() -> frozenset[str]:
    """The names of plugins that are not to be used."""
    told = map(str.strip, os.environ.get(DISABLE, "").split(","))
    return _disabled.union(filter(None, told))


_disabled: frozenset[str] = frozenset()


def disable(names: Iterable[str]) -> None:
    """Use these plugins no more in this process, beside those of the environment.

    Raises:
        ddpcore.DDPError: There is no plugin of such a name, or it cannot be spared.
    """
    global _disabled  # noqa: PLW0603 - as the environment is
    names = frozenset(names)
    known = {*_built_in(), *(each.name for each in _entry_points())}
    if "core" in names | disabled():
        raise DDPError("The plugin 'core' cannot be disabled: nothing would be left.")
    for name in sorted(names):
        if name not in known:
            raise DDPError(
                f"There is no plugin {name!r} to disable. There are: "
                f"{', '.join(sorted(known - {'core'}))}."
            )
    _disabled = names


def plugin_manager(plugins: Iterable[object] = (), *, installed: bool = True) -> PluginManager:
    """A manager with the built-in, the installed and the given plugins.

    Args:
        plugins: Those that are given.
        installed: Whether to take the installed ones as well.

    Raises:
        ddpcore.DDPError: A plugin cannot be loaded, or has hooks that do not exist.
    """
    manager = PluginManager()
    manager.add_hookspecs(hookspecs)
    for name in disabled():
        manager.set_blocked(name)
    try:
        for name, plugin in _built_in().items():
            manager.register(plugin, name)
        for entry_point in _entry_points() if installed else ():
            if not manager.is_blocked(entry_point.name):
                manager.register(_load(entry_point), entry_point.name)
        for plugin in plugins:
            manager.register(plugin, getattr(plugin, "ddpcore_name", None))
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as problem:  # the latter: registered twice
        raise DDPError(f"A plugin does not fit: {problem}") from problem
    return manager


class Listed(NamedTuple):
    """A plugin, for people.

    Attributes:
        name: What it is called.
        version: That of its distribution; empty if it belongs to none.
        distribution: What to install or uninstall.
        hooks: The hooks it implements.
    """

    name: str
    version: str
    distribution: str
    hooks: list[str]


def listed(manager: PluginManager) -> list[Listed]:
    """All plugins of a manager, in order of registration."""
    origins = {each.name: each.dist for each in _entry_points()}
    built_in = _built_in()
    found = []
    for name, plugin in manager.list_name_plugin():
        if plugin is None:
            continue
        callers = manager.get_hookcallers(plugin) or ()
        hooks = sorted(each.name for each in callers)
        dist = origins.get(name)
        if dist is not None:
            distribution, version = dist.metadata["Name"], dist.version
        elif name in built_in or type(plugin).__module__.startswith("ddpcore"):
            distribution, version = "ddpcore", ddpcore.__version__
        else:
            distribution, version = "", ""
        found.append(Listed(manager.shown(name, plugin), version, distribution, hooks))
    return found


def make_bus(manager: PluginManager, url: str) -> Bus:
    """The bus for `url`, made by whichever plugin of `manager` knows its scheme.

    Raises:
        ddpcore.DDPError: No plugin does.
    """
    bus: Bus | None = manager.ask("ddpcore_bus", Bus, url=url)
    if bus is None:
        raise DDPError(
            f"No bus for {url.partition('//')[0]!r}. Known are memory: (one process) and, with "
            "the extra ddpcore[pg], postgres://user@host/database. A plugin may know others."
            f"{_without()}"
        )
    return bus


def _without() -> str:
    names = ", ".join(sorted(disabled()))
    return f" Disabled are: {names}." if names else ""


def shown_url(url: str) -> str:
    """The URL of a bus without its password.

    A bus is named by a URL or, for PostgreSQL, by a DSN; a password may stand in several places.
    """
    url = re.sub(r"(password=)('(?:[^'\\]|\\.)*'|[^\s&]*)", r"\1***", url)
    return re.sub(r"(://[^/@]*?:)[^/]*(?=@)", r"\1***", url)
