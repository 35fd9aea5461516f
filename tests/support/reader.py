"""A reader who follows a page of the documentation from its beginning to its end.

Files are made as they are shown, and commands are typed in the order of the page; what they print
must be what the page says. There, ``...`` is whatever differs from run to run: within a line any
text, on a line of its own any lines. A command that stays, such as a server, has what it prints at
first below it, and goes on in a terminal of its own.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from pages import ROOT, Block, blocks, write

PATIENCE = 30.0
SERVE = re.compile(r"(\w+=\S+ )*(\S*/)?ddpcore( --\S+( \w+)?)* serve\b[^|]*$")
PROGRAM = f"#!{sys.executable}\nimport sys\nfrom ddpcore.cli import main\n\nsys.exit(main())\n"


def pattern(shown: str) -> re.Pattern[str]:
    """What matches the output that a page shows."""
    lines = [
        r"(?:.*\n)*?" if line == "...\n" else re.escape(line).replace(r"\.\.\.", ".*?")
        for line in shown.splitlines(keepends=True)
    ]
    return re.compile("".join(lines))


def bookstore(directory: Path) -> Path:
    """A copy of the example as it is cloned, in a directory of that name."""
    waste = shutil.ignore_patterns("__pycache__", "*.sqlite3*")
    return Path(
        shutil.copytree(ROOT / "examples" / "bookstore", directory / "bookstore", ignore=waste)
    )


class Terminal:
    """A command that goes on, and what it has printed."""

    def __init__(self, command: str, directory: Path, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=directory, env=env, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.text = ""
        self._news = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.text += line
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def until(self, true: Callable[[str], object]) -> bool:
        """Wait until that is so of its text; False if it ends before."""
        with self._news:
            self._news.wait_for(lambda: true(self.text) or self._ended, PATIENCE)
            return bool(true(self.text))

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Have it end, if it runs, and wait until it has; its exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, how)  # bash may be between
        try:
            return self.process.wait(PATIENCE)
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self._thread.join(PATIENCE)
            assert self.process.stdout is not None
            self.process.stdout.close()


class Reader:
    """Somebody with a directory, in which nothing is but what the page puts there.

    Args:
        directory: Where the page begins.
        instead: Texts of the page, such as its ports, and what stands for them here. They are
            replaced in commands and files, and in what is printed they are put back.
        stays: How commands begin that do not end, beside `ddpcore serve`, and what some command
            that goes on must have said before the next one is typed.
        env: Further variables of the environment.
    """

    def __init__(
        self,
        directory: Path,
        instead: Mapping[str, object] | None = None,
        *,
        stays: Mapping[str, str] | None = None,
        **env: str,
    ) -> None:
        self.directory = directory
        self.instead = {old: str(new) for old, new in (instead or {}).items()}
        self.terminals: list[Terminal] = []
        self._stays = stays or {}
        programs = directory.parent / f"{directory.name}-bin"
        programs.mkdir()
        (programs / "ddpcore").write_text(PROGRAM)
        (programs / "ddpcore").chmod(0o755)
        kept = {name: text for name, text in os.environ.items() if not name.startswith(UNKNOWN)}
        self.env = kept | {
            # Then the directory of the interpreter, with `python` and what is installed there.
            "PATH": os.pathsep.join(
                [str(programs), str(Path(sys.executable).parent), kept["PATH"], "/usr/sbin"]
            ),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "NO_COLOR": "1",
        } | env  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in reversed(self.terminals):
            each.end()

    def read(
        self,
        page: str,
        other: Callable[[Block], object] | None = None,
        leave: Callable[[Block], object] = lambda _: False,
    ) -> None:
        """Follow a page.

        Args:
            page: Its path below docs/.
            other: What is done with blocks that are neither files nor commands; by default there
                may be none.
            leave: Which blocks another test is about.
        """
        for block in blocks(page):
            if leave(block):
                continue
            if block.path and block.language != "console":
                self.make(block)
            elif block.language == "console":
                self.follow(block)
            else:
                assert other is not None, f"{block}: neither a file nor commands"
                other(block)

    def make(self, block: Block) -> None:
        """Make the file that a block is."""
        assert block.path
        write({block.path: self.here(block.body)}, self.directory)

    def follow(self, block: Block) -> None:
        """Type the commands of a block, and compare."""
        assert block.commands, f"{block}: no command"
        for command, shown in block.commands:
            while command.endswith("\\"):  # it goes on in the next line
                more, _, shown = shown.partition("\n")
                command = f"{command[:-1].rstrip()} {more.lstrip()}"
            where = f"{block}: {command}"
            if command.startswith("export "):
                words = shlex.split(self.here(command))[1:]
                self.env.update(each.split("=", 1) for each in words)
                assert not shown
                continue
            if command.startswith("cd "):
                self.directory = self.directory / command.removeprefix("cd ")
                continue
            if SERVE.match(command) and "--bind" not in command:
                command += " --bind 127.0.0.1:8000"  # its default, to be replaced
            if self._goes_on(command, shown):
                terminal = Terminal(self.here(command), self.directory, self.env)
                self.terminals.append(terminal)
                fits = pattern(shown).match
                if not terminal.until(lambda text, fits=fits: fits(self.there(text))):
                    said = self.there(terminal.text)
                    assert said == shown, f"{where}\n{said}"
                self._hears_of(command)
            else:
                said = self.type(command)
                if not pattern(shown).fullmatch(said):
                    assert said == shown, f"{where}\n{said}"

    def _hears_of(self, command: str) -> None:
        for beginning, sign in self._stays.items():
            if command.startswith(beginning) and sign:
                assert any(each.until(lambda text: sign in text) for each in self.terminals), sign

    def hears(self, block: Block) -> None:
        """Wait until one of the commands that go on has printed what a block shows."""
        fits = pattern(block.text).search
        for each in self.terminals:
            if fits(self.there(each.text)):
                return
        latest = self.terminals[-1]
        if not latest.until(lambda text: fits(self.there(text))):
            said = self.there(latest.text)
            assert said == block.text, f"{block}\n{said}"

    def type(self, command: str) -> str:
        """Run a command to its end; what it prints, as the page would say it."""
        done = subprocess.run(
            ["bash", "-c", self.here(command)],
            cwd=self.directory, env=self.env, text=True, timeout=10 * PATIENCE, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said = self.there(done.stdout)
        return f"{said}\n" if said and not said.endswith("\n") else said

    def here(self, text: str) -> str:
        """What the page says, with what stands for it here."""
        for old, new in self.instead.items():
            text = text.replace(old, new)
        return text

    def there(self, text: str) -> str:
        """What is said here, as the page says it."""
        for old, new in self.instead.items():
            text = text.replace(new, old)
        return text

    def _goes_on(self, command: str, shown: str) -> bool:
        if SERVE.match(command):
            return re.search(r"^Serving ", shown, re.MULTILINE) is not None
        return command.startswith(tuple(self._stays))


# What would make a difference, and is no reader's.
UNKNOWN = (
    "PYTHON",
    "PYTEST_",
    "VIRTUAL_ENV",
    "COV_",
    "COVERAGE_",
    "DJANGO_",
    "DDPCORE_",
    "BOOKSTORE_",
)
