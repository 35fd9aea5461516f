"""Where a worker tells its parent, and nobody else, how it goes: metrics and status.

It is an HTTP server at a Unix socket in the directory that only the user of the command can enter.
What comes there the parent has let in.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.routing import Rule
from tornado.web import Application, RequestHandler

__all__ = ["Backroom", "backrooms"]


def backrooms(directory: Path, count: int) -> dict[int, Path]:
    """The sockets of so many workers, by their numbers."""
    return {number: _path(directory, number) for number in range(1, count + 1)}


class Backroom:
    """The server of one worker.

    Args:
        directory: Where its socket is to be.
        number: Which worker it is.
        rules: What it serves.
    """

    def __init__(self, directory: Path, number: int, rules: Sequence[Rule]) -> None:
        self._path = _path(directory, number)
        application = Application(list(rules), log_function=_say_nothing)
        self._http = HTTPServer(application, max_body_size=1024)

    def listen(self) -> None:
        """Answer from now on. A predecessor's address is taken over."""
        self._http.add_socket(bind_unix_socket(str(self._path), mode=0o600))

    async def close(self) -> None:
        """Answer no longer."""
        self._http.stop()
        await self._http.close_all_connections()


def _path(directory: Path, number: int) -> Path:
    return directory / f"{number}.back"


def _say_nothing(_: RequestHandler) -> None:
    """The parent has its own log."""
