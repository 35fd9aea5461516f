"""One psycopg2 connection in the hands of the event loop.

psycopg2 knows nothing of asyncio, but in its asynchronous mode it gives away the socket and a
`poll()` that says what the socket should become. Statements wait in a queue, for the connection
takes one at a time; what a cancelled caller asked for still runs, only nobody hears the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Self

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_WRITE, Notify, make_dsn, parse_dsn

__all__ = ["Connection", "OnDemand"]

log = logging.getLogger(__name__)

# A peer that vanished without a goodbye (a pulled cable, a forgetful firewall) is noticed within
# about a minute. The DSN's own values win. Seconds, but for the last: milliseconds.
_KEEPALIVE = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}

CONNECT_TIMEOUT = 10.0
"""Seconds."""

Rows = list[tuple[Any, ...]]


class Connection:
    """An open connection, always in autocommit; made by `open`."""

    def __init__(
        self,
        raw: psycopg2.extensions.connection,
        on_notify: Callable[[Notify], None],
        on_lost: Callable[[Exception], None],
    ) -> None:
        self._raw = raw
        self._on_notify = on_notify
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[tuple[str, Sequence[Any] | None, asyncio.Future[Rows]]] = deque()
        self._cursor: psycopg2.extensions.cursor | None = None  # the statement that runs
        self._writing = False
        self._fd = raw.fileno()  # a closed connection will not tell any more
        self._loop.add_reader(self._fd, self._pump)

    @classmethod
    async def open(
        cls,
        dsn: str,
        application_name: str,
        *,
        on_notify: Callable[[Notify], None] = lambda _: None,
        on_lost: Callable[[Exception], None] = lambda _: None,
    ) -> Self:
        """Connect.

        Args:
            dsn: Whither, as libpq understands it.
            application_name: What the server's administrator sees in `pg_stat_activity`.
            on_notify: Called for each notification, in the order of the server. May not raise.
            on_lost: Called once if the connection breaks, not when `close` closes it.

        Raises:
            psycopg2.Error: It was refused.
            TimeoutError: It took longer than `CONNECT_TIMEOUT`.
        """
        given = parse_dsn(dsn)
        defaults = {name: text for name, text in _KEEPALIVE.items() if name not in given}
        full = make_dsn(dsn, application_name=application_name, client_encoding="UTF8", **defaults)
        async with asyncio.timeout(CONNECT_TIMEOUT):
            raw = await _begin(full)
            try:
                while (state := raw.poll()) != POLL_OK:
                    # libpq may try several addresses, each with a socket of its own.
                    await _ready(raw.fileno(), writable=state == POLL_WRITE)
            except BaseException:
                raw.close()
                raise
        return cls(raw, on_notify, on_lost)

    @property
    def closed(self) -> bool:
        """Whether it is closed, by us or by fate."""
        return bool(self._raw.closed)

    async def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> Rows:
        """Run a statement (or several, separated by ``;``, without parameters) and commit.

        Returns:
            The rows of the (last) statement, if it has any.

        Raises:
            psycopg2.Error: The statement failed, or the connection broke; then it is `closed`.
        """
        if self.closed:
            raise psycopg2.InterfaceError("connection already closed")
        answer: asyncio.Future[Rows] = self._loop.create_future()
        self._jobs.append((statement, parameters, answer))
        if self._cursor is None:
            self._start()
        return await answer

    def close(self) -> None:
        """Close it, at once; who still waits for an answer gets a `psycopg2.InterfaceError`."""
        if not self.closed:
            self._end(psycopg2.InterfaceError("connection closed"))

    def _start(self) -> None:
        """Send the next statement."""
        statement, parameters, _ = self._jobs[0]
        try:
            self._cursor = self._raw.cursor()
            self._cursor.execute(statement, parameters)
        except Exception as error:
            self._failed(error)
        else:
            self._pump()

    def _pump(self) -> None:
        """The socket became readable or writable: let psycopg2 go on."""
        try:
            state = self._raw.poll()
        except Exception as error:
            self._failed(error)
            return
        self._hand_over()
        if self.closed:  # on_notify may have closed us
            return
        if (state == POLL_WRITE) is not self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self._fd, self._pump)
            else:
                self._loop.remove_writer(self._fd)
        if state == POLL_OK and self._cursor is not None:
            cursor = self._cursor
            self._done(lambda: cursor.fetchall() if cursor.description else [])

    def _hand_over(self) -> None:
        # In batches, for taking the head of a list again and again is slow; and the list is
        # psycopg2's, so what arrives during the calls is found next time.
        batch = self._raw.notifies[:]
        del self._raw.notifies[: len(batch)]
        for each in batch:
            try:
                self._on_notify(each)
            except Exception:
                log.exception("A notification on %r was not handled.", each.channel)

    def _failed(self, error: Exception) -> None:
        """Something raised: the statement that runs is to blame, or else the connection is."""
        if self._cursor is None or self._raw.closed:
            self._break(error)
            return

        def fail() -> Rows:
            raise error

        self._done(fail)

    def _done(self, result: Callable[[], Rows]) -> None:
        """Answer whoever asked for the statement that ran, and go on to the next."""
        self._cursor = None
        _, _, answer = self._jobs.popleft()
        try:
            rows = result()
        except Exception as error:
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(rows)
        if self._jobs:
            self._start()
        else:
            # What came in one piece with the answer is in libpq's buffer: the socket, being
            # empty, would not tell.
            self._loop.call_soon(self._look_again)

    def _look_again(self) -> None:
        if self._cursor is None and not self.closed:
            self._pump()

    def _break(self, error: Exception) -> None:
        self._end(error)
        self._on_lost(error)

    def _end(self, error: Exception) -> None:
        # First the loop lets go, then the socket closes: its number may be reused at once.
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        with contextlib.suppress(psycopg2.Error):
            self._raw.close()
        self._cursor = None
        while self._jobs:
            _, _, answer = self._jobs.popleft()
            if not answer.done():
                answer.set_exception(error)


class OnDemand:
    """A connection that is opened when needed, and again after it broke.

    Args:
        dsn: Whither.
        application_name: What the server's administrator sees.
        timeout: Seconds for a statement, after which the connection is taken for dead.
    """

    def __init__(self, dsn: str, application_name: str, *, timeout: float) -> None:
        self._dsn = dsn
        self._application_name = application_name
        self._timeout = timeout
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._over = False

    async def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> Rows:
        """Run a statement and commit; should the connection break, once more on a new one.

        Raises:
            psycopg2.Error: The statement failed, or there is no connection to be had.
            TimeoutError: No answer in time.
        """
        connection = await self._get()
        try:
            return await self._attempt(connection, statement, parameters)
        except psycopg2.Error:
            if not connection.closed:  # the statement's own fault
                raise
        return await self._attempt(await self._get(), statement, parameters)

    def close(self) -> None:
        """Close the connection, for good."""
        self._over = True
        if self._connection is not None:
            self._connection.close()

    async def _attempt(
        self, connection: Connection, statement: str, parameters: Sequence[Any] | None
    ) -> Rows:
        try:
            async with asyncio.timeout(self._timeout):
                return await connection.execute(statement, parameters)
        except TimeoutError:
            connection.close()
            raise

    async def _get(self) -> Connection:
        async with self._opening:
            if not self._over and (self._connection is None or self._connection.closed):
                self._connection = await Connection.open(self._dsn, self._application_name)
            if self._over or self._connection is None:
                self.close()
                raise psycopg2.InterfaceError("connection closed")
            return self._connection


async def _begin(dsn: str) -> psycopg2.extensions.connection:
    """Start connecting. In a thread, for libpq looks the host's name up before it returns."""
    loop = asyncio.get_running_loop()
    attempt = loop.run_in_executor(None, functools.partial(psycopg2.connect, dsn, async_=True))
    try:
        return await asyncio.shield(attempt)
    except asyncio.CancelledError:
        attempt.add_done_callback(_discard)
        raise


def _discard(attempt: asyncio.Future[psycopg2.extensions.connection]) -> None:
    """Nobody waits for this connection any more."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


async def _ready(fd: int, *, writable: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    add, remove = (
        (loop.add_writer, loop.remove_writer) if writable else (loop.add_reader, loop.remove_reader)
    )
    add(fd, _set, ready)
    try:
        await ready
    finally:
        remove(fd)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
