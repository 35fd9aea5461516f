"""What every test shares: async tests, watched logs, and a PostgreSQL server when asked for.

Async tests are plain `async def test_…` functions: each runs in an event loop of its own.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import re
import secrets
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import hypothesis
import pytest

if TYPE_CHECKING:
    from ddpcore_pg.cluster import Cluster

ASYNC_TIMEOUT = 100.0  # seconds: more than any wait within; a mark `timeout` may say more
# As long for those of `tornado.testing`, also in processes of their own; Tornado gives them five.
os.environ.setdefault("ASYNC_TEST_TIMEOUT", "60")

# What a script starts by `&` ignores Ctrl-C, and so would all processes of the tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Speed is measured in bench/. In CI the same examples come each time: chance finds bugs at the
# developers' machines, where there is somebody to look at them.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function to its end, in a fresh event loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    mark = pyfuncitem.get_closest_marker("timeout")
    limit = mark.args[0] if mark else ASYNC_TIMEOUT
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    async def run() -> None:
        async with asyncio.timeout(limit):
            await pyfuncitem.obj(**arguments)

    asyncio.run(run())
    gc.collect(1)  # "exception was never retrieved" is logged by a destructor
    return True


# --- logs: a warning nobody expected fails the test -------------------------------------------


class LogWatch(logging.Handler):
    """Sorts the records of WARNING and above into the announced and the unexpected."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.unexpected: list[str] = []
        self._announced: list[tuple[str, re.Pattern[str]]] = []
        self._missing: list[tuple[str, re.Pattern[str]]] = []

    def expect(self, logger: str, regex: str, *, required: bool = True) -> None:
        """Allow records of `logger` (or below it) that match; at least one must come."""
        announced = (logger, re.compile(regex, re.DOTALL))
        self._announced.append(announced)
        if required:
            self._missing.append(announced)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        for announced in self._announced:
            logger, regex = announced
            if f"{record.name}.".startswith(f"{logger}.") and regex.search(text):
                if announced in self._missing:
                    self._missing.remove(announced)
                return
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        self.unexpected.append(f"{record.levelname} {record.name}: {text}")

    @property
    def missing(self) -> list[str]:
        return [f"{logger}: {regex.pattern}" for logger, regex in self._missing]


@pytest.fixture(autouse=True)
def log_watch() -> Iterator[LogWatch]:
    watch = LogWatch()
    root = logging.getLogger()
    root.addHandler(watch)
    yield watch
    root.removeHandler(watch)
    if watch.unexpected:
        pytest.fail("Unexpected log records:\n" + "\n".join(watch.unexpected), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test that went well must have logged all it announced."""
    yield  # raises what the test raised, a skip included
    watch = getattr(item, "funcargs", {}).get("log_watch")
    if watch is not None and watch.missing:
        pytest.fail("Expected log records never came:\n" + "\n".join(watch.missing), pytrace=False)


@pytest.fixture
def expect_log(log_watch: LogWatch) -> Callable[..., None]:
    """`expect_log("ddpcore_pg", r"lost")`: this test logs such warnings, and must."""
    return log_watch.expect


# --- PostgreSQL -------------------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever uses the server is marked `pg`, so that `-m "not pg"` needs none."""
    for item in items:
        if "pg_cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.pg)


class ExternalCluster:
    """The server of DDPCORE_TEST_DSN, behind the face of `ddpcore_pg.cluster.Cluster`.

    We may make databases there, but not stop it.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def dsn(self, dbname: str | None = None) -> str:
        from psycopg2.extensions import parse_dsn

        # A URL whatever was given, so that tests see one form.
        parts = parse_dsn(self._dsn) | ({"dbname": dbname} if dbname else {})
        name = quote(parts.pop("dbname", ""), safe="")
        options = "&".join(f"{key}={quote(text, safe='')}" for key, text in parts.items())
        return f"postgresql:///{name}?{options}"

    def createdb(self, name: str) -> str:
        self.execute(f'CREATE DATABASE "{name}"')
        return self.dsn(name)

    def dropdb(self, name: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: Any, dbname: str | None = None) -> list[Any]:
        import psycopg2

        connection = psycopg2.connect(self.dsn(dbname))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def start(self) -> None:
        """It runs already, and is not ours to start."""

    def halt(self, **_: Any) -> None:
        pytest.skip("DDPCORE_TEST_DSN is set: a server that is not ours is not stopped")

    restart = halt


@pytest.fixture(scope="session")
def pg_cluster() -> Iterator[Cluster | ExternalCluster]:
    """A PostgreSQL server: that of DDPCORE_TEST_DSN, else a throw-away one."""
    if dsn := os.environ.get("DDPCORE_TEST_DSN"):
        yield ExternalCluster(dsn)
        return
    from ddpcore_pg.cluster import Cluster

    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def pg_dsn(pg_cluster: Cluster | ExternalCluster) -> Iterator[str]:
    """The DSN of a database that is fresh, and gone after the test."""
    name = f"ddpcore_{secrets.token_hex(6)}"
    yield pg_cluster.createdb(name)
    pg_cluster.start()
    pg_cluster.dropdb(name)
