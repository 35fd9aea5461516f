"""Addresses to listen on, and who of several workers accepts what comes there.

On Linux each worker has a socket of its own at each address (SO_REUSEPORT), and the kernel deals
new connections out by a hash of the peer's address and port: evenly, also when thousands come at
once. With one socket for all, whichever worker wakes first takes a whole burst, and WebSockets
stay where they are for hours.

The parent holds all these sockets. A worker inherits its own, and connections that wait there
when it dies wait for its successor. Elsewhere SO_REUSEPORT means something else (the last socket
gets all), so workers share one socket, and the system decides.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tornado.netutil import bind_sockets

from ddpcore.errors import DDPError

__all__ = ["Binding", "Shares", "bind", "bindings_of", "parse_binding"]

# Connections that may wait to be accepted, if the system agrees (Linux: net.core.somaxconn). Of one
# too many the kernel says nothing, and its client tries again after a second, then after three.
BACKLOG = 4096

# The kernel deals connections out between sockets of one port.
DEALT = sys.platform == "linux"


@dataclass(frozen=True, slots=True)
class Binding:
    """An address to listen on; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_binding(text: str) -> Binding:
    """Read ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT`` (all addresses of this machine).

    Raises:
        ddpcore.DDPError: It is none of these.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise DDPError(f"--bind takes HOST:PORT, such as 127.0.0.1:8000, not {text!r}.")
    return Binding(host.strip("[]"), int(port))


def bind(bindings: Sequence[Binding]) -> list[socket.socket]:
    """Listen on all of these; a name such as localhost can stand for several addresses.

    Raises:
        ddpcore.DDPError: One of them cannot be used.
    """
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        for binding in bindings:
            try:
                bound = bind_sockets(binding.port, binding.host or None, backlog=BACKLOG)
            except (OSError, UnicodeError) as problem:  # the latter from names that cannot be
                reason = getattr(problem, "strerror", None) or problem
                raise DDPError(
                    f"Cannot listen on {binding}: {reason}. "
                    "Choose another address with --bind HOST:PORT."
                ) from problem
            sockets += [undo.enter_context(each) for each in bound]
        undo.pop_all()
    return sockets


def bindings_of(sockets: Iterable[socket.socket]) -> list[Binding]:
    """Where these listen in truth."""
    return [Binding(*each.getsockname()[:2]) for each in sockets]


class Shares:
    """The sockets of all workers, held by their parent.

    Args:
        bindings: The addresses.
        dealt: Give each worker sockets of its own; by default where the kernel deals
            connections out between them.

    Attributes:
        bindings: Where they listen in truth.

    Raises:
        ddpcore.DDPError: An address cannot be used.
    """

    def __init__(self, bindings: Sequence[Binding], *, dealt: bool = DEALT) -> None:
        # A socket without SO_REUSEPORT comes first: so another program's port is not shared by
        # mistake, and port 0 becomes a number. It is then opened for the others.
        self._first = bind(bindings)
        self._dealt = dealt
        self._sockets = {1: self._first}
        self.bindings = bindings_of(self._first)
        self._addresses = [(each.family, each.getsockname()) for each in self._first]
        if dealt:
            for each in self._first:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def of(self, worker: int) -> list[socket.socket]:
        """The sockets of a worker, opened if need be.

        Raises:
            ddpcore.DDPError: They cannot be opened again: somebody has taken the port.
        """
        if not self._dealt:
            return self._first
        if worker not in self._sockets:
            self._sockets[worker] = [_sibling(*address) for address in self._addresses]
        return self._sockets[worker]

    def withdraw(self, worker: int) -> None:
        """Close the sockets of a worker that cannot serve: the kernel then picks another one."""
        if self._dealt:
            for each in self._sockets.pop(worker, ()):
                each.close()

    def close(self) -> None:
        """Listen no longer, once the workers have closed theirs as well."""
        for sockets in self._sockets.values():
            for each in sockets:
                each.close()
        self._sockets.clear()


def _sibling(family: int, address: Any) -> socket.socket:
    sibling = socket.socket(family, socket.SOCK_STREAM)
    try:
        sibling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sibling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sibling.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sibling.setblocking(False)
        sibling.bind(address)
        sibling.listen(BACKLOG)
    except OSError as problem:
        sibling.close()
        raise DDPError(f"Cannot listen on {address} again: {problem.strerror}.") from problem
    return sibling
