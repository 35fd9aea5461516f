"""The client of `ddpcore.testing`, with words for the wire: each message is sent and awaited singly."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from ddpcore import Server, testing
from ddpcore.testing import turns
from ddpcore.testing.store import DATA, Store

__all__ = ["DATA", "Client", "Store", "client_of", "running", "stripped", "turns"]


class Client(testing.Client):
    """Says hello when told to; a server that breaks the discipline fails in the act, and logs it."""

    def __init__(self, server: Server, **options: Any) -> None:
        super().__init__(server, **{"answer_pings": False, "patience": 50.0, **options})
        self.receiver = self.transport.receiver

    def _take(self, message: dict[str, Any]) -> None:
        super()._take(message)
        self.check()

    def put(self, **message: Any) -> None:
        """Send a message, even over a connection that is gone."""
        self.transport.put(json.dumps(message))

    def sub(self, name: str, *params: Any, id: str | None = None) -> str:
        id = id or f"s{self._number()}"
        self.put(msg="sub", id=id, name=name, params=list(params))
        return id

    def unsub(self, id: str) -> None:
        self.put(msg="unsub", id=id)

    def method(self, name: str, *params: Any, id: str | None = None) -> str:
        id = id or self._number()
        self.put(msg="method", id=id, method=name, params=list(params))
        return id

    async def ready(self, id: str) -> None:
        await self.until(lambda: any(id in m.get("subs", ()) for m in self.messages))

    async def nosub(self, id: str) -> dict[str, Any]:
        return await self.message(msg="nosub", id=id)

    async def answer(self, id: str) -> dict[str, Any]:
        """The `result` of a method, once `updated` has come as well."""
        await self.message(msg="updated", methods=[id])
        return await self.message(msg="result", id=id)

    async def outcome(self, name: str, *params: Any) -> dict[str, Any]:
        """Call a method; its `result` as it travels."""
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


def stripped(messages: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Messages as tuples of their values, for short comparisons."""
    return [tuple(message.values()) for message in messages]
