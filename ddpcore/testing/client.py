"""A DDP client in memory: it talks to a server of the same process, without a socket."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from ddpcore.errors import DDPError, MeteorError
from ddpcore.server import Server
from ddpcore.server.runtime import SessionRuntime
from ddpcore.session.strategy import PublicationStrategy
from ddpcore.testing.store import DATA, Store
from ddpcore.testing.transport import RecordingTransport
from ddpcore.wire import ejson
from ddpcore.wire.unset import UNSET

__all__ = ["PATIENCE", "Client", "Subscription", "connect", "running"]

PATIENCE = 30.0
"""Real seconds within which anything that should happen has happened."""

T = TypeVar("T")


class Subscription:
    """A client's subscription; `Client.subscribe` makes one.

    Attributes:
        id: What messages call it.
        name: The publication's name.
        ready: Whether the server has said that the initial documents are complete.
        stopped: Whether the subscription is over.
        error: Why, if the server ended it with an error.
    """

    def __init__(self, client: Client, id: str, name: str) -> None:  # noqa: A002
        self._client = client
        self.id = id
        self.name = name
        self.ready = False
        self.stopped = False
        self.error: MeteorError | None = None

    async def stop(self) -> None:
        """End it, and wait until its documents are gone. Idempotent."""
        if not self.stopped:
            self._client.send({"msg": "unsub", "id": self.id})
            await self._client.until(lambda: self.stopped)

    def __repr__(self) -> str:
        state = "stopped" if self.stopped else "ready" if self.ready else "waiting"
        return f"<subscription {self.id} to {self.name!r}: {state}>"


class Client:
    """A client of a server that runs; `connect` makes one that has said hello.

    What the server sends is replayed: a document added twice, or changed without a change, makes
    the next wait fail, and the end of `connect`. All methods are for the server's event loop.

    Args:
        server: A running server.
        user_id: Who the client is logged in as, without a log-in.
        address: The client's IP address.
        headers: The request's headers; handlers see those that are safe to see.
        patience: Real seconds to wait for anything.
        answer_pings: Whether the client shows that it lives, as clients do.

    Attributes:
        transport: The client's way to the server, with the frames.
        store: The documents the client holds.
        session: The session's id; None before `connected`.
    """

    def __init__(
        self,
        server: Server,
        *,
        user_id: str | None = None,
        address: str | None = "127.0.0.1",
        headers: Mapping[str, str] | None = None,
        patience: float = PATIENCE,
        answer_pings: bool = True,
    ) -> None:
        self.transport = RecordingTransport(address, headers, self._take)
        self.store = Store(
            lambda name: server.publication_strategy(name) is PublicationStrategy.SERVER_MERGE
        )
        self.session: str | None = None
        self.patience = patience
        self._answer_pings = answer_pings
        self._gone = False
        self._fault: AssertionError | None = None
        self._numbers = itertools.count(1)
        self._results: dict[str, dict[str, Any]] = {}
        self._updated: set[str] = set()
        self._subscriptions: dict[str, Subscription] = {}
        receiver = server.accept(self.transport)
        if user_id is not None:
            assert isinstance(receiver, SessionRuntime)
            receiver.machine.user_id = user_id

    # What users do

    def connect(self) -> None:
        """Say hello; the function `connect` also waits for the answer."""
        self.send({"msg": "connect", "version": "1", "support": ["1"]})

    async def call(self, name: str, *params: Any) -> Any:
        """Call a method and wait until it is over, and its writes have arrived (`updated`).

        Args:
            name: The method.
            *params: Its arguments, EJSON values.

        Returns:
            The result, decoded from EJSON; `ddpcore.UNSET` where the method returned none.

        Raises:
            ddpcore.MeteorError: The method failed, and this is what clients see of it.
        """
        key = self._number()
        self.send({"msg": "method", "id": key, "method": name, "params": _encoded(params)})
        await self.until(lambda: key in self._results and key in self._updated)
        self._updated.remove(key)
        result = self._results.pop(key)
        if "error" in result:
            raise _meteor_error(result["error"])
        return ejson.decode(result["result"]) if "result" in result else UNSET

    async def subscribe(self, name: str, *params: Any, wait: bool = True) -> Subscription:
        """Subscribe, and wait until the subscription is ready or over.

        Args:
            name: The publication.
            *params: Its arguments, EJSON values.
            wait: False: return at once, for publications that are never ready.

        Returns:
            The subscription.

        Raises:
            ddpcore.MeteorError: The publication failed, and this is what clients see of it.
        """
        subscription = Subscription(self, self._number(), name)
        self._subscriptions[subscription.id] = subscription
        self.send(
            {"msg": "sub", "id": subscription.id, "name": name, "params": _encoded(params)},
        )
        if wait:
            await self.until(lambda: subscription.ready or subscription.stopped)
            if subscription.error is not None:
                raise subscription.error
        return subscription

    def collection(self, name: str) -> dict[str, dict[str, Any]]:
        """The documents of the collection `name` that the client holds at this moment.

        Returns:
            Id → fields, decoded from EJSON.
        """
        return {key: dict(fields) for key, fields in self.store.docs(name).items()}

    def leave(self) -> None:
        """Say goodbye and go: the session ends at once. Idempotent."""
        if not self._gone and not self.closed and self.session is not None:
            self.send({"msg": "disconnect"})
        self.drop()

    def drop(self) -> None:
        """Lose the connection without a word: the session waits for a return. Idempotent."""
        if not self._gone:
            self._gone = True
            self.transport.lose()

    # Waiting

    async def until(self, predicate: Callable[[], T]) -> T:
        """Wait for `predicate` to be true; it is asked now and whenever a message comes.

        Returns:
            What it returned.

        Raises:
            AssertionError: The server has sent what it should not have.
            ConnectionError: The connection is closed, and so it never will be true.
            TimeoutError: It was not true within `patience`.
        """

        def look() -> T:
            self.check()
            if not (value := predicate()) and (self.closed or self._gone):
                raise ConnectionError(f"The connection is closed: {self.closed or 'by the client'}")
            return value

        try:
            async with asyncio.timeout(self.patience) as limit:
                return await self.transport.until(look)
        except TimeoutError:
            if not limit.expired():
                raise
            last = "\n".join(map(str, self.messages[-10:])) or "none"
            raise TimeoutError(
                f"Not within {self.patience} s. The last messages:\n{last}"
            ) from None

    async def message(self, **members: Any) -> dict[str, Any]:
        """The first message with these members, whenever it comes or came.

        Args:
            **members: What it has, as it travels: ``msg="nosub", id="7"``.

        Raises:
            AssertionError: See `until`, as for the others.
            ConnectionError: It will not come.
            TimeoutError: It has not come.
        """

        def find() -> dict[str, Any] | None:
            return next((m for m in self.messages if members.items() <= m.items()), None)

        found = await self.until(find)
        assert found is not None
        return found

    def check(self) -> None:
        """Look back at what the server sent.

        Raises:
            AssertionError: It has sent what it should not have.
        """
        if self._fault is not None:
            raise self._fault

    # The wire

    @property
    def messages(self) -> list[dict[str, Any]]:
        """All messages that came, read as JSON. May be cleared, to begin a new story."""
        return self.transport.messages

    @property
    def closed(self) -> tuple[int, str] | None:
        """The code and the reason of the server's close; None: it has not closed."""
        return self.transport.closed

    def send(self, message: Mapping[str, Any] | str | bytes) -> None:
        """Send a `message` as it stands; text need not even be JSON.

        Raises:
            ConnectionError: The connection is closed.
        """
        if self.closed or self._gone:
            raise ConnectionError(f"The connection is closed: {self.closed or 'by the client'}")
        self.transport.put(message if isinstance(message, str | bytes) else json.dumps(message))

    def _number(self) -> str:
        return str(next(self._numbers))

    def _take(self, message: dict[str, Any]) -> None:
        # The server's code is above us on the stack, and would take our exception for its own.
        try:
            assert not self.transport.late, f"sent after the close: {message}"
            self._replay(message)
        except AssertionError as fault:
            self._fault = self._fault or fault

    def _replay(self, message: dict[str, Any]) -> None:
        kind = message["msg"]
        if kind in DATA:
            self.store.take(message)
        elif kind == "result":
            self._results[message["id"]] = message
        elif kind == "updated":
            self._updated.update(message["methods"])
        elif kind == "ready":
            for key in message["subs"]:
                if key in self._subscriptions:
                    self._subscriptions[key].ready = True
        elif kind == "nosub":
            if subscription := self._subscriptions.pop(message.get("id", ""), None):
                subscription.stopped = True
                if "error" in message:
                    subscription.error = _meteor_error(message["error"])
        elif kind == "connected":
            self.session = message["session"]
        elif kind == "ping" and self._answer_pings:
            # Later, as over a network: the session is at work.
            asyncio.get_running_loop().call_soon(self._pong, message)

    def _pong(self, ping: dict[str, Any]) -> None:
        if not (self.closed or self._gone):
            self.send({**ping, "msg": "pong"})


