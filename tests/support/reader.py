"""A reader who follows a page of the documentation from its beginning to its end.

Files are made as they are shown, or added to, and commands are typed in the order of the page. What
they print must be what the page says. There, ``…`` and ``...`` stand for any text within a line,
and a line of nothing but ``...`` for any lines.

A command that stays, such as a server, goes on in a terminal of its own, until the page starts
another one at the same port, or ends. What the page has below it may come until then. A block of
``text`` is what one of these commands has printed since. In the end a server must have ended well
and complained of nothing, and a subscription must have been told what
the page shows, no more and no less. What changes at once in several collections is told in any
order.

The ports 8000 to 8002 and 9000 to 9002 are free ones here::

    with Reader(bookstore(tmp_path)) as reader:
        reader.read("how-to/publications.md")
        ...  # the last servers still run
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

from deploying import free_port
from pages import ROOT, Block, reading

__all__ = ["PATIENCE", "Reader", "Terminal", "bookstore"]

PATIENCE = 30.0  # seconds
PORTS = ("8000", "8001", "8002", "9000", "9001", "9002")

SERVE = re.compile(r"(\w+=\S+ )*(\S*/)?ddpcore( --\S+( \w+)?)* serve\b[^|]*$")
SUBSCRIBE = re.compile(r"\bddpcore sub (?!.*--(ready|count)\b)")
# Then others may be typed: the last of these that the page shows.
BEGUN = re.compile(r'^(\{"msg":"ready"\}|.*Ctrl-C stops\.|Serving HTTP .*)\n', re.MULTILINE)
READY = '{"msg":"ready"}'
# Not what clients have done wrong, which is in the log of events.
COMPLAINT = re.compile(r"(WARNING|ERROR|CRITICAL)(?! ddpcore\.events:)|Traceback")

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


# Nobody is after the passwords of the pages, and a good hash takes half a second.
SETTINGS = """
from django.contrib.auth.hashers import PBKDF2PasswordHasher
PBKDF2PasswordHasher.iterations = 1000
"""


def bookstore(directory: Path) -> Path:
    """A copy of the example as it is cloned, in a directory of that name; its hashes are cheap."""
    place = directory / "bookstore"
    waste = shutil.ignore_patterns("__pycache__", "*.sqlite3*")
    shutil.copytree(ROOT / "examples" / "bookstore", place, ignore=waste)
    with (place / "mysite" / "settings.py").open("a") as settings:
        settings.write(SETTINGS)
    return place


def pattern(shown: str) -> re.Pattern[str]:
    """What matches the output that a page shows."""
    lines = [
        r"(?:.*\n)*?" if line == "...\n" else re.sub(r"\\\.\\\.\\\.|…", ".*?", re.escape(line))
        for line in shown.splitlines(keepends=True)
    ]
    return re.compile("".join(lines))


def settled(text: str) -> str:
    """Lines after the first `ready` in an order that is always the same."""
    begun, ready, rest = text.partition(f"{READY}\n")
    return begun + ready + "".join(sorted(rest.splitlines(keepends=True)))


class Terminal:
    """A command that goes on, and what it prints.

    Args:
        command: The command, as the page says it.
        shown: What the page says that it prints.
        reader: Who has typed it.
        where: The place in the page.
    """

    def __init__(self, command: str, shown: str, reader: Reader, where: str) -> None:
        self.command = command
        self.shown = shown
        self.is_subscription = SUBSCRIBE.search(command) is not None
        self._where = where
        self._reader = reader
        self._said = ""
        self._news = reader.news
        self.ended = False
        self.process = subprocess.Popen(
            ["bash", "-c", reader.here(command)],
            cwd=reader.directory, env=reader.env, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    @property
    def text(self) -> str:
        """What it has printed, as the page would say it."""
        return self._reader.there(self._said)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self._said += line
                self._news.notify_all()
        with self._news:
            self.ended = True
            self._news.notify_all()

    def until(self, true: Callable[[str], object]) -> bool:
        """Wait until that is so of its text; False if it ends before."""
        with self._news:
            self._news.wait_for(lambda: true(self.text) or self.ended, PATIENCE)
            return bool(true(self.text))

    def begin(self) -> None:
        """Wait until it has printed enough to go on with the page."""
        marks = list(BEGUN.finditer(self.shown))
        fits = pattern(self.shown[: marks[-1].end()] if marks else self.shown).match
        assert self.until(fits), self.story()

    def hears(self, shown: str) -> bool:
        """Whether it has printed what a page shows later."""
        if not pattern(shown).search(self.text):
            return False
        if self.is_subscription:
            self.shown += shown
        return True

    def story(self) -> str:
        return f"{self._where}: $ {self.command}\n{self.text}"

    def end(self) -> int:
        """Have it end, if it runs, and wait until it has; its exit code."""
        if self.process.poll() is None:  # with what bash may have started
            how = signal.SIGINT if self.is_subscription else signal.SIGTERM
            os.killpg(self.process.pid, how)
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

    def end_well(self) -> None:
        """Wait for the rest of what the page shows, have it end, and see that all was well."""
        wanted = pattern(settled(self.shown))
        assert self.until(lambda text: wanted.match(settled(text))), self.story()
        code = self.end()
        if self.is_subscription:
            assert wanted.fullmatch(settled(self.text)), self.story()
        elif SERVE.match(self.command):
            assert code == 0, self.story()
        assert not COMPLAINT.search(self.text), self.story()


class Reader:
    """Somebody with a directory, in which nothing is but what the page puts there.

    Args:
        directory: Where the page begins.
        instead: Texts of the page, such as a database's URL, and what stands for them here. They
            are replaced in commands and files, and in what is printed they are put back.
        stays: How commands begin that do not end, beside servers and subscriptions, and what some
            command that goes on must have said before the next one is typed.
        heard: The same of commands that end, such as one that writes: of two changes that come
            together a subscription is told of the outcome only.
        env: Further variables of the environment.
    """

    def __init__(
        self,
        directory: Path,
        instead: Mapping[str, object] | None = None,
        *,
        stays: Mapping[str, str] | None = None,
        heard: Mapping[str, str] | None = None,
        **env: str,
    ) -> None:
        self.directory = directory
        self.instead = {old: str(new) for old, new in (instead or {}).items()}
        self.ports = {port: str(free_port()) for port in PORTS}
        self.terminals: list[Terminal] = []
        self.news = threading.Condition()
        self._stays = {"python -m http.server": "Serving HTTP"} | dict(stays or {})
        self._heard = dict(heard or {})
        self.programs = directory.parent / f"{directory.name}-bin"
        self.programs.mkdir()
        # By these names on any machine, also where ddpcore is not installed.
        self.program("python", f'exec "{sys.executable}" "$@"')
        self.program("ddpcore", f'exec "{sys.executable}" -m ddpcore "$@"')
        kept = {name: text for name, text in os.environ.items() if not name.startswith(UNKNOWN)}
        self.env = kept | {
            # Then the directory of the interpreter, with what is installed there.
            "PATH": os.pathsep.join(
                [str(self.programs), str(Path(sys.executable).parent), kept["PATH"], "/usr/sbin"]
            ),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "NO_COLOR": "1",
        } | env  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._end(self.terminals)
        finally:
            for each in reversed(self.terminals):
                each.end()

    def program(self, name: str, text: str, *, of: str = "/bin/sh") -> None:
        """Let there be a program of this name for the commands of the page."""
        file = self.programs / name
        file.write_text(f"#!{of}\n{text}\n")
        file.chmod(0o755)

    def read(
        self,
        page: str,
        *languages: str,
        others: Mapping[str, Callable[[Block], object]] | None = None,
    ) -> None:
        """Follow a page.

        Args:
            page: Its path below docs/.
            languages: Those of the blocks that are followed, if others see to the rest.
            others: By language, what is done with blocks that are neither files nor commands. Those
                of ``text`` are what a command has printed, if nothing else is said here.
        """
        others = {"text": self.hears} | dict(others or {})
        with reading(page, *languages) as it:
            for block in it.take():
                if block.language == "console":
                    self.follow(block)
                elif block.path or block.end_of:
                    self.make(block)
                else:
                    assert block.language in others, f"{block}: neither a file nor commands"
                    others[block.language](block)

    def make(self, block: Block) -> None:
        """Make the file that a block is, or add the block to it."""
        file = self.directory / str(block.path or block.end_of)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if block.end_of else "w") as open_file:
            open_file.write(("\n\n" if block.end_of else "") + self.here(block.body))

    def follow(self, block: Block) -> None:
        """Type the commands of a block, and compare."""
        assert block.text.startswith("$ "), f"{block}: no command"
        for command, shown in block.commands:
            while command.endswith("\\"):  # it goes on in the next line
                more, _, shown = shown.partition("\n")
                command = f"{command[:-1].rstrip()} {more.lstrip()}"
            where = str(block)
            if command.startswith("export "):
                words = shlex.split(self.here(command))[1:]
                self.env.update(each.split("=", 1) for each in words)
                assert not shown
            elif command.startswith("cd "):
                self.directory = self.directory / command.removeprefix("cd ")
                assert not shown
            elif self._goes_on(command, shown):
                self.start(command, shown, where)
            else:
                said = self.type(command)
                if not pattern(shown).fullmatch(said):
                    assert said == shown, f"{where}: $ {command}\n{said}"
                self._wait(self._heard, command)

    def start(self, command: str, shown: str = "", where: str = "a test") -> Terminal:
        """Leave a command running in a terminal of its own, and wait until it has begun.

        Args:
            command: The command.
            shown: What it is to print.
            where: The place in the page.
        """
        if SERVE.match(command):
            if "--bind" not in command:
                command += " --bind 127.0.0.1:8000"  # its default, to be replaced
            (port,) = re.findall(r"--bind \S*:(\d+)", command)
            # It takes the place of the one that has the port, and of who talks to that.
            self._end([each for each in self.terminals if re.search(rf"\b{port}\b", each.command)])
        terminal = Terminal(command, shown, self, where)
        self.terminals.append(terminal)
        terminal.begin()
        self._wait(self._stays, command)
        return terminal

    def _wait(self, signs: Mapping[str, str], command: str) -> None:
        """Wait until the sign that goes with a command is in what is printed."""
        for beginning, sign in signs.items():
            if command.startswith(beginning):
                heard = self._some(lambda each: sign in each.text)
                assert heard, f"$ {command}\nNobody said {sign}:\n{self.printed()}"

    def hears(self, block: Block | str) -> None:
        """Wait until one of the commands that go on has printed what a block shows."""
        shown = block if isinstance(block, str) else block.text
        texts = "\n".join(each.story() for each in self.terminals)
        assert self._some(lambda each: each.hears(shown)), f"{block}: {shown}\n{texts}"

    def _some(self, true: Callable[[Terminal], bool]) -> bool:
        with self.news:
            return self.news.wait_for(lambda: any(map(true, self.terminals)), PATIENCE)

    def _end(self, terminals: list[Terminal]) -> None:
        for each in reversed(terminals):  # subscriptions before their server
            each.end_well()
        self.terminals = [each for each in self.terminals if each not in terminals]

    def type(self, command: str) -> str:
        """Run a command to its end; what it prints, as the page would say it."""
        done = subprocess.run(
            ["bash", "-c", self.here(command)],
            cwd=self.directory, env=self.env, text=True, timeout=10 * PATIENCE, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said = self.there(done.stdout)
        return f"{said}\n" if said and not said.endswith("\n") else said

    def url(self, scheme: str = "http") -> str:
        """That of the server."""
        return f"{scheme}://127.0.0.1:{self.ports['8000']}"

    def printed(self) -> str:
        """What the commands that still run have printed."""
        return "\n".join(each.text for each in self.terminals)

    def here(self, text: str) -> str:
        """What the page says, with what stands for it here."""
        for old, new in self.instead.items():
            text = text.replace(old, new)
        return re.sub(rf"\b({'|'.join(self.ports)})\b", lambda found: self.ports[found[1]], text)

    def there(self, text: str) -> str:
        """What is said here, as the page says it."""
        shown = {here: port for port, here in self.ports.items()}
        text = re.sub(rf"\b({'|'.join(shown)})\b", lambda found: shown[found[1]], text)
        for old, new in self.instead.items():
            text = text.replace(new, old)
        return text

    def _goes_on(self, command: str, shown: str) -> bool:
        if SERVE.match(command):
            return BEGUN.search(shown) is not None
        return bool(SUBSCRIBE.search(command)) or command.startswith(tuple(self._stays))
