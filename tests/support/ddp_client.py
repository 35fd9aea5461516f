"""A strict DDP client for tests: it keeps what it is told, and complains of what it must not be.

It replays data messages into collections as an old Meteor client would: an `added` of a document
it has, a `changed` or `removed` of one it has not, are failures.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import websockets

PATIENCE = 60.0  # seconds that anything may take before a test gives up


class Client:
    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []
        self.collections: dict[str, dict[str, dict[str, Any]]] = {}
        self.faults: list[str] = []
        self._news = asyncio.Condition()
        self._next = 0
        self._reader = asyncio.ensure_future(self._read())
        self.closed = False

    # What comes

    async def _read(self) -> None:
        try:
            async for text in self.socket:
                message = json.loads(text)
                if message.get("msg") == "ping":
                    await self.socket.send('{"msg":"pong"}')
                    continue
                async with self._news:
                    self._take(message)
                    self._news.notify_all()
        except websockets.ConnectionClosed:
            pass
        finally:
            async with self._news:
                self.closed = True
                self._news.notify_all()

    def _take(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        kind = message.get("msg")
        if kind not in ("added", "changed", "removed"):
            return
        documents = self.collections.setdefault(message["collection"], {})
        known = message["id"] in documents
        if known == (kind == "added"):
            self.faults.append(f"{message} while the client has {documents.get(message['id'])}")
        if kind == "removed":
            documents.pop(message["id"], None)
            return
        document = documents.setdefault(message["id"], {})
        document.update(message.get("fields", {}))
        for name in message.get("cleared", ()):
            document.pop(name, None)

    async def until(self, true: Callable[[], Any], what: str = "") -> Any:
        """Wait until `true()` is; it is asked again after every message."""
        try:
            async with asyncio.timeout(PATIENCE), self._news:
                await self._news.wait_for(lambda: true() or self.closed or self.faults)
        except TimeoutError:
            raise AssertionError(f"{what or 'It'} never came; got {self.messages}") from None
        assert not self.faults, self.faults
        value = true()
        assert value, f"The connection closed before {what or 'it'} came: {self.messages}"
        return value

    async def message(self, **parts: Any) -> dict[str, Any]:
        """The first message that has these members, whenever it came."""

        def find() -> dict[str, Any] | None:
            for message in self.messages:
                if all(message.get(name) == value for name, value in parts.items()):
                    return message
            return None

        return await self.until(find, str(parts))

    def docs(self, collection: str) -> dict[str, dict[str, Any]]:
        return self.collections.get(collection, {})

    async def shows(self, collection: str, expected: dict[str, dict[str, Any]]) -> None:
        """Wait until the collection holds exactly `expected`."""
        try:
            await self.until(lambda: self.docs(collection) == expected)
        except AssertionError as problem:
            raise AssertionError(f"{self.docs(collection)} != {expected}\n{problem}") from None

    def since(self, mark: int) -> list[dict[str, Any]]:
        return self.messages[mark:]

    def data(self) -> list[dict[str, Any]]:
        return [m for m in self.messages if m["msg"] in ("added", "changed", "removed")]

    # What goes

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    def new_id(self) -> str:
        self._next += 1
        return f"t{self._next}"

    async def sub(self, name: str, *params: Any) -> str:
        """Subscribe and wait for `ready`; the id."""
        id = self.new_id()
        await self.send(msg="sub", id=id, name=name, params=list(params))

        def answered() -> dict[str, Any] | None:
            for message in self.messages:
                if message["msg"] == "ready" and id in message["subs"]:
                    return message
                if message["msg"] == "nosub" and message.get("id") == id:
                    return message
            return None

        answer = await self.until(answered, f"ready of {name}")
        assert answer["msg"] == "ready", answer
        return id

    async def unsub(self, id: str) -> None:
        await self.send(msg="unsub", id=id)
        await self.message(msg="nosub", id=id)

    async def call(self, method: str, *params: Any) -> Any:
        """Call and wait for `result` and `updated`; the result.

        Raises:
            CallError: The method failed.
        """
        id = self.new_id()
        await self.send(msg="method", id=id, method=method, params=list(params))
        result = await self.message(msg="result", id=id)
        await self.message(msg="updated", methods=[id])
        if "error" in result:
            raise CallError(result["error"])
        return result.get("result")


class CallError(Exception):
    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.error = error


@asynccontextmanager
async def connect(address: str):
    """A connected client of ``host:port``; at the end it must have had nothing to complain of."""
    # Patience here, too: by default it is ten seconds for a connection, and twenty for a pong.
    async with websockets.connect(
        f"ws://{address}/websocket", max_size=None, open_timeout=PATIENCE, ping_interval=None
    ) as socket:
        client = Client(socket)
        try:
            await client.send(msg="connect", version="1", support=["1"])
            await client.message(msg="connected")
            yield client
            assert not client.faults, client.faults
        finally:
            await socket.close()
            await client._reader
