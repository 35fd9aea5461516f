"""DDP from a client's side, three ways: in memory, over a raw WebSocket, and in SockJS framing.

A test of the protocol is written once, against `Client`, and run by each `Driver`::

    async def test_025_pong(ddp):
        async with ddp.client(Server()) as client:
            await client.say(msg="ping")
            assert await client.hear() == {"msg": "pong"}

Nothing here waits for time to pass. That something does *not* come is shown by what comes instead:
`Client.rest` and `Client.pinged` send a message that must be answered, and return all before it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import websockets
from served import served

from ddpcore import Document, LiveQuery, Server
from ddpcore.transport import MemoryTransport, visible_headers
from ddpcore.wire.frame import Frame

Message = dict[str, Any]


class Closed(Exception):
    """The server has closed the connection."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Client(ABC):
    """One client. It complains of data messages that break the discipline, if it is strict."""

    session: str | None = None
    strict = True

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._documents: set[tuple[str, str]] = set()

    @abstractmethod
    async def text(self, text: str) -> None:
        """Send a text."""

    @abstractmethod
    async def receive(self) -> str:
        """The next text of the server; raises `Closed`."""

    @abstractmethod
    async def leave(self) -> None:
        """Be gone, without a word."""

    # Words of DDP

    async def say(self, **message: Any) -> None:
        await self.text(json.dumps(message))

    async def hear(self) -> Message:
        message: Message = json.loads(await self.receive())
        if self.strict:
            self._check(message)
        return message

    def _check(self, message: Message) -> None:
        kind = message.get("msg")
        if kind not in ("added", "changed", "removed"):
            return
        document = message["collection"], message["id"]
        assert (document in self._documents) == (kind != "added"), message
        assert kind != "changed" or message.get("fields") or message.get("cleared"), message
        if kind == "added":
            self._documents.add(document)
        elif kind == "removed":
            self._documents.remove(document)

    async def until(self, **parts: Any) -> list[Message]:
        """All messages up to the first that has these members, which is the last one."""
        heard = []
        while True:
            message = await self.hear()
            heard.append(message)
            if all(name in message and message[name] == parts[name] for name in parts):
                return heard

    async def pinged(self) -> list[Message]:
        """What comes before the answer to a ping, which is at once."""
        id = f"ping{next(self._numbers)}"
        await self.say(msg="ping", id=id)
        return (await self.until(msg="pong", id=id))[:-1]

    async def rest(self) -> list[Message]:
        """What comes before the answer to a message that waits for its turn."""
        id = f"turn{next(self._numbers)}"
        await self.say(msg="unsub", id=id)
        return (await self.until(msg="nosub", id=id))[:-1]

    async def closed(self) -> Closed:
        """How the server closes; nothing may come before."""
        try:
            unexpected = await self.receive()
        except Closed as closed:
            return closed
        raise AssertionError(unexpected)

    async def connect(self, version: str = "1", **more: Any) -> Message:
        await self.say(msg="connect", version=version, support=[version], **more)
        message = await self.hear()
        self.session = message.get("session")
        return message

    async def sub(self, id: str, name: str, *params: Any) -> None:
        await self.say(msg="sub", id=id, name=name, params=list(params))

    async def subscribed(self, id: str, name: str, *params: Any) -> list[Message]:
        """Subscribe; all messages up to `ready`."""
        await self.sub(id, name, *params)
        return await self.until(msg="ready", subs=[id])

    async def refused(self, id: str, name: str, *params: Any) -> Message:
        """Subscribe; the error in the `nosub` that must be the only answer."""
        await self.sub(id, name, *params)
        message = await self.hear()
        error: Message = message.pop("error")
        assert message == {"msg": "nosub", "id": id}
        return error

    async def method(self, name: str, *params: Any, id: str = "m", **more: Any) -> None:
        await self.say(msg="method", id=id, method=name, params=list(params), **more)

    async def answered(self, id: str = "m") -> list[Message]:
        """All messages until `result` and `updated` of a call have come."""
        heard = []
        missing = {"result", "updated"}
        while missing:
            message = await self.hear()
            heard.append(message)
            if message.get("id") == id or message.get("methods") == [id]:
                missing.remove(message["msg"])
        return heard

    async def result(self, name: str, *params: Any, **more: Any) -> Message:
        """Call a method; its `result` message. Nothing but `updated` may come beside it."""
        await self.method(name, *params, **more)
        heard = await self.answered(more.get("id", "m"))
        (result,) = (each for each in heard if each["msg"] == "result")
        assert len(heard) == 2, heard
        return result

    async def error(self, name: str, *params: Any) -> Message:
        """Call a method that fails; its error."""
        error: Message = (await self.result(name, *params))["error"]
        return error


