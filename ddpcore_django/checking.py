"""What a Django project looks at before it is served: `ddpcore check`.

Django's own system checks are among it. Beyond them it is about how the project is to be served,
and about the database, which it asks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks as system_checks
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor

from ddpcore.checks import Check, Finding
from ddpcore_django import triggers
from ddpcore_django.conf import conf
from ddpcore_django.publishing import publisher_of
from ddpcore_django.tables import topic_of

__all__ = ["found_by_django", "project_checks"]

# Those of triggers are looked at one by one, those of accounts stand with accounts.
_OF_TRIGGERS = ("ddpcore.W002", "ddpcore.W003")
_OF_ACCOUNTS = ("ddpcore.E1", "ddpcore.W1")

_LOOPBACK = ("127.", "::1", "localhost")


def project_checks(options: Any) -> list[Check]:
    """The checks.

    Args:
        options: How it is to be served.
    """
    postgres = connections[DEFAULT_DB_ALIAS].vendor == "postgresql"
    checks = [
        Check("settings", lambda: _settings(options)),
        Check("database", _database),
    ]
    if postgres:
        checks.append(Check("connections", lambda: _connections(options)))
        checks.append(Check("triggers", _triggers))
    checks.append(Check("bus", lambda: _told(options)))
    if apps.is_installed("ddpcore_django.accounts"):
        from ddpcore_django.accounts.checking import check_accounts, check_mails

        checks.append(Check("accounts", lambda: check_accounts(_is_outside(options), options)))
        checks.append(Check("mails", check_mails))
    return checks


def _is_outside(options: Any) -> bool:
    """Whether others than this machine can come without a proxy."""
    return any(
        hasattr(each, "host") and not each.host.startswith(_LOOPBACK) for each in options.bind
    )


# --- settings -----------------------------------------------------------------------------------


def _settings(options: Any) -> Iterator[Finding]:
    well = True
    for finding in found_by_django(
        lambda each: not each.id.startswith((*_OF_ACCOUNTS, *_OF_TRIGGERS))
    ):
        well = False
        yield finding
    if settings.DEBUG and _is_outside(options):
        well = False
        yield Finding.warning(
            "DEBUG is on, and others than this machine can reach the server: it shows them "
            "settings and code.",
            "Set DEBUG = False, or bind to 127.0.0.1.",
        )
    proxies = options.forwarded_count or conf().server.get("forwarded_count", 0)
    if not proxies and (settings.SECURE_PROXY_SSL_HEADER or settings.USE_X_FORWARDED_HOST):
        well = False
        yield Finding.warning(
            "The settings speak of a proxy (SECURE_PROXY_SSL_HEADER or USE_X_FORWARDED_HOST), and "
            "--forwarded-count is 0: to DDP all clients would seem to be one, and plain.",
            "Say how many proxies there are: --forwarded-count 1.",
        )
    if well:
        yield Finding.ok(f"DEBUG is {'on, for this machine only' if settings.DEBUG else 'off'}")


def found_by_django(wanted: Any) -> Iterator[Finding]:
    """What Django's system checks say of ddpcore.

    Args:
        wanted: Says of a message whether it is meant.
    """
    for each in system_checks.run_checks(tags=["ddpcore"]):
        # What is serious keeps `serve` from starting, silenced or not.
        if not wanted(each) or (each.is_silenced() and not each.is_serious()):
            continue
        text, advice = f"{each.msg} ({each.id})", each.hint or ""
        if each.is_serious():
            yield Finding.error(text, advice)
        else:
            yield Finding.warning(text, advice)


# --- the database -------------------------------------------------------------------------------


def _database() -> Iterator[Finding]:
    connection = connections[DEFAULT_DB_ALIAS]
    name = f"{connection.display_name} {connection.settings_dict['NAME']}"
    if connection.vendor == "sqlite" and not _has_file(connection):
        yield Finding.warning(f"{name} is not there yet.", "Run manage.py migrate.")
        return
    try:
        connection.ensure_connection()
        began = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        took = time.monotonic() - began
        plan = MigrationExecutor(connection)
        missing = plan.migration_plan(plan.loader.graph.leaf_nodes())
    except Error as problem:
        yield Finding.error(
            f"{name} does not answer: {' '.join(str(problem).split())}",
            "Check that it runs, and DATABASES in the settings.",
        )
        return
    finally:
        connection.close()
    if missing:
        some = ", ".join(f"{each.app_label}.{each.name}" for each, _ in missing[:3])
        yield Finding.warning(
            f"{len(missing)} migrations are not applied to {name}: {some}"
            f"{', and others' if len(missing) > 3 else ''}.",
            "Run manage.py migrate.",
        )
    else:
        yield Finding.ok(f"{name} answers within {took * 1e3:.1f} ms, and is migrated")


def _has_file(connection: Any) -> bool:
    # To connect would make it, and a check leaves nothing behind.
    return connection.is_in_memory_db() or Path(connection.settings_dict["NAME"]).exists()


def _connections(options: Any) -> Finding | None:
    from ddpcore_pg.checking import CONNECTIONS, room
    from ddpcore_pg.plugin import is_dsn

    site = options.site_threads if conf().site == "wsgi" else 0
    each = conf().threads + site + (CONNECTIONS if is_dsn(options.bus or "") else 0)
    number = "process takes" if options.workers == 1 else "processes take"
    connection = connections[DEFAULT_DB_ALIAS]
    try:
        with connection.cursor() as cursor:
            return room(cursor, options.workers * each, f"{options.workers} {number}")
    except Error:
        return None  # which is told above
    finally:
        connection.close()


def _triggers() -> Iterator[Finding]:
    from ddpcore_pg.triggers import installed

    connection = connections[DEFAULT_DB_ALIAS]
    try:
        statuses = triggers.statuses()
        with connection.cursor() as cursor:
            there = installed(cursor)
    except Error:
        return  # which is told above
    finally:
        connection.close()
    wanted = {topic_of(model) for model in statuses}
    # Other projects may share the database.
    ours = {topic_of(model) for model in apps.get_models(include_auto_created=True)}
    left = sorted({each.topic for each in there if each.topic in ours - wanted})
    findings = [*_wrong(statuses), *_left_over(left)]
    yield from findings
    if not findings and statuses:
        yield Finding.ok(f"installed and current on {len(statuses)} tables")


def _wrong(statuses: Any) -> Iterator[Finding]:
    install = "Run manage.py ddp_triggers install, or manage.py migrate."
    for model, each in statuses.items():
        label = model._meta.label
        if each.state == "absent":
            # A table that is yet to be migrated is told of above; of others we know nothing.
            continue
        if each.state == "missing":
            yield Finding.error(f"Changes of {label} are lost: {each.reason}", install)
        elif each.state == "impossible":
            yield Finding.error(
                f"{label} cannot be captured by triggers: {each.reason}",
                'Write capture = "signals" into its collection.',
            )
        elif each.state == "stale":
            yield Finding.warning(f"The triggers of {label} are stale: {each.reason}", install)


def _left_over(topics: Sequence[str]) -> Iterator[Finding]:
    if topics:
        yield Finding.warning(
            f"Triggers are left over that nobody listens to: {', '.join(topics)}. Each write there "
            "pays for them, and where signals announce it, too, it is announced twice.",
            "Run manage.py migrate, which removes them.",
        )


# --- the bus ------------------------------------------------------------------------------------


def _told(options: Any) -> Finding | None:
    """Whether the project's other programs tell the bus of what they commit."""
    from ddpcore_pg.plugin import is_dsn

    bus, chosen = options.bus, conf().bus
    if bus is None or is_dsn(bus):
        return None
    if bus == "memory:":
        if connections[DEFAULT_DB_ALIAS].vendor != "postgresql":
            return None
        return Finding.warning(
            "The bus is memory: and the database PostgreSQL: what other processes write, such as "
            "manage.py, is not seen.",
            "Leave --bus and DDPCORE['BUS'] out: NOTIFY is there.",
        )
    if publisher_of(chosen) is None:
        return Finding.warning(
            "Nobody but servers tells this bus of changes.",
            "Name it in DDPCORE['BUS'], so that manage.py and all other programs do, too.",
        )
    return None
