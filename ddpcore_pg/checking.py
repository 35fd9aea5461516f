"""What is to be known of a PostgreSQL before it is served from."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2

from ddpcore.checks import Check, Finding

__all__ = ["CONNECTIONS", "bus_checks", "clock", "room"]

CONNECTIONS = 2
"""What the bus holds in each process."""

FULL = 0.5
"""The part of the notification queue from which on PostgreSQL itself complains in its log."""

APART = 5.0
"""Seconds by which two clocks may differ. Those that are kept by NTP differ by milliseconds; logs,
and times that are written here and compared there, are of no use where it is more."""


def bus_checks(dsn: str, workers: int) -> list[Check]:
    """The checks of a database that is a bus.

    Args:
        dsn: Where it is.
        workers: How many processes will use it.
    """

    def asking(function: Callable[[Any], Finding | None]) -> Callable[[], Finding | None]:
        def ask() -> Finding | None:
            try:
                connection = psycopg2.connect(dsn, application_name="ddpcore check")
            except psycopg2.OperationalError:
                return None  # the bus says it, and what to do
            with closing(connection):
                connection.autocommit = True
                with connection.cursor() as cursor:
                    return function(cursor)

        return ask

    def connections(cursor: Any) -> Finding | None:
        # Whoever knows of the other connections says what is well.
        found = room(cursor, workers * CONNECTIONS, f"The bus of {workers} processes takes")
        return found if found.advice else None

    return [
        Check("clock", asking(clock)),
        Check("queue", asking(_queue)),
        Check("connections", asking(connections)),
    ]


def clock(cursor: Any) -> Finding:
    """Its clock against ours."""
    began = time.time()
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
    theirs = cursor.fetchall()[0][0]
    ended = time.time()
    # It was asked at some moment between the two: an answer that is slow is no clock that is wrong.
    apart = theirs - min(max(theirs, began), ended)
    if abs(apart) > APART:
        way = "ahead of" if apart > 0 else "behind"
        return Finding.warning(
            f"The clock of the database is {abs(apart):.0f} s {way} that of this machine.",
            "Let NTP keep both (timedatectl says whether it does).",
        )
    return Finding.ok(f"that of the database and ours are {abs(apart):.1f} s apart")


def _queue(cursor: Any) -> Finding:
    cursor.execute("SELECT pg_notification_queue_usage()")
    usage = float(cursor.fetchall()[0][0])
    if usage >= FULL:
        return Finding.warning(
            f"The notification queue of PostgreSQL is {usage:.0%} full; once it is full, commits "
            "fail.",
            "A session that listens does not read, mostly in a transaction that is left open: end "
            "it (pg_stat_activity, state 'idle in transaction', the oldest xact_start).",
        )
    return Finding.ok(f"the notification queue of PostgreSQL is {usage:.0%} full")


def room(cursor: Any, needed: int, what: str) -> Finding:
    """Whether so many connections can be had.

    Args:
        cursor: Of the role and the database that are meant.
        needed: How many there may be in all.
        what: Begins the sentence, with a verb at its end.
    """
    cursor.execute(
        "SELECT current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int"
        " - coalesce(current_setting('reserved_connections', true), '0')::int,"
        " (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),"
        " (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),"
        " (SELECT count(*) FROM pg_stat_activity"
        "  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())"
    )
    of_all, of_database, of_role, used = cursor.fetchall()[0]
    limits = [
        (of_all, "max_connections, less those that are reserved"),
        (of_database, "the limit of the database"),
        (of_role, "the limit of the role"),
    ]
    most, why = min(each for each in limits if each[0] >= 0)
    text = f"{what} up to {needed} connections, and PostgreSQL gives {most} ({why})"
    if needed > most:
        return Finding.error(
            f"{text}: at full load queries would fail.",
            "Take fewer workers or threads (DDPCORE['THREADS'], --site-threads), raise "
            "max_connections, or put a pooler before it for all but the bus.",
        )
    if needed > most - used:
        return Finding.warning(
            f"{text}; {used} are in use at this moment.",
            "That is fine if it is the server to be replaced that uses them; else take fewer "
            "workers or threads, or raise max_connections.",
        )
    return Finding.ok(f"{text}; {used} are in use")