class Place(ABC):
    """A running server that clients can come to."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.clients: list[Client] = []

    async def stranger(self, headers: Mapping[str, str] | None = None) -> Client:
        """A connection on which nothing has been said."""
        client = await self._open(headers or {})
        self.clients.append(client)
        return client

    async def client(self, version: str = "1") -> Client:
        """A client that has a session."""
        client = await self.stranger()
        assert (await client.connect(version))["msg"] == "connected"
        return client

    @abstractmethod
    async def _open(self, headers: Mapping[str, str]) -> Client: ...


class Driver(ABC):
    """A way to a server."""

    name: str

    @asynccontextmanager
    async def place(self, server: Server) -> AsyncIterator[Place]:
        """Let a server run."""
        async with self._run(server) as place:
            try:
                yield place
            finally:
                for client in place.clients:
                    await client.leave()

    @abstractmethod
    def _run(self, server: Server) -> Any: ...

    @asynccontextmanager
    async def stranger(self, server: Server) -> AsyncIterator[Client]:
        """The only connection to a server."""
        async with self.place(server) as place:
            yield await place.stranger()

    @asynccontextmanager
    async def client(self, server: Server, version: str = "1") -> AsyncIterator[Client]:
        """The only client of a server."""
        async with self.place(server) as place:
            yield await place.client(version)


# --- in memory -----------------------------------------------------------------------------------


class _Wire(MemoryTransport):
    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__()
        self.headers = visible_headers(headers.items())
        self.texts: asyncio.Queue[str | Closed] = asyncio.Queue()

    def send(self, frames: Sequence[Frame]) -> None:
        assert self.closed is None, f"sent after the close: {frames}"
        for frame in frames:
            self.texts.put_nowait(frame.data.decode("ascii"))

    def close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.texts.put_nowait(Closed(code, reason))
        super().close(code, reason)


class _MemoryClient(Client):
    def __init__(self, wire: _Wire) -> None:
        super().__init__()
        self._wire = wire

    async def text(self, text: str) -> None:
        if self._wire.receiver is not None and self._wire.closed is None:
            self._wire.receiver.receive(text)

    async def receive(self) -> str:
        text = await self._wire.texts.get()
        if isinstance(text, Closed):
            raise text
        return text

    async def leave(self) -> None:
        receiver, self._wire.receiver = self._wire.receiver, None
        if receiver is not None:
            receiver.lost()


class _MemoryPlace(Place):
    async def _open(self, headers: Mapping[str, str]) -> Client:
        wire = _Wire(headers)
        self.server.accept(wire)
        return _MemoryClient(wire)


class MemoryDriver(Driver):
    """The machine and its runtime, without a socket."""

    name = "memory"

    @asynccontextmanager
    async def _run(self, server: Server) -> AsyncIterator[Place]:
        await server.start()
        try:
            yield _MemoryPlace(server)
        finally:
            await server.stop()


# --- through Tornado -----------------------------------------------------------------------------


class _RawClient(Client):
    def __init__(self, socket: websockets.ClientConnection) -> None:
        super().__init__()
        self._socket = socket

    async def text(self, text: str) -> None:
        try:
            await self._socket.send(text)
        except websockets.ConnectionClosed:  # `receive` says so
            pass

    async def receive(self) -> str:
        try:
            text = await self._socket.recv()
        except websockets.ConnectionClosed as closed:
            assert closed.rcvd is not None, closed
            raise Closed(closed.rcvd.code, closed.rcvd.reason) from None
        assert isinstance(text, str)
        return text

    async def leave(self) -> None:
        await self._socket.close()


class _SockJSClient(_RawClient):
    def __init__(self, socket: websockets.ClientConnection) -> None:
        super().__init__(socket)
        self._texts: list[str] = []  # a frame may hold several messages

    async def text(self, text: str) -> None:
        await super().text(json.dumps([text]))

    async def receive(self) -> str:
        if self._texts:
            return self._texts.pop(0)
        frame = await super().receive()
        if frame.startswith("c"):
            announced = Closed(*json.loads(frame[1:]))
            try:
                raise AssertionError(await super().receive())
            except Closed as closed:
                assert closed.args == announced.args
                raise
        assert frame.startswith("a"), frame
        text, *self._texts = json.loads(frame[1:])
        assert isinstance(text, str)
        return text


class _SocketPlace(Place):
    def __init__(self, server: Server, url: str, sockets: AsyncExitStack) -> None:
        super().__init__(server)
        self._url = url
        self._sockets = sockets

    async def _open(self, headers: Mapping[str, str]) -> Client:
        opening = websockets.connect(self._url, ping_interval=None, additional_headers=headers)
        socket = await self._sockets.enter_async_context(opening)
        if not self._url.endswith("abcd0123/websocket"):
            return _RawClient(socket)
        assert await socket.recv() == "o"
        return _SockJSClient(socket)


class SocketDriver(Driver):
    """A WebSocket at some path of a Tornado server."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self._path = path

    @asynccontextmanager
    async def _run(self, server: Server) -> AsyncIterator[Place]:
        async with served(server) as address, AsyncExitStack() as sockets:
            yield _SocketPlace(server, f"ws://{address}{self._path}", sockets)


