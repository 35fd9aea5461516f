"""The hooks of this package: the bus of ``postgres://`` URLs and libpq DSNs."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from ddpcore.bus import Bus
from ddpcore.checks import Check
from ddpcore.errors import DDPError
from ddpcore.hookspecs import hookimpl

__all__ = ["ddpcore_bus", "ddpcore_checks", "is_dsn"]


@hookimpl
def ddpcore_bus(url: str) -> Bus | None:
    """``postgres://user@host/database``, or a DSN such as ``host=… dbname=…``."""
    if not is_dsn(url):
        return None
    try:
        from ddpcore_pg.bus import PgBus
    except ImportError as problem:
        raise DDPError(
            f"The PostgreSQL bus needs psycopg2 ({problem}): pip install 'ddpcore[pg]'."
        ) from problem
    return PgBus(url)


@hookimpl
def ddpcore_checks(options: Any) -> list[Check] | None:
    """The database of the bus: its clock, its notification queue, its connections."""
    if options.bus is None or not is_dsn(options.bus) or find_spec("psycopg2") is None:
        return None
    from ddpcore_pg.checking import bus_checks

    return bus_checks(options.bus, options.workers)


def is_dsn(url: str) -> bool:
    """Whether a bus's URL names a PostgreSQL."""
    return url.startswith(("postgres://", "postgresql://")) or "dbname=" in url
