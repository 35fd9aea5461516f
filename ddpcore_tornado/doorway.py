"""The doorway: a listening socket through which a few clients come in a turn of the event loop."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from tornado.ioloop import IOLoop

from ddpcore_tornado.crowd import TooMany

__all__ = ["A_TURN", "Doorway", "doorways", "ip_of"]

logger = logging.getLogger(__name__)

A_TURN = 2
"""Connections that are accepted in one turn. Each costs half a millisecond until it is a session,
so a turn stays within a few milliseconds, in which those that are connected wait."""

A_TURN_REFUSED = 20
"""Those that may be refused in one: a twentieth of the work."""

PAUSE = 1.0
"""Seconds until the next try, when the system has no file for another connection."""

SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

UNREAD = 64 * 1024


def ip_of(address: Any) -> str | None:
    """The IP address in the address of a socket's peer; None for a Unix socket, which has none."""
    return address[0] if isinstance(address, tuple) else None


class Doorway(socket.socket):
    """A listening socket that says after so many that nobody is there.

    Tornado accepts up to 128 connections at once, and would do nothing else while a thousand
    clients come back. The kernel keeps the others, in their order, and says in the next turn that
    they are there.

    Attributes:
        check: Raises `crowd.TooMany` if there is no place for one more of this address. Such a
            connection is told so at once, and closed.
        tells: Whether to tell it. Over TLS nobody would understand.
    """

    check: Callable[[str | None], None] | None = None
    tells = True

    _entered = 0
    _refused = 0
    _is_scarce = False

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            BlockingIOError: There is none, or it is for the next turn.
        """
        try:
            while self._entered < A_TURN and self._refused < A_TURN_REFUSED:
                accepted, address = self._next()
                if self._is_welcome(accepted, address):
                    self._entered += 1
                    return accepted, address
                self._refused += 1
            raise BlockingIOError
        except BlockingIOError:
            self._entered = self._refused = 0
            raise

    def _next(self) -> tuple[socket.socket, Any]:
        try:
            accepted = super().accept()
        except OSError as problem:
            if problem.errno not in SCARCE:
                raise
            if not self._is_scarce:
                self._is_scarce = True
                logger.error(  # noqa: TRY400
                    "Cannot accept connections: %s. They wait. Let the process open more files"
                    " (ulimit -n), or set --max-connections lower.",
                    problem.strerror,
                )
            self._pause()
            raise BlockingIOError from problem
        self._is_scarce = False
        return accepted

    def _pause(self) -> None:
        # Until somebody has left the socket would say in each turn that somebody is there.
        loop = IOLoop.current()
        loop.update_handler(self, 0)
        loop.call_later(PAUSE, self._go_on, loop)

    def _go_on(self, loop: IOLoop) -> None:
        if self.fileno() != -1:
            loop.update_handler(self, IOLoop.READ)

    def _is_welcome(self, accepted: socket.socket, address: Any) -> bool:
        if self.check is None:
            return True
        try:
            self.check(ip_of(address))
        except TooMany as refusal:
            with accepted, suppress(OSError):
                accepted.setblocking(False)
                if self.tells:
                    accepted.send(refusal.answer)
                    accepted.shutdown(socket.SHUT_WR)
                    # What is left unread would make the kernel reset the connection, and the
                    # answer be lost.
                    accepted.recv(UNREAD)
            return False
        return True


def doorways(sockets: Iterable[socket.socket]) -> list[Doorway]:
    """The same sockets as doorways. What they were before is no longer of use."""
    return [Doorway(fileno=each.detach()) for each in sockets]