@asynccontextmanager
async def connect(
    server: Server,
    *,
    user_id: str | None = None,
    address: str | None = "127.0.0.1",
    headers: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
    answer_pings: bool = True,
) -> AsyncIterator[Client]:
    """A connected client of a server, which runs meanwhile; see `running`.

    Args:
        server: The server.
        user_id: Who the client is logged in as, without a log-in.
        address: The client's IP address.
        headers: The request's headers; handlers see those that are safe to see.
        patience: Real seconds to wait for anything.
        answer_pings: Whether the client shows that it lives, as clients do.

    Yields:
        The client, which has said hello and leaves at the end.

    Raises:
        AssertionError: The server has sent what it should not have.
        ConnectionError: The server did not want the client.
        ddpcore.DDPError: The server cannot start.
    """
    async with running(server):
        client = Client(
            server,
            user_id=user_id,
            address=address,
            headers=headers,
            patience=patience,
            answer_pings=answer_pings,
        )
        try:
            client.connect()
            await client.until(lambda: client.session)
            yield client
            client.check()
        finally:
            client.leave()


# How many need a server that was started here.
_needed: WeakKeyDictionary[Server, int] = WeakKeyDictionary()


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[Server]:
    """Start `server`, and stop it when the last who needs it has gone.

    A server that runs already is left as it is.

    Yields:
        The same server.

    Raises:
        ddpcore.DDPError: The server cannot start.
    """
    if server not in _needed and _runs(server):
        yield server
        return
    _needed[server] = _needed.get(server, 0) + 1
    try:
        await server.start()
        yield server
    finally:
        _needed[server] -= 1
        if not _needed[server]:
            del _needed[server]
            await server.stop()


def _runs(server: Server) -> bool:
    try:
        return bool(server.crossbar)
    except DDPError:
        return False


def _encoded(params: tuple[Any, ...]) -> list[Any]:
    return [ejson.encode(each) for each in params]


def _meteor_error(wire: Mapping[str, Any]) -> MeteorError:
    return MeteorError(wire["error"], wire.get("reason"), wire.get("details"))
