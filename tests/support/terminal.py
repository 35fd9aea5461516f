"""A terminal in which somebody types: one interactive shell, and what is printed."""

from __future__ import annotations

import codecs
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from fcntl import ioctl
from pathlib import Path

PATIENCE = 180.0  # seconds; pip downloads
_PROMPT = re.compile(r"\x1e(\d+)\x1f")
_STYLE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


class Mismatch(Exception):
    """A command prints something else than it should, or fails."""


class Terminal:
    """A shell in a terminal of its own.

    Args:
        directory: Where it begins.
        environ: Its environment.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        # The prompt is a mark that says how the last command ended.
        prompt = {"PROMPT_COMMAND": r'printf "\036%s\037" $?', "PS1": "", "PS2": ""}
        self._fd, theirs = pty.openpty()
        # Before the shell is there: it sets the terminal back to what it has found, now and then.
        attributes = termios.tcgetattr(theirs)
        attributes[3] &= ~(termios.ECHO | termios.ECHOCTL)
        termios.tcsetattr(theirs, termios.TCSANOW, attributes)
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        # The first terminal that the leader of a session opens is the one that controls it.
        bash = f"exec bash --norc --noprofile --noediting -i 0<>{os.ttyname(theirs)} >&0 2>&0"
        self._shell = subprocess.Popen(
            ["sh", "-c", bash],
            cwd=directory,
            env={**environ, **prompt, "TERM": "xterm"},
            start_new_session=True,
        )
        self._printed = ""
        # What is read may end in the middle of a character.
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._prompt()
        os.close(theirs)

    def run(self, command: str, output: str) -> None:
        """Have a command run to its end, which must print this.

        Raises:
            Mismatch: It prints something else; or it prints nothing, as it should, and fails.
        """
        self._type(command)
        printed, code = self._prompt()
        if not matches(output, printed):
            raise Mismatch(f"$ {command}\n{printed}\n--- is not what the page has:\n{output}")
        if code and not output:
            raise Mismatch(f"$ {command}\nended with {code}")

    def start(self, command: str, output: str) -> None:
        """Begin a command that goes on, and wait until it has printed this."""
        self._type(command)
        self.shows(output)

    def shows(self, output: str) -> None:
        """Wait until the command that runs has printed this, line by line."""
        deadline = time.monotonic() + PATIENCE
        while True:
            printed = _plain(self._printed)
            *lines, rest = printed.split("\n")
            for end in range(len(lines) + 1):
                if matches(output, "".join(f"{line}\n" for line in lines[:end])):
                    self._printed = "\n".join([*lines[end:], rest])
                    return
            if (ended := _PROMPT.search(printed)) or time.monotonic() > deadline:
                how = "ended" if ended else "has not printed it in time"
                raise Mismatch(f"The command {how}:\n{printed}\n--- should be:\n{output}")
            self._read(deadline)

    def interrupt(self) -> str:
        """Press Ctrl-C; what else the command printed."""
        os.write(self._fd, b"\x03")
        return self._prompt()[0]

    def close(self) -> None:
        """Close the window: whatever runs in it is told, and given some time."""
        os.close(self._fd)
        try:
            self._shell.wait(10)
        except subprocess.TimeoutExpired:
            self._shell.kill()
            self._shell.wait()

    def _type(self, line: str) -> None:
        self._printed = ""
        os.write(self._fd, line.encode() + b"\n")

    def _prompt(self) -> tuple[str, int]:
        """Wait for the next prompt; what was printed before it, and the exit code."""
        deadline = time.monotonic() + PATIENCE
        while (found := _PROMPT.search(self._printed)) is None:
            if time.monotonic() > deadline:
                raise Mismatch(f"No end after {PATIENCE} seconds:\n{self._printed}")
            self._read(deadline)
        printed = _plain(self._printed[: found.start()])
        self._printed = self._printed[found.end() :]
        return printed, int(found[1])

    def _read(self, deadline: float) -> None:
        ready, _, _ = select.select([self._fd], [], [], max(0, min(1, deadline - time.monotonic())))
        if ready:
            try:
                self._printed += self._decode(os.read(self._fd, 65536))
            except OSError:  # the shell has ended
                raise Mismatch(f"The shell has ended:\n{self._printed}") from None


def _plain(text: str) -> str:
    return _STYLE.sub("", text).replace("\r\n", "\n")


def matches(expected: str, printed: str) -> bool:
    """Whether this was printed; ``...`` is anything, and alone in its line any number of lines."""
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*"
        else:
            pieces = (re.escape(piece) for piece in line.rstrip().split("..."))
            pattern += r"[^\n]*".join(pieces) + r"[ \t]*\n"
    if printed and not printed.endswith("\n"):
        printed += "\n"
    return re.fullmatch(pattern, printed) is not None
