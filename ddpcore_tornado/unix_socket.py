"""Unix sockets to listen on: files, that is, which outlive who has made them."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["UnixAddress", "UnixFiles", "bind_unix"]


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket to listen on.

    Attributes:
        path: Where it is in the file system.
        mode: Who may connect, such as 0o660; None: whom the umask lets write.
    """

    path: str
    mode: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"unix:{self.path}"


def bind_unix(address: UnixAddress, backlog: int) -> socket.socket:
    """Listen there. What a server that is dead has left behind is replaced.

    Raises:
        OSError: A server that lives listens there, or what is there is no socket.
    """
    _make_room(address.path)
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.setblocking(False)
        if address.mode is None:
            listening.bind(address.path)
        else:
            # The file is made with the mode. If it were given it afterwards, others could have
            # connected in between.
            before = os.umask(0o777 & ~address.mode)
            try:
                listening.bind(address.path)
            finally:
                os.umask(before)
        listening.listen(backlog)
    except BaseException:
        listening.close()
        raise
    return listening


def _make_room(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:  # nobody listens
            Path(path).unlink()
            return
        except BlockingIOError:  # it lives, and its queue is full
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


class UnixFiles:
    """The files of Unix sockets, to be removed at the end.

    Args:
        sockets: Listening sockets that have just been bound; those of other kinds have no file.
    """

    def __init__(self, sockets: Iterable[socket.socket]) -> None:
        paths = [each.getsockname() for each in sockets if each.family == socket.AF_UNIX]
        self._files = {path: _identity(path) for path in paths}

    def remove(self) -> None:
        """Remove them, unless somebody has put others in their place."""
        while self._files:
            path, identity = self._files.popitem()
            with suppress(OSError):
                if _identity(path) == identity:
                    Path(path).unlink()


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
