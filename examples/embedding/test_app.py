"""The tests of the application, with Tornado's own tools."""

from __future__ import annotations

import json
import unittest
from collections.abc import Callable
from typing import Any

from app import make_app
from board import KEPT, Board
from tornado.testing import AsyncHTTPTestCase, gen_test
from tornado.web import Application
from tornado.websocket import WebSocketClientConnection, websocket_connect


class Window:
    """A client that is connected, and keeps what it is told."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket = socket
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}

    async def say(self, **message: Any) -> None:
        await self.socket.write_message(json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        text = await self.socket.read_message()
        assert text is not None, "The server has closed the connection."
        message: dict[str, Any] = json.loads(text)
        if message["msg"] in ("added", "changed"):
            key = message["collection"], message["id"]
            self.documents[key] = self.documents.get(key, {}) | message["fields"]
        elif message["msg"] == "removed":
            del self.documents[message["collection"], message["id"]]
        return message

    async def call(self, method: str, *params: Any) -> dict[str, Any]:
        """The result, once its effects are here, too."""
        await self.say(msg="method", id="1", method=method, params=list(params))
        messages: dict[str, dict[str, Any]] = {}
        while not {"result", "updated"} <= messages.keys():
            message = await self.hear()
            messages[message["msg"]] = message
        return messages["result"]

    async def until(self, true: Callable[[], object]) -> None:
        while not true():
            await self.hear()

    def builds(self) -> dict[str, dict[str, Any]]:
        return {id: row for (name, id), row in self.documents.items() if name == "builds"}

    def watchers(self) -> int | None:
        return self.documents.get(("watchers", "all"), {}).get("count")


class BoardTest(AsyncHTTPTestCase):
    def get_app(self) -> Application:
        self.board = Board(pace=0)  # the machines stand still: tests say when they go on
        self.sockets: list[WebSocketClientConnection] = []
        return make_app(self.board, token="secret", log_function=lambda _: None)

    def tearDown(self) -> None:
        self.io_loop.run_sync(self.board.server.stop)
        for socket in self.sockets:
            socket.close()
        super().tearDown()

    async def window(self) -> Window:
        url = self.get_url("/live/websocket").replace("http", "ws")
        window = Window(await websocket_connect(url))
        self.sockets.append(window.socket)
        await window.say(msg="connect", version="1", support=["1"])
        for name in ("builds", "watchers"):
            await window.say(msg="sub", id=name, name=name, params=[])
        await window.until(window.watchers)
        return window

    def push(self, body: str, token: str = "secret") -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return self.fetch("/hooks/push", method="POST", headers=headers, body=body).code

    def test_the_page(self) -> None:
        page = self.fetch("/")
        assert page.code == 200
        for path in ("/page/board.js", "/page/ddp.js", "/page/board.css"):
            assert self.fetch(path).code == 200

    @gen_test
    async def test_what_one_window_starts_another_shows(self) -> None:
        left, right = await self.window(), await self.window()
        build = (await left.call("builds.start", "main"))["result"]
        assert left.builds()[build]["branch"] == "main"  # shown when the method is done
        await right.until(lambda: build in right.builds())

        await right.call("builds.stop", build)
        await left.until(lambda: left.builds()[build]["state"] == "stopped")
        refused = await left.call("builds.stop", build)
        assert refused["error"]["reason"] == "No such build is running."
        refused = await left.call("builds.start", " ")
        assert refused["error"]["error"] == 400

    def test_a_push(self) -> None:
        assert self.push('{"branch": "main", "by": "Ada"}') == 201
        assert self.push('{"branch": "main", "by": "Ada"}', token="guess") == 403
        for body in ("", "[]", "{}"):
            assert self.push(body) == 400
        window = self.io_loop.run_sync(self.window)
        assert [build["by"] for build in window.builds().values()] == ["Ada"]

    @gen_test
    async def test_builds_go_on_to_their_end(self) -> None:
        window = await self.window()
        await self.board.start("main", "Ada")
        while any(build["state"] == "running" for build in self.board.builds.values()):
            await self.board.step()
        final = self.board.builds["1"]
        await window.until(lambda: window.builds().get("1") == final)
        assert final["state"] in ("passed", "failed")

    @gen_test
    async def test_old_builds_leave(self) -> None:
        window = await self.window()
        for number in range(KEPT + 2):
            await self.board.start(f"branch-{number}", "Ada")
        await window.until(lambda: len(window.builds()) == KEPT and "2" not in window.builds())
        await window.until(lambda: str(KEPT + 2) in window.builds())

    @gen_test
    async def test_windows_are_counted(self) -> None:
        one = await self.window()
        two = await self.window()
        await one.until(lambda: one.watchers() == 2)
        two.socket.close()
        await one.until(lambda: one.watchers() == 1)

    def test_the_badge(self) -> None:
        self.io_loop.run_sync(self.board.server.start)
        self.io_loop.run_sync(lambda: self.board.start("main", "Ada"))
        assert b"running" in self.fetch("/badge/main.svg").body
        assert b"unknown" in self.fetch("/badge/other.svg").body

    @gen_test
    async def test_the_machines_start_and_stop_with_the_server(self) -> None:
        self.board.pace = 1000
        await self.window()
        machines = self.board.machines
        assert machines is not None
        await self.board.server.stop()
        assert machines.done()


if __name__ == "__main__":
    unittest.main()
