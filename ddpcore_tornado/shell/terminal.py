"""A terminal whose whole screen is drawn anew, and given back as it was."""

from __future__ import annotations

import logging
import os
import signal
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

__all__ = ["Screen", "is_live", "wants_colour"]

# The screen that programs such as `less` use, no cursor, and no wrapping of long lines.
ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
LOCAL_MODES = 3  # in what tcgetattr gives
HOME, WIPE = "\x1b[H", "\x1b[K"


def is_live(stream: TextIO) -> bool:
    """Whether pictures can be drawn there."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def wants_colour(stream: TextIO) -> bool:
    """Whether text may be bold or dim there: not if NO_COLOR is set (https://no-color.org)."""
    return is_live(stream) and not os.environ.get("NO_COLOR")


class _Held(logging.Filter):
    """Keeps records back while a picture stands, which they would tear."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def filter(self, record: logging.LogRecord) -> bool:
        self.records.append(record)
        return False


class Screen:
    """The terminal's screen."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._typing: list[Any] | None = None  # how the terminal was before

    @property
    def size(self) -> tuple[int, int]:
        """Its columns and lines at this moment."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, as many as the screen has."""
        # Wiped first: behind a line that is full the cursor stands on its last character.
        self._write(HOME + "\r\n".join(WIPE + line for line in lines))

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take the screen, and give it back with its cursor, whatever happens."""
        held = _Held()
        handlers = list(logging.root.handlers)
        for handler in handlers:
            handler.addFilter(held)
        try:
            self._enter()
            yield
        finally:
            self._leave()
            for handler in handlers:
                handler.removeFilter(held)
            for record in dict.fromkeys(held.records):
                logging.root.handle(record)

    def suspend(self) -> None:
        """Stop as Ctrl-Z has it, with the screen given back; take it again when told to go on."""
        self._leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._enter()

    def _enter(self) -> None:
        # What is typed would tear the picture as well.
        if sys.stdin.isatty():
            self._typing = termios.tcgetattr(sys.stdin)
            quiet = termios.tcgetattr(sys.stdin)
            quiet[LOCAL_MODES] &= ~(termios.ECHO | termios.ECHOCTL)
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, quiet)
        self._write(ENTER)

    def _leave(self) -> None:
        try:
            self._write(LEAVE)
        finally:
            if self._typing is not None:
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._typing)
                self._typing = None

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
