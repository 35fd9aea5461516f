"""What a process takes on, whoever asks."""

from __future__ import annotations

from dataclasses import dataclass

from ddpcore.errors import DDPError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one process, for sockets of all kinds.

    Attributes:
        connections: Sockets that may be connected at once, in all.
        connections_per_address: Those of one address.
        header_timeout: Seconds in which a request must have come up to the end of its headers,
            the TLS handshake included; also how long a connection may lie idle between two.

    Raises:
        ddpcore.DDPError: One of them is not positive.
    """

    connections: int = 20_000
    connections_per_address: int = 1_000
    header_timeout: float = 20.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise DDPError(f"The limit {name} must be positive, not {getattr(self, name)!r}.")
