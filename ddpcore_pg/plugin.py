"""The hooks of this package: the bus of ``postgres://`` URLs and libpq DSNs."""

from __future__ import annotations

from ddpcore.bus import Bus
from ddpcore.errors import DDPError
from ddpcore.hookspecs import hookimpl

__all__: list[str] = []


@hookimpl
def ddpcore_bus(url: str) -> Bus | None:
    """``postgres://user@host/database``, or a DSN such as ``host=… dbname=…``."""
    if not url.startswith(("postgres://", "postgresql://")) and "dbname=" not in url:
        return None
    try:
        from ddpcore_pg.bus import PgBus
    except ImportError as problem:
        raise DDPError(
            f"The PostgreSQL bus needs psycopg2 ({problem}): pip install 'ddpcore[pg]'."
        ) from problem
    return PgBus(url)
