"""A worker, as it sees itself: one of several processes that serve together.

It is the same command as its parent's, run again with a variable in its environment that says
which worker it is. A socket joins the two: the worker reports on it, and reads nothing but its end,
which means to stop. It ends when the parent wishes so, and also when the parent is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Place", "Worker"]

VARIABLE = "DDPCORE_WORKER"


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is told.

    Attributes:
        number: Which one it is, from 1.
        count: How many there are.
        channel: The file descriptor of the socket to its parent.
        listening: Those of the sockets where it accepts clients.
        directory: Where each worker has a socket for requests that others pass on to it.
    """

    number: int
    count: int
    channel: int
    listening: list[int]
    directory: str

    def environment(self) -> dict[str, str]:
        """The variable that tells it."""
        return {VARIABLE: json.dumps(asdict(self))}


class Worker:
    """This process as a worker.

    Args:
        place: What it was told.
    """

    def __init__(self, place: Place) -> None:
        # These came by inheritance, and go no further.
        for number in (place.channel, *place.listening):
            os.set_inheritable(number, False)
        self.number = place.number
        self.count = place.count
        self.directory = Path(place.directory)
        self.sockets = [socket.socket(fileno=number) for number in place.listening]
        self._channel = socket.socket(fileno=place.channel)
        self._parent = os.getppid()
        for each in (*self.sockets, self._channel):
            each.setblocking(False)

    @classmethod
    def here(cls, environ: MutableMapping[str, str] = os.environ) -> Worker | None:
        """The worker that this process is, if it is one. Ask once: the variable is removed."""
        told = environ.pop(VARIABLE, None)
        if told is None:
            return None
        # Ctrl-C reaches all processes of a terminal; what it means is the parent's to decide.
        # It was blocked until now, see `ddpcore_tornado.workers`.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return cls(Place(**json.loads(told)))

    def failed(self, why: str) -> None:
        """Say why it cannot serve."""
        self._report(failed=why)

    def ready(self, name: str, bus: str) -> asyncio.Event:
        """Say that it serves, and what; the event that means to stop."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def terminated() -> None:
            self._report(leaving=True)
            stop.set()

        def told() -> None:
            loop.remove_reader(self._channel)
            stop.set()

        loop.add_signal_handler(signal.SIGTERM, terminated)
        loop.add_reader(self._channel, told)
        self._report(ready=True, name=name, bus=bus)
        return stop

    def ended(self) -> None:
        """Leave nothing behind. It is the parent's part to clear up, if it lives."""
        if os.getppid() != self._parent:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _report(self, **what: Any) -> None:
        with suppress(OSError):  # the parent is gone, which the reader notices
            self._channel.sendall(json.dumps(what).encode() + b"\n")
