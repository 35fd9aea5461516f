"""The process's one LISTEN connection: what it listens to, and how it comes back.

Topics are wanted or not; `Listener` makes the server agree. While the connection is down nothing
is missed silently: after the reconnect everything wanted is listened to again, and only then is
the loss announced, so whoever looks at the database from then on sees all there was.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections.abc import Callable

import psycopg2
from psycopg2.extensions import Notify

from ddpcore_pg.connection import Connection

__all__ = ["Listener"]

log = logging.getLogger(__name__)


class Listener:
    """A supervised LISTEN connection.

    Args:
        dsn: Whither; LISTEN must work there.
        on_notify: Called with each notification, in the queue's order.
        on_up: Called after each *re*connect, when everything wanted is listened to again.
        on_down: Called when the connection is lost.
        delay: Seconds between attempts to reconnect: the first, and the most it doubles up to.
        random: Draws from [0, 1), so that many processes do not reconnect in step.
    """

    def __init__(
        self,
        dsn: str,
        *,
        on_notify: Callable[[Notify], None],
        on_up: Callable[[], None],
        on_down: Callable[[], None],
        delay: tuple[float, float] = (0.05, 5.0),
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._dsn = dsn
        self._on_notify = on_notify
        self._on_up = on_up
        self._on_down = on_down
        self._delay = delay
        self._random = random
        self._connection: Connection | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._wanted: set[str] = set()
        self._sent: set[str] = set()  # LISTEN was sent, UNLISTEN was not
        self._heard: set[str] = set()  # and it is committed: nothing is missed from there on
        self._turn = asyncio.Lock()

    @property
    def connection(self) -> Connection | None:
        """The connection, while it is up and listens to all it should."""
        return self._connection

    async def start(self) -> None:
        """Connect, once, and from then on keep the connection up.

        Raises:
            psycopg2.Error: It was refused.
            TimeoutError: Nobody answered.
        """
        await self._connect()
        self._supervisor = asyncio.create_task(self._supervise(), name="ddpcore listen")

    async def stop(self) -> None:
        """Close the connection and forget everything."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait([supervisor])
        if self._connection is not None:
            self._connection.close()
        self._forget()
        self._wanted.clear()

    async def listen(self, channel: str) -> None:
        """Return once the LISTEN is committed, or lost in a failure that `on_up` will follow."""
        self._wanted.add(channel)
        await self._settle()

    async def unlisten(self, channel: str) -> None:
        """Return once nothing comes from there any more."""
        self._wanted.discard(channel)
        await self._settle()

    def drop(self, connection: Connection, error: Exception) -> None:
        """Give a connection up that is of no use any more; a new one will take its place."""
        if connection is self._connection:
            connection.close()
            self._down(error)

    async def _settle(self) -> None:
        """Make the server listen to what is wanted.

        Who waits for the turn finds that the one before has often done it for both: so many
        subscriptions at once make one batch.
        """
        async with self._turn:
            connection = self._connection
            if connection is None:
                return
            if self._wanted <= self._heard and self._sent <= self._wanted:
                return
            # The books are kept so that they are right even if we are cancelled while waiting:
            # the statement runs anyway.
            more = self._wanted - self._heard
            less = self._sent - self._wanted
            self._sent = (self._sent | more) - less
            self._heard -= less
            statements = [f"LISTEN {_quote(name)}" for name in sorted(more)]
            statements += [f"UNLISTEN {_quote(name)}" for name in sorted(less)]
            try:
                await connection.execute("; ".join(statements))
            except psycopg2.Error as error:
                self.drop(connection, error)  # broken, or it refused: begin afresh
                return
            if connection is self._connection:
                self._heard |= more

    async def _connect(self) -> None:
        connection = await Connection.open(
            self._dsn,
            "ddpcore listen",
            on_notify=self._on_notify,
            on_lost=lambda error: self.drop(connection, error),
        )
        try:
            while more := self._wanted - self._heard:
                self._sent |= more
                await connection.execute("; ".join(f"LISTEN {_quote(name)}" for name in more))
                self._heard |= more
            if connection.closed:  # in the meantime
                raise psycopg2.OperationalError("the connection broke")
        except BaseException:
            connection.close()
            self._forget()
            raise
        self._connection = connection

    def _down(self, error: Exception) -> None:
        log.warning("The LISTEN connection is lost and will be opened again: %s", _line(error))
        self._forget()
        self._lost.set()
        self._on_down()

    def _forget(self) -> None:
        self._connection = None
        self._sent.clear()
        self._heard.clear()

    async def _supervise(self) -> None:
        while True:
            await self._lost.wait()
            self._lost.clear()
            least, most = self._delay
            while self._connection is None:
                # Between a half and the whole of the delay.
                await asyncio.sleep(least * (1 + self._random()) / 2)
                least = min(2 * least, most)
                try:
                    await self._connect()
                except (psycopg2.Error, OSError) as error:
                    log.debug("Cannot open the LISTEN connection yet: %s", _line(error))
                except Exception:
                    log.exception("Cannot open the LISTEN connection.")
            log.info("The LISTEN connection is back.")
            self._on_up()


def _quote(name: str) -> str:
    """An SQL identifier. A quote within is doubled; `channel()` lets nothing stranger pass."""
    return '"' + name.replace('"', '""') + '"'


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
