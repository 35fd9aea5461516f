"""Finding and holding plugins."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from ddpcore import hookspecs
from ddpcore.bus import Bus, MemoryBus
from ddpcore.errors import DDPError
from ddpcore.hookspecs import hookimpl

if TYPE_CHECKING:
    import argparse

    from ddpcore.application import Application

__all__ = ["make_bus", "plugin_manager"]

GROUP = "ddpcore"


class BuiltIn:
    """The hooks that the core itself implements."""

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
    def ddpcore_bus(self, url: str) -> Bus | None:
        """``memory:``, the bus within one process."""
        return MemoryBus() if url == "memory:" else None


@cache
def _installed() -> list[tuple[str, Any]]:
    # Reading the metadata of all installed distributions takes milliseconds: once will do.
    found = []
    for entry_point in entry_points(group=GROUP):
        try:
            found.append((entry_point.name, entry_point.load()))
        except Exception as problem:
            raise DDPError(
                f"The plugin {entry_point.name!r} ({entry_point.value}) cannot be loaded: "
                f"{problem}. Repair or uninstall the distribution it belongs to."
            ) from problem
    return found


def plugin_manager(plugins: Iterable[object] = ()) -> pluggy.PluginManager:
    """A manager with the built-in, the installed and the given plugins.

    Raises:
        ddpcore.DDPError: A plugin cannot be loaded, or has hooks that do not exist.
    """
    manager = pluggy.PluginManager("ddpcore")
    manager.add_hookspecs(hookspecs)
    manager.register(BuiltIn(), "core")
    try:
        for name, plugin in _installed():
            manager.register(plugin, name)
        for plugin in plugins:
            manager.register(plugin)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as problem:  # the latter: registered twice
        raise DDPError(f"A plugin does not fit: {problem}") from problem
    return manager


def make_bus(manager: pluggy.PluginManager, url: str) -> Bus:
    """The bus for `url`, made by whichever plugin knows its scheme.

    Raises:
        ddpcore.DDPError: No plugin does.
    """
    bus = manager.hook.ddpcore_bus(url=url)
    if bus is None:
        raise DDPError(
            f"No bus for {url.partition('//')[0]!r}. Known are memory: (one process) and, with "
            "the extra ddpcore[pg], postgres://user@host/database."
        )
    assert isinstance(bus, Bus)
    return bus
