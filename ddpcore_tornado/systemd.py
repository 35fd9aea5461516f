"""What systemd, or who speaks its language, hands to a service and wants to hear from it.

Sockets that it has opened come by sd_listen_fds(3), and the service tells how it fares by
sd_notify(3). Both are variables in the environment and a few system calls. The variables are
taken out: they are for this process, and none that it starts.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field

from ddpcore.errors import DDPError

__all__ = ["MONITOR", "Handed", "Supervisor", "handed_over"]

FIRST = 3
"""The first descriptor that is handed over (``SD_LISTEN_FDS_START``)."""

MONITOR = "monitor"
"""The name (``FileDescriptorName=``) of sockets that are to say whether all is well."""


class Supervisor:
    """Whoever started this process and wants to know how it fares; perhaps nobody.

    Args:
        address: The Unix socket to tell it, ``@name`` in the abstract namespace; None: nobody.
        patience: Seconds after which a process that has said nothing is taken for stuck; 0: never.
    """

    def __init__(self, address: str | None = None, patience: float = 0.0) -> None:
        self._address = address and address.replace("@", "\0", 1)
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def here(cls, environ: MutableMapping[str, str] = os.environ) -> Supervisor:
        """The one of this process. Ask once: the variables are removed."""
        address, process, patience = (
            environ.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")
        )
        if not address.startswith(("/", "@")):
            return cls()
        watched = process in ("", str(os.getpid())) and patience.isdecimal()
        return cls(address, int(patience) / 1e6 if watched else 0.0)

    def ready(self, status: str) -> None:
        """It serves; `status` is a line for people."""
        self._say("READY=1", f"STATUS={status}")
        if self._patience and self._timer is None:
            self._beat()

    def reloading(self) -> None:
        """It reads its certificate again; `reloaded` says when that is done."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._say("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def reloaded(self) -> None:
        """It goes on as before."""
        self._say("READY=1")

    def stopping(self, status: str) -> None:
        """It has begun to stop."""
        self._say("STOPPING=1", f"STATUS={status}")

    def _beat(self) -> None:
        # By the event loop: if it is stuck, nothing is said.
        self._say("WATCHDOG=1")
        self._timer = asyncio.get_running_loop().call_later(self._patience / 3, self._beat)

    def _say(self, *lines: str) -> None:
        if self._address is None:
            return
        # Who does not listen misses it: that is no reason not to serve.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaking:
            speaking.setblocking(False)
            speaking.sendto("\n".join(lines).encode(), self._address)


@dataclass(frozen=True, slots=True)
class Handed:
    """What came from systemd.

    Attributes:
        clients: Listening sockets for clients.
        monitor: Those named `MONITOR`.
        supervisor: Who wants to know how the process fares.
    """

    clients: list[socket.socket] = field(default_factory=list)
    monitor: list[socket.socket] = field(default_factory=list)
    supervisor: Supervisor = field(default_factory=Supervisor)


def handed_over(environ: MutableMapping[str, str] = os.environ) -> Handed:
    """What was handed over to this process. Ask once: the variables are removed.

    Raises:
        ddpcore.DDPError: Something else was handed over.
    """
    process, count, names = (
        environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
    )
    handed = Handed(supervisor=Supervisor.here(environ))
    # A parent that forgot to remove them may have been meant.
    if process != str(os.getpid()) or not count.isdecimal():
        return handed
    named = names.split(":")
    for index in range(int(count)):
        name = named[index] if index < len(named) else ""
        sockets = handed.monitor if name == MONITOR else handed.clients
        sockets.append(_listening(FIRST + index))
    return handed


def _listening(number: int) -> socket.socket:
    try:
        os.set_inheritable(number, False)
        given = socket.socket(fileno=number)
    except OSError as problem:
        raise DDPError(
            f"LISTEN_FDS says that descriptor {number} is a socket, and it is none: "
            f"{problem.strerror}. Start the service by its socket unit."
        ) from problem
    if given.type != socket.SOCK_STREAM or not given.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        given.detach()
        raise DDPError(
            f"The socket handed over as descriptor {number} does not listen for connections. "
            "The socket unit needs ListenStream= and Accept=no."
        )
    given.setblocking(False)
    return given
