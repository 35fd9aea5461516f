"""ddpcore over PostgreSQL: the bus that crosses processes, by LISTEN and NOTIFY."""

from ddpcore_pg.bus import PgBus
from ddpcore_pg.payload import channel, encode, notify, notify_sql

__all__ = ["PgBus", "channel", "encode", "notify", "notify_sql"]