DRIVERS: list[Driver] = [
    MemoryDriver(),
    SocketDriver("raw", "/websocket"),
    SocketDriver("sockjs", "/sockjs/123/abcd0123/websocket"),
]


# --- something to publish ------------------------------------------------------------------------


class Rows(LiveQuery):
    """Rows in a dictionary as a live query; its topic is its collection.

    `gate`, if there is one, must be open whenever the rows are asked for.
    """

    def __init__(
        self,
        collection: str,
        rows: Mapping[str, Mapping[str, Any]],
        gate: asyncio.Event | None = None,
    ) -> None:
        self.collection = collection
        self.key = (collection, id(rows))
        self.topics = frozenset({collection})
        self.rows = rows
        self.gate = gate

    async def fetch(self) -> Mapping[str, Document]:
        if self.gate is not None:
            await self.gate.wait()
        return {key: Document.of(self.collection, key, row) for key, row in self.rows.items()}


class Stage:
    """A server with a publication "p" that does nothing but let tests publish, and be ready."""

    def __init__(self, **options: Any) -> None:
        self.server = Server(**options)
        self.contexts: list[Any] = []

        @self.server.publish("p")
        async def p(ctx, *params):
            self.contexts.append(ctx)
            ctx.ready()

    async def enter(self, client: Client, id: str) -> Any:
        """Subscribe; the context to publish with."""
        assert await client.subscribed(id, "p") == [{"msg": "ready", "subs": [id]}]
        return self.contexts[-1]


def added(collection: str, id: str, **fields: Any) -> Message:
    message: Message = {"msg": "added", "collection": collection, "id": id}
    return message | ({"fields": fields} if fields else {})


def changed(collection: str, id: str, cleared: list[str] | None = None, **fields: Any) -> Message:
    message: Message = {"msg": "changed", "collection": collection, "id": id}
    return (
        message | ({"fields": fields} if fields else {}) | ({"cleared": cleared} if cleared else {})
    )


def removed(collection: str, id: str) -> Message:
    return {"msg": "removed", "collection": collection, "id": id}


def ready(*ids: str) -> Message:
    return {"msg": "ready", "subs": list(ids)}


def nosub(id: str) -> Message:
    return {"msg": "nosub", "id": id}


def error(error: int | str, reason: str, **more: Any) -> Message:
    """An error as it travels."""
    return {
        "isClientSafe": True,
        "error": error,
        "reason": reason,
        **more,
        "message": f"{reason} [{error}]",
        "errorType": "Meteor.Error",
    }


INTERNAL = error(500, "Internal server error")
UNMATCHED = error(400, "Match failed")
