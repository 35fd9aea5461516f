"""Chromium without a screen, driven by its DevTools protocol: nothing but the program is needed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any, Self

import pytest
import websockets
from tornado.httpclient import AsyncHTTPClient

PATIENCE = 30.0


class Window:
    """A page in a window of its own.

    Attributes:
        complaints: Exceptions that nobody caught, and errors of the console.
    """

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.complaints: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._loaded: asyncio.Queue[str] = asyncio.Queue()  # of which documents
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            match message.get("method"):
                case None:
                    self._answers.pop(message["id"]).set_result(message)
                case "Page.lifecycleEvent" if message["params"]["name"] == "load":
                    self._loaded.put_nowait(message["params"]["loaderId"])
                case "Runtime.exceptionThrown":
                    self.complaints.append(str(message["params"]["exceptionDetails"]))

    async def tell(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(PATIENCE):
            message = await answer
        assert "error" not in message, message
        return message["result"]

    async def run(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page; promises are waited for."""
        told = await self.tell(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def open(self, url: str) -> None:
        """Go to an address, and wait until its page has loaded: not that which was there before."""
        document = (await self.tell("Page.navigate", url=url))["loaderId"]
        async with asyncio.timeout(PATIENCE):
            while await self._loaded.get() != document:
                pass

    async def load(self, expression: str) -> None:
        """Run what makes the page load, and wait until it has."""
        await self.tell("Runtime.evaluate", expression=expression)
        async with asyncio.timeout(PATIENCE):
            await self._loaded.get()

    async def until(self, expression: str) -> None:
        """Wait until that is true; asked with each picture that the page draws."""
        look = f"() => {{ try {{ return !!({expression}) }} catch {{ return false }} }}"
        done = await self.run(
            f"""new Promise((done) => {{
                const look = {look}, end = Date.now() + {PATIENCE * 900:.0f};
                (function again() {{
                    if (look() || Date.now() > end) done(look());
                    else setTimeout(again, 10);
                }})();
            }})"""
        )
        assert done, f"{expression}\n{await self.run('document.body.innerText')}"

    async def close(self) -> None:
        await self._socket.close()
        await self._reader


class Browser:
    """`async with Browser(directory)`: a browser with a profile in that directory."""

    def __init__(self, profile: Path) -> None:
        program = os.environ.get("CHROMIUM") or shutil.which("chromium")
        if program is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium: set CHROMIUM")
        self._program = program
        self._profile = profile
        self._windows: list[Window] = []

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            self._program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-dev-shm-usage", "--remote-debugging-port=0",
            f"--user-data-dir={self._profile}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            async for line in self._process.stderr:
                if line.startswith(b"DevTools listening on ws://"):
                    self._address = line.split(b"/")[2].decode()
                    break
        self._drain = asyncio.create_task(self._process.stderr.read())
        return self

    async def __aexit__(self, *_: object) -> None:
        for window in self._windows:
            await window.close()
        self._process.terminate()
        await self._process.wait()
        await self._drain

    async def window(self, url: str) -> Window:
        """A new window with that page, when it has loaded."""
        answer = await AsyncHTTPClient().fetch(
            f"http://{self._address}/json/new?about:blank",
            method="PUT", body="", connect_timeout=PATIENCE, request_timeout=PATIENCE,
        )  # fmt: skip
        where = json.loads(answer.body)["webSocketDebuggerUrl"]
        # It may be too busy for pings.
        window = Window(
            await websockets.connect(
                where, max_size=None, open_timeout=PATIENCE, ping_interval=None
            )
        )
        self._windows.append(window)
        await window.tell("Runtime.enable")
        await window.tell("Page.enable")
        await window.tell("Page.setLifecycleEventsEnabled", enabled=True)
        await window.open(url)
        return window
