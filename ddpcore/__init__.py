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
from ddpcore.bus import Bus, BusEvent, Change, Gap, MemoryBus, Op
from ddpcore.errors import DDPError, MeteorError
from ddpcore.hookspecs import hookimpl
from ddpcore.live.document import Document
from ddpcore.live.fence import WriteFence
from ddpcore.live.query import LiveQuery
from ddpcore.server import ConnectionHandle, Context, MethodContext, PublicationContext, Server
from ddpcore.wire import ejson
from ddpcore.wire.alea import random_id, random_secret
from ddpcore.wire.unset import UNSET

__all__ = [
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
    "Server",
    "WriteFence",
    "ejson",
    "hookimpl",
    "random_id",
    "random_secret",
]

__version__ = "0.1.0"
