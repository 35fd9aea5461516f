"""The bus over PostgreSQL: LISTEN here, NOTIFY there, and the contract of `ddpcore.bus` kept.

Why it holds: PostgreSQL appends the notifications of a transaction to one queue for all channels
while it commits, in the order of its statements, and appends nothing of what is rolled back. A
token that is notified now is therefore queued behind all that was committed before: when it
comes back, so did they. That is a fence.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import secrets
from collections.abc import Callable

import psycopg2
from psycopg2.extensions import Notify, parse_dsn

from ddpcore.bus import Bus, BusEvent, Change, Gap
from ddpcore.errors import DDPError
from ddpcore_pg.connection import OnDemand
from ddpcore_pg.fences import Fences
from ddpcore_pg.listener import Listener
from ddpcore_pg.payload import Assembler, channel, publish_sql

__all__ = ["PgBus"]

log = logging.getLogger(__name__)

_FENCE = "SELECT pg_notify(%s, %s)"


class PgBus(Bus):
    """A bus between all processes that use one PostgreSQL database.

    It holds two connections: one only listens, the other one sends.

    Args:
        dsn: The database, as libpq understands it. LISTEN must work there: a server itself, or a
            pooler in session mode.
        notify_dsn: Where to send, if that is another way to the same database, e.g. through a
            transaction pooler.
        self_test_timeout: Seconds that `start` waits for its own first notification.
        timeout: Seconds after which a server that does not answer is taken for gone: the
            connection is given up and opened anew.
        reconnect_delay: Seconds between attempts to reconnect: the first, and the longest.
        on_state: Called with True and False as the LISTEN connection comes and goes.
        random: Draws from [0, 1); spreads the reconnects of many processes.
    """

    crosses_processes = True

    def __init__(
        self,
        dsn: str,
        *,
        notify_dsn: str | None = None,
        self_test_timeout: float = 5.0,
        timeout: float = 30.0,
        reconnect_delay: tuple[float, float] = (0.05, 5.0),
        on_state: Callable[[bool], None] | None = None,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._dsn = dsn
        self._notify_dsn = notify_dsn or dsn
        self._self_test_timeout = self_test_timeout
        self._timeout = timeout
        self._reconnect_delay = reconnect_delay
        self._on_state = on_state or (lambda _: None)
        self._random = random
        self._own = f"ddp@{secrets.token_hex(12)}"  # where our fences come back
        self._deliver: Callable[[BusEvent], None] | None = None
        self._listener: Listener | None = None
        self._sender: OnDemand  # there is one while there is a listener
        self._topics: dict[str, str] = {}  # by channel
        self._assembler = Assembler()
        self._expiry: asyncio.TimerHandle | None = None
        self._fences = Fences()
        self._fencing: asyncio.Task[None] | None = None  # sends tokens, while there is need

    @property
    def connected(self) -> bool:
        """Whether the LISTEN connection is up: the process sees changes as they commit."""
        return self._listener is not None and self._listener.connection is not None

    async def start(self, deliver: Callable[[BusEvent], None]) -> None:
        """Connect, and prove that notifications arrive.

        Raises:
            ddpcore.DDPError: The database cannot be reached, or LISTEN does not work through
                this DSN; the text says what to do.
        """
        if self._listener is not None:
            raise DDPError("The PostgreSQL bus is running already.")
        _check(self._dsn)
        _check(self._notify_dsn)
        self._deliver = deliver
        self._listener = listener = Listener(
            self._dsn,
            on_notify=self._notified,
            on_up=self._up,
            on_down=self._down,
            delay=self._reconnect_delay,
            random=self._random,
        )
        self._sender = OnDemand(self._notify_dsn, "ddpcore notify", timeout=self._timeout)
        try:
            await listener.listen(self._own)  # not connected yet: it is wanted from the start
            dsn = self._dsn
            try:
                await listener.start()
                dsn = self._notify_dsn
                await self._self_test()
            except (psycopg2.Error, OSError) as error:
                raise DDPError(_unreachable(dsn, error)) from error
        except BaseException:
            await self.stop()
            raise
        self._tell(up=True)

    async def stop(self) -> None:
        """Close both connections; pending fences complete, nothing more is delivered."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        self._deliver = None
        fencing, self._fencing = self._fencing, None
        if fencing is not None:
            fencing.cancel()
            await asyncio.wait([fencing])
        await listener.stop()
        self._sender.close()
        self._topics.clear()
        self._clear_pieces()
        self._fences.release()

    async def subscribe(self, topic: str) -> None:
        """Deliver `topic` from now on: the LISTEN is committed, or a `Gap` will follow.

        Raises:
            ddpcore.DDPError: The bus is not running.
        """
        listener = self._running()
        name = channel(topic)
        self._topics[name] = topic
        await listener.listen(name)

    async def unsubscribe(self, topic: str) -> None:
        """Deliver `topic` no longer."""
        name = channel(topic)
        self._topics.pop(name, None)
        if self._listener is not None:
            await self._listener.unlisten(name)

    async def publish(self, change: Change) -> None:
        """Announce a committed change.

        Should the connection break meanwhile, it is sent once more and may arrive twice.

        Raises:
            ddpcore.DDPError: It could not be sent.
        """
        self._running()
        try:
            await self._sender.execute(*publish_sql(change))
        except (psycopg2.Error, OSError) as error:
            raise DDPError(_unreachable(self._notify_dsn, error)) from error

    async def fence(self) -> None:
        """Return once all that was committed before this call was delivered here.

        While the LISTEN connection is down, that is after the `Gap` that follows the reconnect.
        """
        if self._listener is None:
            return
        fence = self._fences.ask()
        if self._fencing is None:
            # Not in the caller's own task: others share the token, and he may be cancelled.
            self._fencing = asyncio.create_task(self._send_fences(), name="ddpcore fence")
        await fence

    async def queue_usage(self) -> float:
        """How full PostgreSQL's notification queue is, from 0 to 1; at 1 commits fail.

        Raises:
            ddpcore.DDPError: The database cannot be asked.
        """
        self._running()
        try:
            rows = await self._sender.execute("SELECT pg_notification_queue_usage()")
        except (psycopg2.Error, OSError) as error:
            raise DDPError(_unreachable(self._notify_dsn, error)) from error
        return float(rows[0][0])

    def _running(self) -> Listener:
        if self._listener is None:
            raise DDPError("The PostgreSQL bus is not running: start the server first.")
        return self._listener

    async def _self_test(self) -> None:
        back = self._fences.ask()
        token = self._fences.send(self._timeout, self._overdue)
        await self._sender.execute(_FENCE, [self._own, token])
        try:
            await asyncio.wait_for(back, self._self_test_timeout)
        except TimeoutError:
            raise DDPError(
                f"A notification sent to {_place(self._notify_dsn)} did not come back from "
                f"{_place(self._dsn)} within {self._self_test_timeout:g} s: LISTEN does not work "
                "through this DSN. Most likely there is a pooler in transaction mode (PgBouncer, "
                "Odyssey, Supavisor) between us and the server. Give the bus a direct DSN: the "
                "host and port of PostgreSQL itself, and the same database."
            ) from None

    async def _send_fences(self) -> None:
        try:
            # While one token is being sent, those who ask gather for the next.
            while self._fences.unsent and self.connected:
                await self._send_fence()
        finally:
            self._fencing = None

    async def _send_fence(self) -> None:
        token = self._fences.send(self._timeout, self._overdue)
        try:
            await self._sender.execute(_FENCE, [self._own, token])
        except Exception as error:
            listener = self._listener
            if listener is None or listener.connection is None:
                return  # its return will release the fence
            # Rather than leave the callers waiting, the listener carries the token itself: it
            # works, or its failure brings the Gap that releases the fence.
            log.warning("A fence goes over the LISTEN connection: %s", error)
            connection = listener.connection
            try:
                await connection.execute(_FENCE, [self._own, token])
            except psycopg2.Error as second:
                listener.drop(connection, second)

    def _overdue(self, _token: str) -> None:
        listener = self._listener
        if listener is not None and listener.connection is not None:
            listener.drop(listener.connection, TimeoutError("a fence did not come back"))

    def _notified(self, notify: Notify) -> None:
        if notify.channel == self._own:
            self._fences.came(notify.payload)
            return
        topic = self._topics.get(notify.channel)
        if topic is None:  # unsubscribed a moment ago
            return
        for event in self._assembler.put(topic, notify.payload):
            self._hand_out(event)
        if len(self._assembler) and self._expiry is None:
            self._expire_later()

    def _hand_out(self, event: BusEvent) -> None:
        if self._deliver is None:
            return
        try:
            self._deliver(event)
        except Exception:  # it promised not to; the bus must go on
            log.exception("The receiver of the bus failed at %r.", event)

    def _up(self) -> None:
        # In this order: who waits for a fence may rely on the Gap having been heard.
        self._hand_out(Gap())
        self._fences.release()
        self._tell(up=True)

    def _down(self) -> None:
        self._clear_pieces()
        self._tell(up=False)

    def _tell(self, *, up: bool) -> None:
        try:
            self._on_state(up)
        except Exception:
            log.exception("The observer of the bus's state failed.")

    def _expire_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(self._assembler.timeout, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        for gap in self._assembler.expire():
            self._hand_out(gap)
        if len(self._assembler):
            self._expire_later()

    def _clear_pieces(self) -> None:
        self._assembler.clear()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None


def _check(dsn: str) -> None:
    try:
        parse_dsn(dsn)
    except psycopg2.ProgrammingError:
        # Neither its text nor the exception itself: either may hold the password.
        raise DDPError("The DSN of the PostgreSQL bus is not one that libpq understands.") from None


def _place(dsn: str) -> str:
    """Host, port and database of a DSN: what may be shown."""
    parts = parse_dsn(dsn)
    host = parts.get("host") or parts.get("hostaddr") or parts.get("service") or "local socket"
    return f"{host}:{parts.get('port', '5432')}/{parts.get('dbname') or parts.get('user', '')}"


def _unreachable(dsn: str, error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return (
        f"PostgreSQL at {_place(dsn)} cannot be used by the bus: {said} "
        "Check that the server runs there, and the host, port, database and user of the bus's DSN."
    )
