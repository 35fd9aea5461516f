"""ddpcore makes a database live, for every client that speaks DDP.

The core: a protocol machine without I/O, live queries, and the API for plain Python::

    server = ddpcore.Server()

    @server.method
    async def add(ctx, a: int, b: int) -> int:
        return a + b

Sockets come from `ddpcore_tornado`, changes across processes from `ddpcore_pg`, models from
`ddpcore_django`.
"""

from ddpcore.application import Application
from ddpcore.bus import Bus, BusEvent, Change, Gap, MemoryBus, Op, Publisher
from ddpcore.errors import DDPError, MeteorError
from ddpcore.hookspecs import hookimpl
from ddpcore.live.document import Document
from ddpcore.live.fence import WriteFence
from ddpcore.live.query import LiveQuery
from ddpcore.server import ConnectionHandle, Context, MethodContext, PublicationContext, Server
from ddpcore.session.strategy import PublicationStrategy
from ddpcore.wire import ejson
from ddpcore.wire.alea import random_id, random_secret
from ddpcore.wire.unset import UNSET

SERVER_MERGE = PublicationStrategy.SERVER_MERGE
"""`PublicationStrategy.SERVER_MERGE`."""

NO_MERGE = PublicationStrategy.NO_MERGE
"""`PublicationStrategy.NO_MERGE`."""

NO_MERGE_NO_HISTORY = PublicationStrategy.NO_MERGE_NO_HISTORY
"""`PublicationStrategy.NO_MERGE_NO_HISTORY`."""

NO_MERGE_MULTI = PublicationStrategy.NO_MERGE_MULTI
"""`PublicationStrategy.NO_MERGE_MULTI`."""

__all__ = [
    "NO_MERGE",
    "NO_MERGE_MULTI",
    "NO_MERGE_NO_HISTORY",
    "SERVER_MERGE",
    "UNSET",
    "Application",
    "Bus",
    "BusEvent",
    "Change",
    "ConnectionHandle",
    "Context",
    "DDPError",
    "Document",
    "Gap",
    "LiveQuery",
    "MemoryBus",
    "MeteorError",
    "MethodContext",
    "Op",
    "PublicationContext",
    "PublicationStrategy",
    "Publisher",
    "Server",
    "WriteFence",
    "ejson",
    "hookimpl",
    "random_id",
    "random_secret",
]

__version__ = "0.1.0"
