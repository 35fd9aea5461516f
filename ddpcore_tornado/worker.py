"""A worker, as it sees itself: one of several processes that serve together.

It is the same command as its parent's, run again with a variable in its environment that says
which worker it is. A socket joins the two: the worker reports on it. What it reads there means to
read the certificate again, and the end means to stop. It ends when the parent wishes so, and also
when the parent is killed.
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

from ddpcore_tornado.health import Health
from ddpcore_tornado.tls import Certificate

__all__ = ["Place", "Worker"]

VARIABLE = "DDPCORE_WORKER"
"""Variable of the environment: set by the parent of ``--workers`` for each worker, and by nobody
else; it says where the worker's sockets are."""

# Seconds between two looks at whether the bus has its database. Load balancers ask as often.
LOOK = 1.0


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
        for each in (*self.sockets, self._channel):
            each.setblocking(False)

    @classmethod
    def here(cls, environ: MutableMapping[str, str] = os.environ) -> Worker | None:
        """The worker that this process is, if it is one. Ask once: the variable is removed."""
        told = environ.pop(VARIABLE, None)
        if told is None:
            return None
        # Ctrl-C reaches all processes of a terminal, and so does its end; what they mean is the
        # parent's to decide. They were blocked until now, see `ddpcore_tornado.workers`.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGHUP}
        for each in blocked:
            signal.signal(each, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        return cls(Place(**json.loads(told)))

    def failed(self, why: str) -> None:
        """Say why it cannot serve."""
        self._report(failed=why)

    def ready(
        self, name: str, bus: str, health: Health, certificate: Certificate | None
    ) -> asyncio.Event:
        """Say that it serves, and what; from now on, say how it fares.

        Args:
            name: The application.
            bus: The bus, fit to be shown.
            health: How it fares.
            certificate: What to read again when the parent wishes so.

        Returns:
            The event that means to stop.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        known = health.state

        def terminated() -> None:
            self._report(leaving=True)
            stop.set()

        def told() -> None:
            with suppress(BlockingIOError):
                if not self._channel.recv(64):
                    loop.remove_reader(self._channel)
                    stop.set()
                elif certificate is not None:  # the parent has tried it, and said so
                    certificate.reload()

        def look() -> None:
            nonlocal known
            if health.state is not known:
                known = health.state
                self._report(state=known.value)
            if not stop.is_set():
                loop.call_later(LOOK, look)

        loop.add_signal_handler(signal.SIGTERM, terminated)
        loop.add_reader(self._channel, told)
        self._report(ready=True, name=name, bus=bus, state=known.value)
        look()
        return stop

    def ended(self) -> None:
        """Leave nothing behind. It is the parent's part to clear up, if it lives."""
        if not self._report(ended=True):
            shutil.rmtree(self.directory, ignore_errors=True)

    def _report(self, **what: Any) -> bool:
        """Tell the parent; whether there is one.

        The socket knows of a parent that is killed before `os.getppid` does.
        """
        try:
            self._channel.sendall(json.dumps(what).encode() + b"\n")
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True
