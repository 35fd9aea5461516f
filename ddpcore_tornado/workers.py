"""`ddpcore serve --workers N`: a parent that starts processes, and does nothing else.

Workers are not forked off a process that has loaded the application: each runs the command anew.
So nothing that does not survive a fork (threads, connections, an event loop, much of macOS) needs
to, and a worker that is started again has the code of today.

The parent holds the listening sockets, starts again what dies, passes on what it is told (to stop,
to read the certificate again), and knows how all fare. It neither serves nor loads the
application, unless `manage.py` does so before it is asked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ddpcore.errors import DDPError
from ddpcore_tornado.health import State, summary
from ddpcore_tornado.listening import Address, Shares
from ddpcore_tornado.systemd import Supervisor
from ddpcore_tornado.tls import Certificate
from ddpcore_tornado.worker import Place

__all__ = ["Serving", "Workers"]

logger = logging.getLogger(__name__)

# A worker that lived so many seconds is started again at once; after a shorter life there is a
# pause, and from life to life twice as long, up to the last figure.
STEADY = 10.0
PAUSES = (0.5, 30.0)

# Seconds beyond the time for closing clients that a stopping worker gets. The patience of
# `Server.stop` with handlers, threads and the site adds up to less.
LATE = 30.0


@dataclass(frozen=True, slots=True)
class Serving:
    """What is served, for the console.

    Attributes:
        name: The application.
        bus: The bus, fit to be shown.
        bindings: The addresses.
        processes: The ids of the workers' processes.
    """

    name: str
    bus: str
    bindings: list[Address]
    processes: list[int]


class _Life:
    """One process of a worker, from start to end.

    Attributes:
        ended: Its exit code.
    """

    def __init__(
        self, number: int, process: subprocess.Popen[bytes], channel: socket.socket
    ) -> None:
        self.number = number
        self.process = process
        self._channel = channel
        self._loop = loop = asyncio.get_running_loop()
        self.started = loop.time()
        self._ready: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._leaving: asyncio.Future[bool] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()
        self._heard = b""
        self._state = State.STARTING
        # Nobody may be left to ask.
        self._ready.add_done_callback(lambda it: it.cancelled() or it.exception())
        loop.add_reader(channel, self._hear)

    def __str__(self) -> str:
        return f"Worker {self.number} (process {self.process.pid})"

    @property
    def state(self) -> State:
        """What it is at, as far as it is known."""
        if self.ended.done():
            return State.DOWN
        return State.DRAINING if self._leaving.done() else self._state

    async def serves(self) -> dict[str, Any]:
        """Wait until it does; what it says of itself.

        Raises:
            ddpcore.DDPError: It cannot; the text says why.
        """
        return await asyncio.shield(self._ready)

    async def leaves(self) -> bool:
        """Wait until it serves no longer; whether that is because somebody told it to stop."""
        return await asyncio.shield(self._leaving)

    def _hear(self) -> None:
        try:
            while heard := self._channel.recv(65536):
                self._heard += heard
        except BlockingIOError:
            pass
        except OSError:
            self._loop.remove_reader(self._channel)
        else:
            self._loop.remove_reader(self._channel)  # it is ending
        *reports, self._heard = self._heard.split(b"\n")
        for text in reports:
            report = json.loads(text)
            if "state" in report:
                self._state = State(report["state"])
            if "failed" in report and not self._ready.done():
                self._ready.set_exception(DDPError(report["failed"]))
            elif "ready" in report and not self._ready.done():
                self._ready.set_result(report)
            elif "leaving" in report and not self._leaving.done():
                self._leaving.set_result(True)

    def look(self) -> None:
        """See whether it has ended."""
        code = self.process.poll()
        if code is None or self.ended.done():
            return
        self._hear()  # its last words
        self._loop.remove_reader(self._channel)
        self._channel.close()
        if not self._ready.done():
            self._ready.set_exception(DDPError(f"{self} {_how(code)} before it could serve."))
        if not self._leaving.done():
            self._leaving.set_result(False)
        self.ended.set_result(code)

    def reload(self) -> None:
        """Tell it to read its certificate again, once it serves."""
        with suppress(OSError):  # it is ending
            self._channel.send(b"r")

    def stop(self) -> None:
        """Tell it to stop. While it loads the application it would not hear."""
        if self.ended.done():
            return
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
        if not self._ready.done():
            self.process.terminate()


class Workers:
    """The workers of one command.

    Args:
        count: How many.
        shares: Their sockets.
        drain: Seconds over which each closes its clients when it stops.
        certificate: What they show to clients; SIGHUP reads it again. None: there is no TLS.
        supervisor: Who wants to know of that.

    Attributes:
        directory: Where each has sockets that only this user can reach.
    """

    def __init__(
        self,
        count: int,
        shares: Shares,
        drain: float,
        certificate: Certificate | None,
        supervisor: Supervisor,
    ) -> None:
        self._count = count
        self._drain = drain
        self._shares = shares
        self._certificate = certificate
        self._supervisor = supervisor
        # Its mode is 0700: what comes by the sockets in it is believed.
        self.directory = tempfile.mkdtemp(prefix="ddpcore-")
        self._lives: set[_Life] = set()
        # The latest of each worker.
        self._latest: dict[int, _Life] = {}
        self._stopping = False

    @property
    def summary(self) -> dict[str, Any]:
        """How they fare, see `ddpcore_tornado.health`."""
        states = {each.number: (each.state, each.process.pid) for each in self._latest.values()}
        return summary(states, stopping=self._stopping)

    async def run(self, serving: Callable[[Serving], None], stopping: Callable[[], None]) -> int:
        """Serve until SIGINT or SIGTERM; the exit code. A second SIGINT waits for nothing.

        Args:
            serving: Called once, when all workers serve.
            stopping: Called when they are told to stop.

        Raises:
            ddpcore.DDPError: A worker could not begin to serve; the text says why.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._look)
        stop: asyncio.Future[int] = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled, stop, number)
        if self._certificate is not None:
            loop.add_signal_handler(signal.SIGHUP, self._reload, self._certificate)
        try:
            beginning = asyncio.ensure_future(self._begin())
            events: set[asyncio.Future[Any]] = {beginning, stop}
            await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
            if not beginning.done():
                beginning.cancel()
                return 128 + stop.result()
            lives = beginning.result()
            said = await lives[0].serves()
            processes = [life.process.pid for life in lives]
            serving(Serving(said["name"], said["bus"], self._shares.bindings, processes))
            keepers = [asyncio.ensure_future(self._keep(life)) for life in lives]
            events = {stop, *keepers}
            await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
            for keeper in keepers:
                if keeper.done():  # never, but if it were it should be known
                    keeper.result()
                keeper.cancel()
            stopping()
            return 0
        finally:
            await self._end()

    # Starting

    async def _begin(self) -> list[_Life]:
        # The first one alone: what is wrong with the settings or the database is said once.
        lives = [self._start(1)]
        await lives[0].serves()
        lives += [self._start(number) for number in range(2, self._count + 1)]
        await asyncio.gather(*(life.serves() for life in lives))
        return lives

    def _start(self, number: int) -> _Life:
        ours, theirs = socket.socketpair()
        try:
            sockets = [each.fileno() for each in self._shares.of(number)]
            place = Place(number, self._count, theirs.fileno(), sockets, self.directory)
            # Ctrl-C reaches workers too, and would end those that load the application with a
            # traceback each. The mask is inherited; the worker lifts it when it knows better.
            # Likewise the end of a terminal, where it does not mean to end.
            blocked = {signal.SIGINT} | ({signal.SIGHUP} if self._certificate else set())
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
            try:
                process = subprocess.Popen(  # noqa: S603
                    [sys.executable, *sys.orig_argv[1:]],
                    env=os.environ | place.environment(),
                    pass_fds=[place.channel, *sockets],
                    stdin=subprocess.DEVNULL,
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        except OSError as problem:
            ours.close()
            raise DDPError(f"Worker {number} cannot be started: {problem}.") from problem
        except DDPError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        life = _Life(number, process, ours)
        self._lives.add(life)
        self._latest[number] = life
        life.ended.add_done_callback(lambda _: self._lives.discard(life))
        return life

    # Keeping

    async def _keep(self, life: _Life) -> None:
        loop = asyncio.get_running_loop()
        short_lives = 0
        while True:
            if await life.leaves():  # perhaps it has ended by now
                logger.info("%s stops: another process takes its place", life)
                short_lives = 0
            else:
                short_lives = 0 if loop.time() - life.started > STEADY else short_lives + 1
                logger.error(
                    "%s %s: it is started again%s",
                    life,
                    _how(life.ended.result()),
                    _when(_pause(short_lives)),
                )
            life = await self._again(life.number, short_lives)
            logger.info("%s serves", life)

    async def _again(self, number: int, short_lives: int) -> _Life:
        while True:
            await asyncio.sleep(_pause(short_lives))
            short_lives += 1
            try:
                life = self._start(number)
                await life.serves()
                return life
            except DDPError as problem:
                self._shares.withdraw(number)
                logger.error(  # noqa: TRY400
                    "Worker %d does not serve%s. %s",
                    number,
                    _when(_pause(short_lives), "; the next attempt is"),
                    problem,
                )

    def _look(self) -> None:
        for life in list(self._lives):
            life.look()

    def _reload(self, certificate: Certificate) -> None:
        # Tried here first, so that what is wrong is said once.
        self._supervisor.reloading()
        if certificate.renew():
            for life in self._lives:
                life.reload()
        self._supervisor.reloaded()

    # Stopping

    def _signalled(self, stop: asyncio.Future[int], number: signal.Signals) -> None:
        # As in a single process: SIGTERM comes twice from some supervisors, Ctrl-C from a person.
        self._stopping = True
        if not stop.done():
            stop.set_result(number)
        elif number == signal.SIGINT:
            for life in self._lives:
                life.process.kill()
            shutil.rmtree(self.directory, ignore_errors=True)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)

    def forget(self) -> None:
        """Leave nothing behind, whether they have run or not. Idempotent."""
        shutil.rmtree(self.directory, ignore_errors=True)

    async def _end(self) -> None:
        self._stopping = True
        self._shares.close()
        for life in self._lives:
            life.stop()
        if ending := [life.ended for life in self._lives]:
            await asyncio.wait(ending, timeout=self._drain + LATE)
        for life in list(self._lives):
            logger.error("%s does not stop: it is killed", life)
            life.process.kill()
            life.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"was ended by signal {-code}"


def _pause(short_lives: int) -> float:
    first, last = PAUSES
    return min(first * 2.0 ** min(short_lives - 1, 20), last) if short_lives else 0.0


def _when(pause: float, text: str = "") -> str:
    return f"{text} in {pause:g} seconds" if pause else ""
