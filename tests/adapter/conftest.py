"""A Django project on real databases, served by real processes and written to by others."""

from __future__ import annotations

import base64
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

SITE = Path(__file__).parent / "site"
PATIENCE = 30.0


class Process:
    """A child process whose standard output is read line by line."""

    def __init__(self, *command: str, env: dict[str, str], **options) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env=env,
            cwd=SITE,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )
        # Pipes must be drained, or a talkative child would stop.
        self.errors: deque[str] = deque(maxlen=200)
        self._drain = threading.Thread(target=self.errors.extend, args=(self.process.stderr,))
        self._drain.start()

    def line(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            self._drain.join(PATIENCE)
            raise AssertionError("The process ended:\n" + "".join(self.errors))
        return line

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.process.wait()
            self.process.stdout.close()
            self._drain.join(PATIENCE)
            self.process.stderr.close()
        return code


class ServerProcess(Process):
    """`ddpcore serve` on a free port."""

    def __init__(self, env: dict[str, str], *arguments: str) -> None:
        super().__init__(
            "-m", "ddpcore", "serve", "--settings", "testsite.settings",
            "--bind", "127.0.0.1:0", *arguments, env=env,
        )  # fmt: skip
        self.address = re.search(r"http://([^/]+)/", self.line())[1]
        self.banner = self.line()


SHELL = """
import base64, sys, django
django.setup()
from django.db import connection, transaction
from testsite.models import *
scope = globals()
for line in sys.stdin:
    exec(base64.b64decode(line).decode(), scope)
    print("done", flush=True)
"""


class Shell(Process):
    """A Django process that is no server: it runs what it is told, as `manage.py shell` would."""

    def __init__(self, env: dict[str, str]) -> None:
        super().__init__("-c", SHELL, env=env, stdin=subprocess.PIPE)

    def start(self, code: str) -> None:
        self.process.stdin.write(base64.b64encode(code.encode()).decode() + "\n")
        self.process.stdin.flush()

    def finished(self) -> None:
        assert self.line() == "done\n"

    def __call__(self, code: str) -> None:
        self.start(code)
        self.finished()

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.stdin.close()
        return super().end(how)


class Project:
    """The test site on one database."""

    def __init__(self, database: str) -> None:
        path = os.pathsep.join([str(SITE), str(SITE.parent.parent.parent)])
        self.env = os.environ | {
            "TEST_DATABASE": database,
            "DJANGO_SETTINGS_MODULE": "testsite.settings",
            "PYTHONPATH": path,
        }
        self.database = database
        self._running: list[Process] = []

    def migrate(self) -> None:
        self.manage("migrate", "--run-syncdb", "--verbosity=0")

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.env,
            cwd=SITE,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def serve(self, *arguments: str) -> ServerProcess:
        server = ServerProcess(self.env, *arguments)
        self._running.append(server)
        return server

    def shell(self) -> Shell:
        shell = Shell(self.env)
        self._running.append(shell)
        return shell

    def end(self) -> None:
        for process in self._running:
            if process.process.poll() is None or not process.process.stdout.closed:
                process.end(signal.SIGKILL)


@pytest.fixture(scope="session")
def pg_template(pg_cluster) -> Iterator[str]:
    """A database with the tables of the test site, to be copied."""
    name = f"ddpcore_{secrets.token_hex(6)}"
    Project(pg_cluster.createdb(name)).migrate()
    yield name
    pg_cluster.dropdb(name)


@pytest.fixture
def pg_database(pg_cluster, pg_template) -> Iterator[str]:
    name = f"ddpcore_{secrets.token_hex(6)}"
    pg_cluster.execute(f'CREATE DATABASE "{name}" TEMPLATE "{pg_template}"')
    yield pg_cluster.dsn(name)
    pg_cluster.start()
    pg_cluster.dropdb(name)


@pytest.fixture
def project(pg_database) -> Iterator[Project]:
    """The test site on a PostgreSQL database of its own."""
    project = Project(pg_database)
    yield project
    project.end()


@pytest.fixture
def sqlite_project(tmp_path) -> Iterator[Project]:
    """The test site on SQLite."""
    project = Project(str(tmp_path / "site.sqlite3"))
    project.migrate()
    yield project
    project.end()
