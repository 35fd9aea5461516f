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
        connections: Sockets that may be connected at once, in all.
        connections_per_address: Those of one address; also the DDP clients of one address, however
            they come. Of IPv6 a network of 64 bits counts as one address, as one customer has it.
        header_timeout: Seconds in which a request must have come up to the end of its headers,
            the TLS handshake included; also how long a connection may lie idle between two.
        header_size: Bytes that the headers of a request may have.
        body_timeout: Seconds in which the body of a request must have come that is not for a site.

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
