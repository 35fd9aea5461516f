"""A client that believes nothing: it keeps what it is told, and notes what it must not be told."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import websockets

from ddpcore.testing.store import DATA, Store

PATIENCE = 50.0
"""Seconds that anything may take."""

Description = dict[str, Any]


def collection_of(description: Description) -> str:
    """The collection that a query's documents appear in."""
    first, *_ = description.get("union", [description])
    return str(description.get("as", first["model"]))


class Watcher:
    """A client over a real WebSocket, and what it has seen.

    Attributes:
        user: Who it is logged in as.
        subscriptions: Subscription id → the description of its query.
        faults: What the server should not have sent.
        wavered: How often a document went back to an older version where several subscriptions
            publish it. One of them may have asked the database ahead of the bus; when it lets
            the document go, the client sees what another has, a moment behind.
        seen: (collection, id, users that were logged in, mark) of each document that came.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._numbers = itertools.count(1)
        self.user: str | None = None
        self.subscriptions: dict[str, Description] = {}
        self.faults: list[str] = []
        self.seen: list[tuple[str, str, tuple[str | None, ...], str | None]] = []
        self.trail: list[str] = []
        self.wavered = 0
        self._versions: dict[tuple[str, str], int] = {}
        self._users: tuple[str | None, ...] = (None,)
        self._fresh()

    def _fresh(self) -> None:
        self.store = Store()
        self.session: str | None = None
        self._received = 0
        self._closed = False
        self._answers: dict[str, dict[str, Any]] = {}
        self._updated: set[str] = set()
        self._ready: set[str] = set()
        self._over: dict[str, Any] = {}

    # --- the connection ---

    async def connect(self, **resume: Any) -> None:
        self._socket = await websockets.connect(
            f"ws://{self._address}/websocket",
            max_size=None, ping_interval=None, compression=None, open_timeout=PATIENCE,
        )  # fmt: skip
        self._closed = False
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read(self._socket))
        before, self.session = self.session, None
        await self._send(msg="connect", version="1", support=["1"], **resume)
        await self.until(lambda: self.session, "connected")
        if resume and self.session != before:
            # The server could not go on with the session: all begins anew.
            session, received = self.session, self._received
            self._fresh()
            self.session, self._received = session, 1
            assert received >= 1
            await self._repeat()

    async def leave(self) -> None:
        """End the session for good. Nothing of it is left when this returns."""
        if self.session is not None and not self._closed:
            # Observers that nobody has unsubscribed could still be there for the next schedule.
            wanted = [key for key in self.subscriptions if key not in self._over]
            for key in wanted:
                await self._send(msg="unsub", id=key)
            await self.until(lambda: self._over.keys() >= set(wanted), "the last nosub")
            await self._send(msg="disconnect")
        await self._hang_up()

    async def _hang_up(self, *, hard: bool = False) -> None:
        if hard:
            # What the operating system has received already is lost with it.
            self._reader.cancel()
            self._socket.transport.abort()
        else:
            await self._socket.close()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def come_back(self, *, resume: bool) -> None:
        """Lose the socket and go on with the session, or begin a new one with the same wishes."""
        if resume:
            await self._send(msg="ping", id="p")
            await self.quiet()
            await self._hang_up(hard=True)
            await self.connect(session=self.session, receivedCount=self._received)
        else:
            await self.leave()
            self._fresh()
            await self.connect()
            await self._repeat()

    async def _repeat(self) -> None:
        self._users = (None,)
        if self.user is not None:
            user, self.user = self.user, None
            await self.log_in(user)
        wanted, self.subscriptions = self.subscriptions, {}
        for description in wanted.values():
            await self.subscribe(description, wait=True)

    async def _read(self, socket: websockets.ClientConnection) -> None:
        try:
            async for text in socket:
                message = json.loads(text)
                if message["msg"] == "ping":
                    await socket.send(json.dumps({**message, "msg": "pong"}))
                    continue
                self._take(message)
                self._news.set()
        except websockets.ConnectionClosed:
            pass
        finally:
            if socket is self._socket:
                self._closed = True
                self._news.set()

    async def _send(self, **message: Any) -> None:
        await self._socket.send(json.dumps(message))

    async def until(self, true: Callable[[], Any], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not true():
                    assert not self._closed, f"the connection closed before {what}"
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{what} never came") from None

    # --- what comes ---

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["msg"]
        if kind != "pong":
            self._received += 1
        if kind in DATA:
            self._take_data(message)
        elif kind == "connected":
            self.session = message["session"]
        elif kind == "ready":
            self._ready.update(message["subs"])
        elif kind == "nosub":
            self._over[message["id"]] = message.get("error")
        elif kind == "result":
            self._answers[message["id"]] = message
        elif kind == "updated":
            self._updated.update(message["methods"])
        elif kind == "error":
            self.faults.append(f"the server complains: {message}")

    def _take_data(self, message: dict[str, Any]) -> None:
        self.trail.append(json.dumps(message, ensure_ascii=False))
        try:
            self.store.take(message)
        except AssertionError as fault:
            self.faults.append(f"out of discipline: {fault}")
        if message["msg"] == "removed":
            return
        row, fields = (message["collection"], message["id"]), message.get("fields", {})
        self.seen.append((*row, self._users, fields.get("mark")))
        version = fields.get("version")
        if version is not None:
            if version < self._versions.get(row, 0) and self._overlap(message["collection"]):
                self.wavered += 1
            elif version < self._versions.get(row, 0):
                self.faults.append(f"gone back from version {self._versions[row]}: {message}")
            self._versions[row] = max(version, self._versions.get(row, 0))

    def _overlap(self, collection: str) -> bool:
        return sum(map(collection.__eq__, map(collection_of, self.subscriptions.values()))) > 1

    # --- what watchers do ---

    async def subscribe(self, description: Description, *, wait: bool) -> None:
        key = f"s{next(self._numbers)}"
        self.subscriptions[key] = description
        await self._send(msg="sub", id=key, name="Any", params=[description])
        if wait:
            await self.quiet()

    async def unsubscribe(self, number: int) -> None:
        if self.subscriptions:
            key = list(self.subscriptions)[number % len(self.subscriptions)]
            await self._send(msg="unsub", id=key)
            await self.until(lambda: key in self._over, f"nosub of {key}")
            del self.subscriptions[key]

    async def quiet(self) -> None:
        """All subscriptions are ready."""
        for key, description in self.subscriptions.items():
            await self.until(
                lambda key=key: key in self._ready or key in self._over, f"ready of {key}"
            )
            if key in self._over:
                self.faults.append(f"no subscription: {self._over[key]}: {description}")

    async def log_in(self, user: str | None) -> None:
        self._users = (self.user, user)
        self.user = user
        await self.call("log_in", user)
        self._users = (user,)

    async def call(self, method: str, *params: Any) -> dict[str, Any]:
        """Call a method; its `result` message, once `updated` has come."""
        return await (await self.start(method, *params))

    async def start(self, method: str, *params: Any) -> asyncio.Task[dict[str, Any]]:
        key = f"m{next(self._numbers)}"
        await self._send(msg="method", id=key, method=method, params=list(params))

        async def answer() -> dict[str, Any]:
            await self.until(
                lambda: key in self._answers and key in self._updated, f"result of {method}"
            )
            return self._answers[key]

        return asyncio.create_task(answer())

    async def fence(self) -> None:
        """Return when all that was committed before has come."""
        await self.quiet()
        answer = await self.call("fence")
        assert "error" not in answer, answer

    @property
    def documents(self) -> dict[str, dict[str, dict[str, Any]]]:
        return {name: documents for name, documents in self.store.collections.items() if documents}
