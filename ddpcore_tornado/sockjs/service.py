"""What lies above the transport."""

from __future__ import annotations

from typing import Protocol

from ddpcore.transport import Receiver, Transport

__all__ = ["Service"]


class Service(Protocol):
    """Whoever takes clients in. `ddpcore.Server` is one."""

    async def start(self) -> None:
        """Be ready to accept; called before each new client. Idempotent.

        Raises:
            ddpcore.DDPError: It cannot work at present.
        """

    def accept(self, transport: Transport) -> Receiver:
        """Take in the client of `transport`, and set `transport.receiver`.

        It may send and close already.

        Raises:
            ddpcore.DDPError: It takes nobody in at present.
        """
        ...
