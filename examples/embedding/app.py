"""A build board: an ordinary Tornado application with a DDP server in it.

python examples/embedding/app.py [--port=8000] [--debug]
"""

from __future__ import annotations

import asyncio
import hmac
import os
import signal
from pathlib import Path
from typing import Any

from board import Board
from tornado.escape import json_decode
from tornado.options import define, options, parse_command_line
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler

import ddpcore_tornado

PAGE = Path(__file__).parent / "page"
COLORS = {"passed": "#1a7f4b", "failed": "#c0362c", "running": "#2563c9"}

BADGE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="150" height="20" role="img">
<rect width="150" height="20" rx="4" fill="#444"/>
<rect x="80" width="70" height="20" rx="4" fill="{}"/>
<g fill="#fff" font-family="sans-serif" font-size="11"><text x="8" y="14">build</text>
<text x="90" y="14">{}</text></g></svg>
"""


class Home(RequestHandler):
    def get(self) -> None:
        self.render("index.html")


class Hook(RequestHandler):
    """Where a forge says that somebody has pushed."""

    def initialize(self, board: Board, token: str) -> None:
        self.board, self.token = board, token

    async def post(self) -> None:
        given = self.request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self.token or not hmac.compare_digest(given.encode(), self.token.encode()):
            raise HTTPError(403)
        try:
            push = json_decode(self.request.body)
            branch, by = str(push["branch"])[:40], str(push["by"])[:40]
        except (ValueError, TypeError, KeyError):
            raise HTTPError(400) from None
        await self.board.server.start()  # it starts with its first client, unless somebody does
        self.set_status(201)
        self.finish({"id": await self.board.start(branch, by)})


class Badge(RequestHandler):
    """A picture for a README: how the newest build of a branch is."""

    def initialize(self, board: Board) -> None:
        self.board = board

    def get(self, branch: str) -> None:
        states = [each["state"] for each in self.board.builds.values() if each["branch"] == branch]
        state = states[-1] if states else "unknown"
        self.set_header("Content-Type", "image/svg+xml")
        self.set_header("Cache-Control", "no-cache")
        self.finish(BADGE.format(COLORS.get(state, "#777"), state))


def make_app(board: Board, token: str = "", **settings: Any) -> Application:
    """Handlers of one's own, and DDP below /live."""
    return Application(
        [
            (r"/", Home),
            (r"/hooks/push", Hook, {"board": board, "token": token}),
            (r"/badge/(.+)\.svg", Badge, {"board": board}),
            (r"/page/(.*)", StaticFileHandler, {"path": PAGE}),
            *ddpcore_tornado.handlers(board.server, prefix="/live"),
        ],
        template_path=str(PAGE),
        **settings,
    )


async def main() -> None:
    define("port", 8000, help="where to listen, on 127.0.0.1")
    define("debug", False, help="load the code anew when it changes")
    parse_command_line()
    board = Board()
    app = make_app(board, os.environ.get("BOARD_TOKEN", ""), debug=options.debug)

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with board.server:
        for branch, by in (("main", "Ada"), ("fix/typo", "Grace"), ("feature/dark-mode", "Alan")):
            await board.start(branch, by)
        http = app.listen(options.port, "127.0.0.1")
        print(f"The build board: http://127.0.0.1:{options.port}/  Ctrl-C stops.", flush=True)
        await stop.wait()
        http.stop()  # no new clients; then the server closes those that are there


if __name__ == "__main__":
    asyncio.run(main())
