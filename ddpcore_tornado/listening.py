"""Addresses to listen on, and who of several workers accepts what comes there.

On Linux each worker has a socket of its own at each address (SO_REUSEPORT), and the kernel deals
new connections out by a hash of the peer's address and port: evenly, also when thousands come at
once. With one socket for all, whichever worker wakes first takes a whole burst, and WebSockets
stay where they are for hours.

The parent holds all these sockets. A worker inherits its own, and connections that wait there
when it dies wait for its successor. Elsewhere SO_REUSEPORT means something else (the last socket
gets all), so workers share one socket, and the system decides. They share Unix sockets everywhere,
and sockets that somebody else has opened (systemd): of these there can be no second one.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tornado.netutil import bind_sockets

from ddpcore.errors import DDPError
from ddpcore_tornado.unix_socket import UnixAddress, UnixFiles, bind_unix

__all__ = ["BACKLOG", "Address", "Binding", "Shares", "bind", "bindings_of", "parse_binding"]

# Connections that may wait to be accepted, if the system agrees (Linux: net.core.somaxconn). Of one
# too many the kernel says nothing, and its client tries again after a second, then after three.
BACKLOG = 4096

# The kernel deals connections out between sockets of one port.
DEALT = sys.platform == "linux"


@dataclass(frozen=True, slots=True)
class Binding:
    """A TCP address to listen on.

    Attributes:
        host: The IP address or name; empty: all of this machine.
        port: The port; 0: any that is free.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Address = Binding | UnixAddress
"""Where to listen."""


def parse_binding(text: str, mode: int | None = None, *, option: str = "--bind") -> Address:
    """Read ``HOST:PORT``, ``[IPV6]:PORT``, ``:PORT`` (all addresses here), or ``unix:PATH``.

    Args:
        text: What was given.
        mode: The mode of a Unix socket; None: by the umask.
        option: The option that it was given to.

    Raises:
        ddpcore.DDPError: It is none of these.
    """
    if text.startswith("unix:") and text != "unix:":
        return UnixAddress(str(Path(text.removeprefix("unix:")).absolute()), mode)
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise DDPError(
            f"{option} takes HOST:PORT, such as 127.0.0.1:8000, or unix:PATH, not {text!r}."
        )
    return Binding(host.strip("[]"), int(port))


def bind(addresses: Sequence[Address], *, option: str = "--bind") -> list[socket.socket]:
    """Listen on all of these; a name such as localhost can stand for several addresses.

    Raises:
        ddpcore.DDPError: One of them cannot be used.
    """
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        for address in addresses:
            try:
                bound = _bind(address)
            except (OSError, UnicodeError, ValueError) as problem:
                # UnicodeError comes from names that cannot be, others say it in their text
                reason = getattr(problem, "strerror", None) or problem
                raise DDPError(
                    f"Cannot listen on {address}: {reason}. "
                    f"Choose another address with {option} {_form(address)}."
                ) from problem
            undo.callback(UnixFiles(bound).remove)
            sockets += [undo.enter_context(each) for each in bound]
        undo.pop_all()
    return sockets


def _bind(address: Address) -> list[socket.socket]:
    if isinstance(address, UnixAddress):
        return [bind_unix(address, BACKLOG)]
    return bind_sockets(address.port, address.host or None, backlog=BACKLOG)


def _form(address: Address) -> str:
    return "unix:PATH" if isinstance(address, UnixAddress) else "HOST:PORT"


def bindings_of(sockets: Iterable[socket.socket]) -> list[Address]:
    """Where these listen in truth."""
    return [
        UnixAddress(each.getsockname())
        if each.family == socket.AF_UNIX
        else Binding(*each.getsockname()[:2])
        for each in sockets
    ]


class Shares:
    """The sockets of all workers, held by their parent.

    Args:
        addresses: Where to listen.
        handed: Listening sockets that are there already.
        dealt: Give each worker sockets of its own; by default where the kernel deals
            connections out between them.

    Attributes:
        bindings: Where they listen in truth.

    Raises:
        ddpcore.DDPError: An address cannot be used.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        handed: Sequence[socket.socket] = (),
        *,
        dealt: bool = DEALT,
    ) -> None:
        opened = bind(addresses)
        self._files = UnixFiles(opened)
        self.bindings = bindings_of([*opened, *handed])
        # A socket without SO_REUSEPORT comes first: so another program's port is not shared by
        # mistake, and port 0 becomes a number. It is then opened for the others.
        first = [each for each in opened if dealt and each.family != socket.AF_UNIX]
        self._common = [each for each in (*opened, *handed) if each not in first]
        self._sockets = {1: first}
        self._addresses = [(each.family, each.getsockname()) for each in first]
        for each in first:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def of(self, worker: int) -> list[socket.socket]:
        """The sockets of a worker, opened if need be.

        Raises:
            ddpcore.DDPError: They cannot be opened again: somebody has taken the port.
        """
        if worker not in self._sockets:
            self._sockets[worker] = [_sibling(*address) for address in self._addresses]
        return self._sockets[worker] + self._common

    def withdraw(self, worker: int) -> None:
        """Close the sockets of a worker that cannot serve: the kernel then picks another one."""
        for each in self._sockets.pop(worker, ()):
            each.close()

    def close(self) -> None:
        """Listen no longer, once the workers have closed theirs as well."""
        self._files.remove()
        for each in self._common:
            each.close()
        self._common = []
        for worker in list(self._sockets):
            self.withdraw(worker)


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
