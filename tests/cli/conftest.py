"""`ddpcore` as people run it: processes, their output, and how they end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PATIENCE = 60.0  # seconds
ROOT = Path(__file__).parent.parent.parent
BOOKSTORE = ROOT / "examples" / "bookstore"

SERVER = """
import asyncio, logging, sys, time
from ddpcore import Server

server = Server()
number = 5

@server.method
async def echo(ctx, *params):
    return list(params)

@server.method
async def slow(ctx):
    ctx.unblock()
    print("working", flush=True)
    await asyncio.sleep(0.3)
    return "done"

@server.method
def stuck(ctx):
    print("stuck", flush=True)
    time.sleep(600)
"""


class Process:
    """A running command. Both pipes are drained, or a talkative one would stop."""

    def __init__(self, arguments: list[str], **options) -> None:
        self.process = subprocess.Popen(
            arguments, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
        )
        self._errors: list[str] = []
        self._news = threading.Condition()
        self._drain = threading.Thread(target=self._keep_errors)
        self._drain.start()

    def _keep_errors(self) -> None:
        for line in self.process.stderr:
            with self._news:
                self._errors.append(line)
                self._news.notify_all()

    def until(self, true: Callable[[list[str]], object]) -> None:
        """Wait until the lines of standard error are as wanted."""
        with self._news:
            came = self._news.wait_for(lambda: true(self._errors), PATIENCE)
            assert came, "".join(self._errors)

    def line(self) -> str:
        line = self.process.stdout.readline()
        assert line, f"It ended: {self.end()}"
        return line

    def address(self) -> str:
        """The address in the next line that has one."""
        while not (found := re.search(r"https?://([^/]+)/", self.line())):
            pass
        return found[1]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, how: signal.Signals | None = None) -> tuple[int, str, str]:
        """Its exit code, the rest of its output, and all its errors."""
        if how is not None:
            self.signal(how)
        try:
            code = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self._drain.join(PATIENCE)
        with self.process.stdout, self.process.stderr:
            return code, self.process.stdout.read(), "".join(self._errors)

    def kill(self) -> None:
        if not self.process.stdout.closed:
            self.process.kill()
            self.end()


class Shell:
    """Runs commands in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self._running: list[Process] = []

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(self, *arguments: str, **env: str) -> Process:
        """Start ``ddpcore …``, or ``manage.py …``."""
        command = (
            [arguments[0]] if arguments[0].endswith(".py") else ["-m", "ddpcore", arguments[0]]
        )
        environ = {name: text for name, text in os.environ.items() if "DJANGO" not in name}
        environ |= {"TMPDIR": str(self.temporary), "PYTHONDONTWRITEBYTECODE": "1"} | env
        process = Process(
            [sys.executable, *command, *arguments[1:]], cwd=self.directory, env=environ
        )
        self._running.append(process)
        return process

    def run(self, *arguments: str, **env: str) -> tuple[int, str, str]:
        """Run a command that ends by itself."""
        return self.start(*arguments, **env).end()

    def serve(self, *arguments: str, **env: str) -> Process:
        return self.start("serve", "--bind", "127.0.0.1:0", *arguments, **env)

    def kill(self) -> None:
        for process in self._running:
            process.kill()


@pytest.fixture
def shell(tmp_path) -> Iterator[Shell]:
    """A shell where ``shop.server:server`` can be served."""
    shell = Shell(tmp_path)
    shell.write("shop/__init__.py", "")
    shell.write("shop/server.py", SERVER)
    yield shell
    shell.kill()


@pytest.fixture
def bookstore(shell) -> Shell:
    """A shell in which the example can be imported."""
    database = str(shell.directory / "bookstore.sqlite3")
    start = shell.start
    shell.start = lambda *arguments, **env: start(
        *arguments, **({"PYTHONPATH": f"{BOOKSTORE}:{ROOT}", "BOOKSTORE_DB": database} | env)
    )
    return shell
