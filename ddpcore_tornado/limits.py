"""What a process takes on, whoever asks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ddpcore.errors import DDPError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one process, for sockets of all kinds.

    Attributes:
        connections: Connections that there may be at once, of any kind, in each process; fewer if
            it may open fewer files. One more gets 503. On the command line ``--max-connections``.
        connections_per_address: Connections of one address to each process; an office is behind
            one. Also the DDP clients of one address, however they come. Of IPv6 a network of 64
            bits counts as one address, as one customer has it. One more gets 429. On the command
            line ``--max-connections-per-address``.
        header_timeout: Seconds in which a request must have come up to the end of its headers,
            the TLS handshake included; also how long a connection may lie idle between two, so
            proxies must keep theirs idle for less. Then it is closed. On the command line
            ``--header-timeout``.
        header_size: Bytes that the headers of a request may have, cookies among them; with more
            the connection is closed.
        body_timeout: Seconds in which the body of a request must have come that is not for a site;
            then the connection is closed.

    Raises:
        ddpcore.DDPError: One of them is not positive, or infinite.
    """

    connections: int = 20_000
    connections_per_address: int = 1_000
    header_timeout: float = 20.0
    header_size: int = 16 * 1024
    body_timeout: float = 60.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 < getattr(self, name) < math.inf:
                raise DDPError(
                    f"The limit {name} is a positive number, not {getattr(self, name)!r}."
                )
