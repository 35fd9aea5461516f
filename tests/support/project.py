"""Django projects of the tests, served by real processes and written to by others."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parent.parent
PATIENCE = 60.0


class Process:
    """A child process whose standard output is read line by line."""

    def __init__(self, *command: str, site: Path, env: dict[str, str], **options) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env=env,
            cwd=site,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )
        # Pipes must be drained, or a talkative child would stop.
        self.errors: deque[str] = deque(maxlen=200)
        self._news = threading.Condition()
        self._drain = threading.Thread(target=self._keep_errors)
        self._drain.start()

    def _keep_errors(self) -> None:
        for line in self.process.stderr:
            with self._news:
                self.errors.append(line)
                self._news.notify_all()

    async def logs(self, text: str) -> None:
        """Wait until a line of standard error has this text: it comes by a pipe of its own."""

        def wait() -> bool:
            with self._news:
                return self._news.wait_for(
                    lambda: any(text in line for line in self.errors), PATIENCE
                )

        assert await asyncio.to_thread(wait), "".join(self.errors)

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

    def __init__(self, site: Path, env: dict[str, str], *arguments: str) -> None:
        super().__init__(
            "-m", "ddpcore", "serve", "--settings", env["DJANGO_SETTINGS_MODULE"],
            "--bind", "127.0.0.1:0", *arguments, site=site, env=env,
        )  # fmt: skip
        self.address = re.search(r"https?://([^/]+)/", self.line())[1]
        self.banner = self.line()


SHELL = """
import base64, sys, django, django.apps
django.setup()
from django.db import connection, transaction
for app in django.apps.apps.get_app_configs():
    if not app.name.startswith("django") and app.models_module:
        exec(f"from {app.models_module.__name__} import *")
scope = globals()
for line in sys.stdin:
    exec(base64.b64decode(line).decode(), scope)
    print("done", flush=True)
"""


class Shell(Process):
    """A Django process that is no server: it runs what it is told, as `manage.py shell` would."""

    def __init__(self, site: Path, env: dict[str, str]) -> None:
        super().__init__("-c", SHELL, site=site, env=env, stdin=subprocess.PIPE)

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
    """A project on one database.

    Args:
        site: The directory with its manage.py.
        settings: Its settings module, which takes the database from TEST_DATABASE.
        database: The DSN of a PostgreSQL database, or the path of an SQLite file.
        env: Further environment variables.
    """

    def __init__(self, site: Path, settings: str, database: str, **env: str) -> None:
        self.site = site
        self.env = (
            os.environ
            | env
            | {
                "TEST_DATABASE": database,
                "DJANGO_SETTINGS_MODULE": settings,
                "PYTHONPATH": os.pathsep.join([str(site), str(SUPPORT), str(ROOT)]),
            }
        )
        self.database = database
        self._running: list[Process] = []

    def migrate(self) -> None:
        self.manage("migrate", "--run-syncdb", "--verbosity=0")

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.env,
            cwd=self.site,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def serve(self, *arguments: str) -> ServerProcess:
        server = ServerProcess(self.site, self.env, *arguments)
        self._running.append(server)
        return server

    def shell(self) -> Shell:
        shell = Shell(self.site, self.env)
        self._running.append(shell)
        return shell

    def end(self) -> None:
        for process in self._running:
            if process.process.poll() is None or not process.process.stdout.closed:
                process.end(signal.SIGKILL)
