"""A terminal for tests: a real pty, and a small model of the screen that a program draws on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata
from collections.abc import Callable

PATIENCE = 60.0  # seconds
TOKEN = re.compile(
    r"\x1b\[(?P<private>\??)(?P<number>[\d;]*)(?P<final>[A-Za-z])|(?P<text>.)", re.DOTALL
)


class Screen:
    """What stands where: the few commands that our programs use; any other is an error."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.cursor_shown = True
        self.alternate = False
        self.wraps = True
        # After a change of size a picture of the old one may still be on its way, and is cut off.
        self.settled = True
        self.styles: set[str] = set()
        self.main: list[str] = []  # what was written outside of the alternate screen
        self._rest = ""
        self._clear()

    def _clear(self) -> None:
        self.rows = [[" "] * self.columns for _ in range(self.lines)]
        self.x = self.y = 0

    def resize(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.settled = False
        self._clear()

    def feed(self, text: str) -> None:
        text, self._rest = self._rest + text, ""
        cut = re.search(r"\x1b(\[[?\d;]*)?$", text)
        if cut is not None:
            self._rest = cut[0]
            text = text[: cut.start()]
        for token in TOKEN.finditer(text):
            if token["final"]:
                self._command(token["private"] + token["number"] + token["final"])
            elif self.alternate:
                self._put(token["text"])
            else:
                self.main.append(token["text"])

    def _command(self, command: str) -> None:
        match command:
            case "?1049h":
                self.alternate = True
                self._clear()
            case "?1049l":
                self.alternate = False
            case "?25l" | "?25h":
                self.cursor_shown = command.endswith("h")
            case "?7l" | "?7h":
                self.wraps = command.endswith("h")
            case "H":
                self.x = self.y = 0
            case "K" if self.y >= self.lines:
                pass
            case "K":
                # Behind the last column the cursor stands on it.
                x = min(self.x, self.columns - 1)
                self.rows[self.y][x:] = [" "] * (self.columns - x)
            case "0m" | "1m" | "2m":
                self.styles.add(command)
            case _:
                raise AssertionError(f"unknown command {command!r}")

    def _put(self, char: str) -> None:
        if char == "\r":
            self.x = 0
        elif char == "\n":
            self.y += 1
            assert self.y < self.lines or not self.settled, "it scrolls"
        else:
            assert char.isprintable(), repr(char)
            width = 2 if unicodedata.east_asian_width(char) in "WF" else 1
            if not self.settled and (self.y >= self.lines or self.x + width > self.columns):
                return
            assert self.x + width <= self.columns, f"too wide: {self.text}"
            self.rows[self.y][self.x] = char
            if width == 2:
                self.rows[self.y][self.x + 1] = ""
            self.x += width

    @property
    def text(self) -> list[str]:
        return ["".join(row).rstrip() for row in self.rows]

    @property
    def printed(self) -> list[str]:
        return "".join(self.main).replace("\r\n", "\n").splitlines()


class Terminal:
    """A program on a terminal of its own."""

    def __init__(
        self, command: list[str], *, columns: int = 80, lines: int = 24, **options
    ) -> None:
        self.screen = Screen(columns, lines)
        self._ours, theirs = pty.openpty()
        self._size(columns, lines)
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **options,
        )  # fmt: skip
        os.close(theirs)
        self._bytes = b""

    def _size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(columns, lines)
        self._size(columns, lines)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, true: Callable[[Screen], object], what: str = "it") -> None:
        """Read until the screen is as wanted."""
        ends = time.monotonic() + PATIENCE
        while not true(self.screen):
            assert self._read(ends), f"{what} never came:\n{self._seen()}"
        self.screen.settled = True

    def _read(self, ends: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, ends - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # the program has ended
            return False
        if not data:
            return False
        self._bytes += data
        text = self._bytes.decode(errors="ignore")
        # Half a character stays for the next time.
        self._bytes = self._bytes[len(text.encode()) :]
        self.screen.feed(text)
        return True

    def _seen(self) -> str:
        return "\n".join([*self.screen.text, "---", *self.screen.printed])

    def end(self, how: signal.Signals | None = None) -> int:
        """Its exit code, when it has ended and all it said is read."""
        if how is not None:
            self.process.send_signal(how)
        ends = time.monotonic() + PATIENCE
        while self._read(ends):
            pass
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
