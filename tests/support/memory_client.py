"""A DDP client in memory, as strict as an old Meteor client: it drives a server's session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from ddpcore import Server, ejson
from ddpcore.transport import MemoryTransport
from ddpcore.wire.frame import Frame

DATA = ("added", "changed", "removed")


class Store:
    """What a client holds after replaying data messages; undisciplined ones fail at once."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[str, dict[str, Any]]] = {}

    def take(self, message: dict[str, Any]) -> None:
        documents = self.collections.setdefault(message["collection"], {})
        id = message["id"]
        if message["msg"] == "added":
            assert id not in documents, f"added twice: {message}"
            documents[id] = ejson.decode(message.get("fields", {}))
        elif message["msg"] == "removed":
            assert id in documents, f"removed without being there: {message}"
            del documents[id]
        else:
            assert id in documents, f"changed without being there: {message}"
            assert message.keys() & {"fields", "cleared"}, f"changed says nothing: {message}"
            assert message.get("fields") != {}, f"empty fields: {message}"
            assert message.get("cleared") != [], f"empty cleared: {message}"
            fields = ejson.decode(message.get("fields", {}))
            for name, value in fields.items():
                assert documents[id].get(name, ...) != value, f"{name} did not change: {message}"
            documents[id].update(fields)
            for name in message.get("cleared", ()):
                assert name in documents[id], f"{name} was not there: {message}"
                del documents[id][name]

    def docs(self, collection: str) -> dict[str, dict[str, Any]]:
        return self.collections.get(collection, {})


class Client(MemoryTransport):
    """Sends with `send_message`, keeps what comes in `messages` and `store`."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []
        self.store = Store()
        self._ids = iter(range(1, 1_000_000))
        self._news: asyncio.Event = asyncio.Event()
        self.receiver = server.accept(self)

    # The transport's side

    def send(self, frame: Frame) -> None:
        assert self.closed is None, f"sent after the close: {frame}"
        message = json.loads(frame.data)
        self.messages.append(message)
        if message["msg"] in DATA:
            self.store.take(message)
        self._news.set()

    def close(self, code: int, reason: str) -> None:
        super().close(code, reason)
        self._news.set()

    # The client's side

    def put(self, **message: Any) -> None:
        """Send a message."""
        self.receiver.receive(json.dumps(message))

    def connect(self) -> None:
        self.put(msg="connect", version="1", support=["1"])

    def leave(self) -> None:
        self.receiver.lost()

    def sub(self, name: str, *params: Any, id: str | None = None) -> str:
        id = id or f"s{next(self._ids)}"
        self.put(msg="sub", id=id, name=name, params=list(params))
        return id

    def unsub(self, id: str) -> None:
        self.put(msg="unsub", id=id)

    def method(self, name: str, *params: Any, id: str | None = None) -> str:
        id = id or str(next(self._ids))
        self.put(msg="method", id=id, method=name, params=list(params))
        return id

    async def until(self, true: Callable[[], Any]) -> Any:
        """Wait for something to come true; it is asked again at each message."""
        while not (value := true()):
            assert self.closed is None, f"closed: {self.closed}"
            self._news.clear()
            await self._news.wait()
        return value

    async def message(self, **parts: Any) -> dict[str, Any]:
        """The first message with these members, whenever it came."""

        def find() -> dict[str, Any] | None:
            return next((m for m in self.messages if parts.items() <= m.items()), None)

        return await self.until(find)

    async def ready(self, id: str) -> None:
        await self.until(lambda: any(id in m.get("subs", ()) for m in self.messages))

    async def nosub(self, id: str) -> dict[str, Any]:
        return await self.message(msg="nosub", id=id)

    async def answer(self, id: str) -> dict[str, Any]:
        """The `result` of a method, once `updated` has come as well."""
        await self.message(msg="updated", methods=[id])
        return await self.message(msg="result", id=id)

    async def call(self, name: str, *params: Any) -> dict[str, Any]:
        return await self.answer(self.method(name, *params))

    def kinds(self, *kinds: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["msg"] in kinds]

    @property
    def story(self) -> list[str]:
        """The kinds of messages, in order."""
        return [message["msg"] for message in self.messages]

    def forget(self) -> None:
        """Start a new story."""
        self.messages.clear()


@asynccontextmanager
async def running(server: Server, patience: float = 5.0) -> AsyncIterator[Server]:
    await server.start()
    try:
        yield server
    finally:
        await server.stop(patience)


@asynccontextmanager
async def client_of(server: Server) -> AsyncIterator[Client]:
    """A connected client of a server that runs meanwhile."""
    async with running(server):
        client = Client(server)
        client.connect()
        await client.message(msg="connected")
        yield client


async def turns(count: int = 10) -> None:
    """Let whatever needs no waiting happen."""
    for _ in range(count):
        await asyncio.sleep(0)


def stripped(messages: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Messages as tuples of their values, for short comparisons."""
    return [tuple(message.values()) for message in messages]
