"""The doorway: a listening socket through which a few clients come in a turn of the event loop."""

from __future__ import annotations

import socket
from collections.abc import Iterable

__all__ = ["A_TURN", "Doorway", "doorways"]

A_TURN = 2
"""Connections that are accepted in one turn. Each costs half a millisecond until it is a session,
so a turn stays within a few milliseconds, in which those that are connected wait."""


class Doorway(socket.socket):
    """A listening socket that says after so many that nobody is there.

    Tornado accepts up to 128 connections at once, and would do nothing else while a thousand
    clients come back. The kernel keeps the others, in their order, and says in the next turn that
    they are there.
    """

    _entered = 0

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a connection.

        Raises:
            BlockingIOError: There is none, or it is for the next turn.
        """
        try:
            if self._entered == A_TURN:
                raise BlockingIOError
            accepted = super().accept()
        except BlockingIOError:
            self._entered = 0
            raise
        self._entered += 1
        return accepted


def doorways(sockets: Iterable[socket.socket]) -> list[Doorway]:
    """The same sockets as doorways. What they were before is no longer of use."""
    return [Doorway(fileno=each.detach()) for each in sockets]
