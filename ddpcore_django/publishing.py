"""The publisher of the project's bus, for processes in which no bus runs."""

from __future__ import annotations

from functools import cache

from ddpcore.bus import Publisher
from ddpcore.plugins import make_bus, plugin_manager

__all__ = ["publisher_of"]

_NOT_TOLD = ("auto", "memory:", "postgres:", "postgresql:")


@cache
def publisher_of(bus: str) -> Publisher | None:
    """The publisher of the bus that `DDPCORE["BUS"]` names; None if changes come another way.

    A memory bus hears of changes where it runs, and PostgreSQL's from the database.

    Raises:
        ddpcore.DDPError: No installed plugin knows such a bus.
    """
    return None if bus in _NOT_TOLD else make_bus(plugin_manager(), bus).publisher()
