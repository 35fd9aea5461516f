"""Somebody who follows a page from its top to its end: writes its files, types its commands.

What a command prints must be what the page shows, where ``…`` stands for anything within a line.
Commands run in a shell, in the directory of the project. A few go on running, as they would in a
terminal of their own: servers, until the page starts the next one, and a `ddpcore sub` with neither
``--ready`` nor ``--count``, of which all lines that are shown must have come by then, and no other.

The page's ports, 8000 and 9000, are free ones here.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pages import ROOT, Block, reading

EXAMPLE = ROOT / "examples" / "bookstore"
PATIENCE = 30.0  # seconds

__all__ = ["EXAMPLE", "Follower", "bookstore"]

SERVERS = re.compile(r"ddpcore serve|manage\.py ddp\b|http\.server")
BEGUN = re.compile(r'^\{"msg":"ready"\}$|Ctrl-C stops\.|^Serving HTTP')
READY = '{"msg":"ready"}'


def bookstore(directory: Path) -> Path:
    """A copy of the example, with its authors and books."""
    project = directory / "bookstore"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
    return project


class Follower:
    """Follows pages in the directory of a project.

    Args:
        project: The directory.
        replaced: What the page shows, and what is meant here: the address of a database, say.
        env: Further variables of the environment.
    """

    def __init__(
        self, project: Path, replaced: Mapping[str, str] | None = None, **env: str
    ) -> None:
        self.project = project
        self.replaced = replaced or {}
        self.ports = {shown: _free_port() for shown in ("8000", "9000")}
        self.env = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith("BOOKSTORE_") and name != "DJANGO_SETTINGS_MODULE"
        }
        self.env |= env
        self.env["PATH"] = os.pathsep.join([str(_programs(project.parent)), self.env["PATH"]])
        self.env["PYTHONPATH"] = str(ROOT)
        self.env["PYTHONUNBUFFERED"] = "1"
        self._standing: list[_Standing] = []

    def follow(
        self,
        name: str,
        *languages: str,
        others: Mapping[str, Callable[[Block], None]] | None = None,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Do what a page says.

        Args:
            name: The page, below docs/.
            languages: Those of the blocks that are followed; all, if none is named.
            others: What to do with blocks of other languages that are no files.
            at_end: Called in the end, while the last server still runs.
        """
        with reading(name, *languages) as page:
            try:
                for block in page.take():
                    self._do(block, others or {})
                at_end()
                self._end()
            finally:
                for each in self._standing:
                    each.end()

    def url(self, scheme: str = "http") -> str:
        """That of the server."""
        return f"{scheme}://127.0.0.1:{self.ports['8000']}"

    def printed(self) -> str:
        """What the commands that still run have printed."""
        return "\n".join(line for each in self._standing for line in each.lines)

    def errors(self) -> str:
        """What they have written to standard error."""
        return "".join(each.errors() for each in self._standing)

    def run(self, command: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            ["bash", "-c", self._here(command)],
            cwd=self.project,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=2 * PATIENCE,
        )
        return self._there(done.stdout)

    def start(self, command: str, shown: Sequence[str] = (), block: Block | None = None) -> None:
        """Leave a command running, until the next server is started or the page ends.

        Args:
            command: The command; a server gets its ``--bind``.
            shown: The lines that it is to print.
            block: Where it stands.
        """
        is_server = SERVERS.search(command) is not None
        if is_server and "http.server" not in command:
            self._end(all_of_it=False)
            command += f" --bind 127.0.0.1:{self.ports['8000']}"
        standing = _Standing(self, f"{block}: $ {command}", command, shown, is_server)
        self._standing.append(standing)
        standing.wait_begun()

    def _do(self, block: Block, others: Mapping[str, Callable[[Block], None]]) -> None:
        if block.language == "console":
            assert block.commands, block
            for command, output in block.commands:
                self._type(block, command, output)
        elif block.path:
            file = self.project / block.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self._here(block.body))
        elif block.end_of:
            with (self.project / block.end_of).open("a") as file:
                file.write("\n\n" + self._here(block.body))
        else:
            others[block.language](block)

    def _type(self, block: Block, command: str, shown: str) -> None:
        is_server = SERVERS.search(command)
        is_sub = "ddpcore sub " in command and not re.search(r"--(ready|count)\b", command)
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.env[name] = " ".join(shlex.split(self._here(value)))
        elif is_server or is_sub:
            self.start(command, shown.rstrip("\n").split("\n"), block)
        else:
            printed = self.run(command)
            assert _like(shown, printed), f"{block}: $ {command}\n{printed}"

    def _end(self, *, all_of_it: bool = True) -> None:
        ending = [each for each in self._standing if all_of_it or not each.is_aside]
        for each in ending:
            each.wait_all()
        for each in reversed(ending):
            self._standing.remove(each)
            each.end(check=True)

    def _here(self, text: str) -> str:
        for shown, meant in self.replaced.items():
            text = text.replace(shown, meant)
        return re.sub(r"\b(8000|9000)\b", lambda found: str(self.ports[found[1]]), text)

    def _there(self, text: str) -> str:
        for shown, port in self.ports.items():
            text = re.sub(rf"\b{port}\b", shown, text)
        return text


class _Standing:
    """A command that goes on running."""

    def __init__(
        self, by: Follower, what: str, command: str, shown: Sequence[str], is_server: bool
    ) -> None:
        self._by = by
        self._what = what
        self._shown = shown
        self.is_aside = "http.server" in command  # it stays though the server is started anew
        self._is_server = is_server
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._over = False
        self._errors = tempfile.NamedTemporaryFile("w", dir=by.project.parent)  # noqa: SIM115  (till `end`)
        self._process = subprocess.Popen(
            ["bash", "-c", by._here(command)],
            cwd=by.project,
            env=by.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append(self._by._there(line.rstrip("\n")))
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def _wait(self, begun: Callable[[], bool]) -> None:
        with self._news:
            done = self._news.wait_for(lambda: begun() or self._over, PATIENCE)
            assert done and begun(), self._story()

    def errors(self) -> str:
        return Path(self._errors.name).read_text()

    def _story(self) -> str:
        return "\n".join([self._what, *self.lines, self.errors()])

    def wait_begun(self) -> None:
        self._wait(lambda: any(BEGUN.search(line) for line in self.lines))

    def wait_all(self) -> None:
        self._wait(lambda: len(self.lines) >= len(self._shown))

    def end(self, *, check: bool = False) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM if self._is_server else signal.SIGINT)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            raise
        finally:
            self._reader.join(PATIENCE)
            assert self._process.stdout is not None
            self._process.stdout.close()
            story = self._story()
            self._errors.close()
        if check:
            came = self.lines[: len(self._shown)] if self._is_server else self.lines
            assert _like(_settled(self._shown), _settled(came)), story
            assert not re.search(r"WARNING|ERROR|Traceback", story), story


def _settled(lines: Sequence[str]) -> str:
    # What changes at once in several collections is told in any order.
    begun = lines.index(READY) if READY in lines else len(lines)
    return "\n".join([*lines[:begun], *sorted(lines[begun:])])


def _like(shown: str, printed: str) -> bool:
    pattern = ".*?".join(map(re.escape, shown.strip("\n").split("…")))
    return re.fullmatch(pattern, printed.strip("\n")) is not None


def _programs(directory: Path) -> Path:
    # By these names on any machine, also where ddpcore is not installed.
    programs = directory / "bin"
    programs.mkdir(exist_ok=True)
    for name, words in (("python", ""), ("ddpcore", " -m ddpcore")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        program.chmod(0o755)
    return programs


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
