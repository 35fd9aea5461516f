"""A bus over a fresh database, a writer, and means to break things."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg2
import pytest

from ddpcore.bus import Change, Op
from ddpcore.testing.bus_contract import Recorder, Writer
from ddpcore_pg import PgBus, notify

BOOK = "shop.book"


def insert(key: str) -> Change:
    return Change(BOOK, Op.INSERT, key)


class PgWriter(Writer):
    """A program with a connection of its own; the calls block, which nobody minds here."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg2.connect(dsn, application_name="writer")

    async def write(self, change: Change) -> None:
        with self.connection.cursor() as cursor:
            notify(cursor, change)

    async def commit(self) -> None:
        self.connection.commit()

    async def rollback(self) -> None:
        self.connection.rollback()

    async def close(self) -> None:
        self.connection.close()


class Place:
    """A database, and what tests do to it."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def execute(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.dsn)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def write(self, *changes: Change) -> None:
        """Commit changes, in one transaction."""
        connection = psycopg2.connect(self.dsn)
        try:
            with connection, connection.cursor() as cursor:
                notify(cursor, *changes)
        finally:
            connection.close()

    def pids(self, application_name: str) -> list[int]:
        rows = self.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = %s AND datname = current_database()",
            [application_name],
        )
        return [pid for (pid,) in rows]

    def terminate(self, application_name: str) -> None:
        """Kill the backends of that name, and return when they are gone."""
        (pids,) = ([*self.pids(application_name)],)
        assert pids
        self.execute("SELECT pg_terminate_backend(pid, 30000) FROM unnest(%s) AS pid", [pids])

    @asynccontextmanager
    async def bus(self, *topics: str, **options: Any) -> AsyncIterator[tuple[PgBus, Recorder]]:
        """A bus that runs and is subscribed; it must leave no task behind."""
        before = asyncio.all_tasks()
        bus, heard = PgBus(self.dsn, **options), Recorder()
        await bus.start(heard)
        try:
            for topic in topics:
                await bus.subscribe(topic)
            yield bus, heard
        finally:
            await bus.stop()
        assert not asyncio.all_tasks() - before


@pytest.fixture
def place(pg_dsn: str) -> Place:
    return Place(pg_dsn)


@pytest.fixture
def expect_loss(expect_log: Callable[..., None]) -> None:
    """This test breaks the LISTEN connection; a fence of that moment may take the other way."""
    expect_log("ddpcore_pg.listener", "LISTEN connection is lost")
    expect_log("ddpcore_pg.bus", "fence goes over", required=False)
