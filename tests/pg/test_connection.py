"""A notification that arrives in one piece with the answer to a statement is not left lying."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import closing

import psycopg2

from ddpcore_pg.connection import Connection


def wait_unread(peek: socket.socket, text: bytes) -> None:
    """Return when the text waits in the socket. Nobody reads meanwhile: the loop stands still."""
    waiting = b""
    while text not in waiting:
        try:
            waiting = peek.recv(65536, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            continue


async def test_a_notification_right_behind_an_answer(pg_dsn):
    heard: list[str] = []
    connection = await Connection.open(
        pg_dsn, "test", on_notify=lambda notify: heard.append(notify.payload)
    )
    with closing(connection), closing(psycopg2.connect(pg_dsn)) as other:
        other.autocommit = True
        await connection.execute("LISTEN a")
        # Its answer cannot come while the loop takes the turn to send it, however long that takes.
        writer = other.cursor()
        writer.execute("SELECT pg_advisory_lock(1)")
        statement = asyncio.ensure_future(connection.execute("SELECT pg_advisory_lock(1)"))
        await asyncio.sleep(0)
        writer.execute("SELECT pg_advisory_unlock(1)")
        with closing(socket.socket(fileno=os.dup(connection._fd))) as peek:
            wait_unread(peek, b"SELECT 1")
            writer.execute("NOTIFY a, 'behind the answer'")
            wait_unread(peek, b"behind the answer")
        await statement
        async with asyncio.timeout(30):
            while not heard:
                await asyncio.sleep(0)
        assert heard == ["behind the answer"]
