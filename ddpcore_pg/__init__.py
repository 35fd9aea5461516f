"""ddpcore over PostgreSQL: the bus that crosses processes, by LISTEN and NOTIFY."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddpcore_pg.bus import PgBus

from ddpcore_pg.images import Column, RowSet, Source, announce_row_sql, announce_sql
from ddpcore_pg.payload import channel, encode, notify, notify_sql

__all__ = [
    "Column",
    "PgBus",
    "RowSet",
    "Source",
    "announce_row_sql",
    "announce_sql",
    "channel",
    "encode",
    "notify",
    "notify_sql",
]


def __getattr__(name: str) -> Any:
    # Late, so that the plugin module can say that psycopg2 is missing where it is.
    if name == "PgBus":
        from ddpcore_pg.bus import PgBus

        return PgBus
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
