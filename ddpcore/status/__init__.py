"""A server's status, as a server tells it: publications of who is connected and what is watched.

`StatusServer` is a `ddpcore.Server` of its own beside the one that it looks at, so that those who
look are not among the clients that they see. Transports give it an address.
"""

from __future__ import annotations

from ddpcore.status.server import StatusServer

__all__ = ["StatusServer"]
