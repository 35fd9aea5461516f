"""The server: what there is to call and to subscribe to, and the runtime that runs it."""

from ddpcore.server.context import (
    ConnectionHandle,
    Context,
    MethodContext,
    PublicationContext,
)
from ddpcore.server.server import Server

__all__ = ["ConnectionHandle", "Context", "MethodContext", "PublicationContext", "Server"]
