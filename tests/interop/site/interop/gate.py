"""A gate that the writer shuts and opens: methods and publications of the server wait at it.

It is an advisory lock of PostgreSQL, so a server that is killed at the gate leaves nothing behind.
"""

from django.db import connection

KEY = 7


def shut():
    ask("pg_advisory_lock(%s)", KEY)


def unlock():
    ask("pg_advisory_unlock_all()")


def waiting():
    """How many wait at it."""
    (number,) = ask(
        "count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        KEY,
    )
    return number


def transactions():
    """How many others are in a transaction."""
    (number,) = ask(
        "count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL"
        " AND datname = current_database() AND pid != pg_backend_pid()"
    )
    return number


def go_through():
    ask("pg_advisory_lock_shared(%s)", KEY)
    ask("pg_advisory_unlock_shared(%s)", KEY)


def ask(what, *params):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {what}", params)
        return cursor.fetchone()
