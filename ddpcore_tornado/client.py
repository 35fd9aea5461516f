"""A DDP client for asyncio, over Tornado's WebSockets.

::

    async with connect("https://example.org") as client:
        total = await client.call("add", 1, 2)
        books = client.subscribe("books")
        await books.ready()
        for key, fields in client.collection("books").items(): ...
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self
from weakref import WeakSet

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError
from tornado.websocket import (
    WebSocketClientConnection,
    WebSocketClosedError,
    WebSocketError,
    websocket_connect,
)

from ddpcore.client import Call, Change, Machine, Sub, password_digest, retry_delay, websocket_url
from ddpcore.clock import Clock, LoopClock, Timer
from ddpcore.errors import DDPError
from ddpcore.wire.unset import UNSET

__all__ = [
    "Changes",
    "Client",
    "Collection",
    "Login",
    "NoConnection",
    "Subscription",
    "Traffic",
    "connect",
]

logger = logging.getLogger(__name__)

MAX_MESSAGE_SIZE = 64 * 1024 * 1024
"""Bytes that a message of the server may have. Servers are trusted more than clients are, and one
document may be large; without any limit a mistake of a server could take all memory."""

NO_SERVER = "Is it the address of a DDP server? Django's runserver is none: use `ddpcore serve`."
"""What to ask whoever got an answer that is not DDP's."""

CLOSING = 2.0
"""Seconds to wait for the server's side of the close."""

STEADY = 10.0
"""Seconds after which a connection that stood was a good one: the next is tried at once again. A
server that closes each connection after its greeting is not asked a hundred times a second."""


class NoConnection(DDPError, ConnectionError):
    """There is no connection to the server; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who a client is.

    Attributes:
        user_id: The user's id.
        token: What the user can come back with, a secret; None: the server gives none.
        expires: When the token is no good any more (a `datetime`), if the server says so.
    """

    user_id: str
    token: str | None
    expires: Any = None

    def __repr__(self) -> str:
        return f"<login of user {self.user_id!r}>"  # the token stays out of logs


@dataclass(slots=True)
class Traffic:
    """What went over the wire, before WebSocket's frames, over all connections of a client.

    Attributes:
        messages_in: Messages of the server.
        messages_out: Messages to it.
        bytes_in: Characters of what came, or bytes where it came as such.
        bytes_out: Characters of what was sent; it is ASCII.
    """

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class Subscription:
    """A subscription; `Client.subscribe` makes one.

    Attributes:
        name: The publication.
        on_ready: Called when the initial documents are complete, before any later change is told.
    """

    def __init__(self, client: Client, sub: Sub) -> None:
        self._client = client
        self._sub = sub
        self.name = sub.name
        self.on_ready: Callable[[], object] | None = None
        self._answered: asyncio.Future[None] = client._loop.create_future()
        self._over: asyncio.Future[None] = client._loop.create_future()

    @property
    def is_ready(self) -> bool:
        """Whether the initial documents were complete once."""
        return self._sub.ready

    @property
    def stopped(self) -> bool:
        """Whether it is over, and its documents are gone."""
        return self._sub.stopped

    @property
    def error(self) -> Exception | None:
        """Why the server ended it; None: it goes on, or ended without a reason."""
        return self._sub.error

    async def ready(self) -> Self:
        """Wait until the initial documents are complete.

        Returns:
            The subscription itself.

        Raises:
            ddpcore.MeteorError: The server refused it.
            ConnectionError: It ended before it was ready, or the client was closed.
        """
        await asyncio.shield(self._answered)
        if self._sub.error is not None:
            raise self._sub.error
        if not self._sub.ready:
            raise NoConnection(f"The subscription to {self.name!r} ended before it was ready.")
        return self

    async def stop(self) -> None:
        """End it, and wait until its documents are gone. Idempotent."""
        self._client._machine.unsubscribe(self._sub)
        await asyncio.shield(self._over)

    async def over(self) -> None:
        """Wait until it has ended, by whomever."""
        await asyncio.shield(self._over)

    def __aiter__(self) -> Changes:
        """All changes of the client's documents from now on, until the subscription is over.

        DDP does not tell which subscription a document belongs to. With several, look at
        `Change.collection`, or use `Collection.changes`.
        """
        return self._client._changes(None, self)

    def _tell(self) -> None:
        if not self._answered.done() and (self._sub.ready or self._sub.stopped):
            self._answered.set_result(None)
        if not self._over.done() and self._sub.stopped:
            self._over.set_result(None)

    def __repr__(self) -> str:
        state = "stopped" if self.stopped else "ready" if self.is_ready else "waiting"
        return f"<subscription to {self.name!r}: {state}>"


class Changes:
    """Changes as they come: an asynchronous iterator of `ddpcore.client.Change`.

    `Client.changes` makes one, and so do `Collection.changes` and an ``async for`` over
    a `Subscription`. It begins when it is made, and ends with the client or the subscription. What
    comes waits in memory until it is taken.
    """

    def __init__(self, collection: str | None, subscription: Subscription | None) -> None:
        self._collection = collection
        self._subscription = subscription
        self._waiting: deque[Change] = deque()
        self._news = asyncio.Event()
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while not self._waiting:
            if self._over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()

    def _tell(self, change: Change) -> None:
        if self._collection is None or change.collection == self._collection:
            self._waiting.append(change)
            self._news.set()

    def _end(self) -> None:
        self._over = True
        self._news.set()


class Collection(Mapping[str, Mapping[str, Any]]):
    """The documents of a collection that the client holds at this moment: id → fields.

    `Client.collection` makes one. The documents themselves never change: a change puts another in
    the place of the first.

    Attributes:
        name: The collection's name.
    """

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self.name = name

    def __getitem__(self, key: str) -> Mapping[str, Any]:
        return self._client._machine.documents.of(self.name)[key]

    def __iter__(self) -> Iterator[str]:
        # A copy: documents may come and go while somebody awaits in a loop over them.
        return iter(list(self._client._machine.documents.of(self.name)))

    def __len__(self) -> int:
        return len(self._client._machine.documents.of(self.name))

    def changes(self) -> Changes:
        """What changes from now on, until the client is closed."""
        return self._client._changes(self.name, None)

    def __repr__(self) -> str:
        return f"<collection {self.name!r}: {len(self)} documents>"


class Client:
    """A DDP client. `connect` makes one that is connected; the arguments are described there.

    Attributes:
        url: The address of the server's WebSocket.
        connected: Set while the session stands.
        traffic: What went over the wire.
        on_change: Called with each change as it comes; it must not raise.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        cafile: str | None = None,
        insecure: bool = False,
        max_message_size: int = MAX_MESSAGE_SIZE,
        reconnect: bool = True,
        connect_timeout: float = 10.0,
        heartbeat_interval: float = 17.5,
        heartbeat_timeout: float = 15.0,
        clock: Clock | None = None,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        self.url = websocket_url(url)
        self.connected = asyncio.Event()
        self.traffic = Traffic()
        self.on_change: Callable[[Change], object] | None = None
        self._loop = asyncio.get_running_loop()
        self._headers = dict(headers or {})
        self._tls = _tls(cafile, insecure=insecure) if self.url.startswith("wss:") else None
        self._max_message_size = max_message_size
        self._reconnect = reconnect
        self._connect_timeout = connect_timeout
        self._clock = clock or LoopClock()
        self._fraction = fraction
        self._machine = Machine(
            _Wire(self),
            heartbeat_interval=heartbeat_interval,
            heartbeat_timeout=heartbeat_timeout,
            connect_timeout=connect_timeout,
        )
        self._socket: WebSocketClientConnection | None = None
        self._ended = asyncio.Event()  # of that socket
        self._attempts = 0
        self._since: float | None = None  # the session stands
        self._connecting: asyncio.Task[None] | None = None
        self._timer: Timer | None = None  # of the machine
        self._retry: Timer | None = None
        self._closed = False
        self._trouble: str | None = None  # why there is no connection at present
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._news = asyncio.Event()  # the first connection stands, or will not
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._watchers: WeakSet[Changes] = WeakSet()

    # What users do

    async def call(
        self,
        name: str,
        /,
        *params: Any,
        retry: bool = True,
        random_seed: str | None = None,
    ) -> Any:
        """Call a method, and wait for the result and for all that it wrote (`updated`).

        Without a connection the call waits for one. Whoever is cancelled while he waits, as by
        `asyncio.timeout`, has perhaps called: the method may run all the same.

        Args:
            name: The method.
            *params: Its arguments, EJSON values.
            retry: Send it again when the connection is lost before the result, as Meteor does; it
                may then run twice. False: it fails with the code ``invocation-failed`` instead.
            random_seed: The seed for ids that the method makes.

        Returns:
            The result, decoded from EJSON; None where the method returned none.

        Raises:
            ddpcore.MeteorError: The method failed, and this is what the server says of it.
            ConnectionError: The client is closed.
            TypeError: An argument is nothing EJSON can carry.
            ValueError: An argument is too deep for EJSON, or what came back is no EJSON.
        """
        result = await self._call(name, params, retry=retry, random_seed=random_seed)
        return None if result is UNSET else result

    def subscribe(self, name: str, /, *params: Any) -> Subscription:
        """Subscribe; documents come into `collection`.

        After a lost connection it is made again by itself.

        Args:
            name: The publication.
            *params: Its arguments, EJSON values.

        Returns:
            The subscription, which has yet to become ready.

        Raises:
            ConnectionError: The client is closed.
            TypeError: An argument is nothing EJSON can carry.
            ValueError: An argument is too deep for EJSON.
        """
        self._check_open()
        sub = self._machine.subscribe(name, params)
        subscription = self._subscriptions[sub.id] = Subscription(self, sub)
        return subscription

    def collection(self, name: str) -> Collection:
        """The documents of the collection `name`, as they are at any moment."""
        return Collection(self, name)

    def changes(self) -> Changes:
        """What changes in all collections from now on, until the client is closed."""
        return self._changes(None, None)

    @property
    def collections(self) -> list[str]:
        """The names of the collections of which there are documents."""
        return [name for name, found in self._machine.documents.collections.items() if found]

    async def login(
        self,
        *,
        token: str | None = None,
        user: str | Mapping[str, Any] | None = None,
        password: str | None = None,
    ) -> Login:
        """Log in, by a token or by a password; after a lost connection again, by token.

        Args:
            token: A login token from an earlier time.
            user: A user name, an e-mail address (it has an ``@``), or Meteor's selector, such as
                ``{"id": "7"}``.
            password: The password. It does not travel, its digest does.

        Returns:
            Who the client is now, with a token for another time.

        Raises:
            ddpcore.MeteorError: The server refused.
            ddpcore.DDPError: What it answered does not say who we are.
            ConnectionError: The client is closed.
            TypeError: Neither a token alone nor a user with a password.
        """
        if token is not None and user is None and password is None:
            options: dict[str, Any] = {"resume": token}
        elif token is None and user is not None and password is not None:
            if isinstance(user, str):
                user = {"email" if "@" in user else "username": user}
            options = {"user": dict(user), "password": password_digest(password)}
        else:
            raise TypeError("login() takes either token, or user and password")
        result = await self._call("login", [options], login=True)
        if not isinstance(result, dict) or not isinstance(result.get("id"), str):
            raise DDPError("The server's `login` returned nothing that says who we are.")
        return Login(result["id"], result.get("token"), result.get("tokenExpires"))

    async def logout(self) -> None:
        """Log out; the token is no good any more.

        Raises:
            ddpcore.MeteorError: The server refused.
            ConnectionError: The client is closed.
        """
        self._machine.token = None  # who says so before a reconnect does not want to come back
        await self._call("logout", ())
        self._machine.user_id = None

    @property
    def user_id(self) -> str | None:
        """Who the client is logged in as; None: nobody."""
        return self._machine.user_id

    @property
    def session(self) -> str | None:
        """The session's id; None before the first connection."""
        return self._machine.session

    @property
    def trouble(self) -> str | None:
        """Why there is no connection; None: there is one."""
        return self._trouble

    async def close(self) -> None:
        """Say goodbye, and close. What is open fails with `ConnectionError`. Idempotent."""
        standing = self._socket is not None
        if not self._closed:
            self._machine.leave()
            self._end("The client was closed.")
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if standing:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), CLOSING)

    async def gone(self) -> None:
        """Wait until the client is closed, or will never be connected again."""
        await asyncio.shield(self._gone)

    async def _first(self) -> None:
        """Connect, at the first attempt or not at all."""
        self._attempt()
        await self._news.wait()
        if not self.connected.is_set():
            trouble = self._trouble or "The client was closed."
            await self.close()
            raise NoConnection(trouble)

    async def _call(self, name: str, params: Any, **options: Any) -> Any:
        self._check_open()
        call = self._machine.call(name, params, **options)
        answer = self._answers[call.id] = self._loop.create_future()
        try:
            return await answer
        finally:
            if self._answers.pop(call.id, None) is not None:  # cancelled
                self._machine.forget(call)

    def _check_open(self) -> None:
        if self._closed:
            raise NoConnection(self._trouble or "The client was closed.")

    def _changes(self, collection: str | None, subscription: Subscription | None) -> Changes:
        changes = Changes(collection, subscription)
        if self._closed or (subscription is not None and subscription.stopped):
            changes._end()
        else:
            self._watchers.add(changes)
        return changes

    # The socket

    def _attempt(self) -> None:
        self._retry = None
        self._connecting = self._loop.create_task(self._dial())

    async def _dial(self) -> None:
        request = HTTPRequest(
            self.url,
            headers=self._headers,
            connect_timeout=self._connect_timeout,
            request_timeout=self._connect_timeout,
            ssl_options=self._tls,
        )
        ended = asyncio.Event()
        standing: list[WebSocketClientConnection] = []

        def take(text: str | bytes | None) -> None:
            if text is None:  # the end, perhaps of a handshake that failed
                ended.set()
            if not standing or self._socket is not standing[0]:
                return
            if text is not None:
                self._receive(text)
                return
            code, reason = standing[0].close_code, standing[0].close_reason
            why = f" ({' '.join(filter(None, (str(code), reason)))})" if code else ""
            self._lose(f"The server closed the connection{why}.")

        try:
            socket = await websocket_connect(
                request, on_message_callback=take, max_message_size=self._max_message_size
            )
        except Exception as problem:
            self._failed(_explained(self.url, problem))
            return
        if self._closed:
            socket.close()
            return
        standing.append(socket)
        self._socket, self._ended = socket, ended
        self._machine.opened(self._clock.time())
        self._set_timer()

    def _receive(self, text: str | bytes) -> None:
        self.traffic.messages_in += 1
        self.traffic.bytes_in += len(text)
        self._machine.receive(text, self._clock.time())

    def _send(self, text: str) -> None:
        if self._socket is None:
            return
        self.traffic.messages_out += 1
        self.traffic.bytes_out += len(text)
        try:
            sent = self._socket.write_message(text)
        except (WebSocketClosedError, StreamClosedError):
            return  # the end of the connection is told by itself
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _stands(self) -> None:
        self._since = self._clock.time()
        self._trouble = None
        self.connected.set()
        self._news.set()
        self._set_timer()

    def _lose(self, trouble: str, *, at_once: bool = False) -> None:
        """The socket is gone, or is to go."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()
        self._machine.lost()
        self._failed(trouble, at_once=at_once)

    def _failed(self, trouble: str, *, at_once: bool = False) -> None:
        """There is no socket: try again, or never."""
        if self._closed:
            return
        self._trouble = trouble
        self.connected.clear()
        self._stop_timer()
        if at_once:
            self._attempt()
        elif not self._news.is_set():
            self._news.set()  # whoever connects is told
        elif self._reconnect:
            self._come_back()
        else:
            self._machine.leave()
            self._end(trouble)

    def _come_back(self) -> None:
        now = self._clock.time()
        if self._since is not None and now - self._since >= STEADY:
            self._attempts = 0
        self._since = None
        wait = retry_delay(self._attempts, self._fraction())
        self._attempts += 1
        logger.info("%s Connecting again in %.3g s.", self._trouble, wait)
        self._retry = self._clock.call_at(now + wait, self._attempt)

    def _end(self, trouble: str) -> None:
        self._closed = True
        self._trouble = trouble
        self.connected.clear()
        self._news.set()
        self._stop_timer()
        if self._retry is not None:
            self._retry.cancel()
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close(1000)
        for changes in list(self._watchers):
            changes._end()
        if not self._gone.done():
            self._gone.set_result(None)

    # The clock

    def _set_timer(self) -> None:
        self._stop_timer()
        deadline = self._machine.deadline
        if deadline is not None and not self._closed:
            self._timer = self._clock.call_at(deadline, self._tick)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._machine.tick(self._clock.time())
        self._set_timer()


class _Wire:
    """Carries out what the machine of a client wants."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def send(self, text: str) -> None:
        self._client._send(text)

    def close(self, reason: str, *, at_once: bool = False) -> None:
        self._client._lose(reason, at_once=at_once)

    def connected(self, resumed: bool) -> None:
        logger.debug("The session %s.", "goes on" if resumed else "begins")
        self._client._stands()

    def refused(self, reason: str) -> None:
        self._client._end(reason)

    def done(self, call: Call) -> None:
        answer = self._client._answers.pop(call.id, None)
        if answer is None or answer.done():
            return
        if call.error is not None:
            answer.set_exception(call.error)
        else:
            answer.set_result(call.result)

    def ready(self, sub: Sub) -> None:
        subscription = self._client._subscriptions[sub.id]
        subscription._tell()
        if subscription.on_ready is not None:
            subscription.on_ready()

    def stopped(self, sub: Sub) -> None:
        subscription = self._client._subscriptions.pop(sub.id, None)
        if subscription is None:
            return
        subscription._tell()
        for changes in list(self._client._watchers):
            if changes._subscription is subscription:
                changes._end()

    def changed(self, change: Change) -> None:
        for changes in list(self._client._watchers):
            changes._tell(change)
        if self._client.on_change is not None:
            self._client.on_change(change)

    def logged_out(self, error: Exception) -> None:
        logger.warning("The server does not take the login back: %s", error)


@asynccontextmanager
async def connect(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    cafile: str | None = None,
    insecure: bool = False,
    max_message_size: int = MAX_MESSAGE_SIZE,
    reconnect: bool = True,
    connect_timeout: float = 10.0,
    heartbeat_interval: float = 17.5,
    heartbeat_timeout: float = 15.0,
    clock: Clock | None = None,
    fraction: Callable[[], float] = random.random,
) -> AsyncIterator[Client]:
    """A client that is connected; it is closed at the end.

    Args:
        url: ``host:port``, ``http(s)://host[:port][/prefix]``, or ``ws(s)://…/websocket``.
        headers: Further headers of the request.
        cafile: A file with the certificates of the authorities to trust, instead of the system's.
        insecure: Trust any certificate: anybody in between can read and write everything.
        max_message_size: Bytes that a message of the server may have.
        reconnect: Connect again when the connection is lost, after 10 ms, 10 ms, 5 s, 11 s, … up to
            5 min, as Meteor. The first connection is tried once.
        connect_timeout: Seconds that a socket may take to open, and the server to greet.
        heartbeat_interval: Seconds between pings of a silent server; 0: none.
        heartbeat_timeout: Seconds to wait for life after a ping.
        clock: What time it is, for tests.
        fraction: Random numbers from 0 to 1, for tests.

    Raises:
        NoConnection: The server cannot be reached, or does not speak DDP.
        ddpcore.DDPError: The address is none, or the file of certificates cannot be used.
    """
    client = Client(
        url,
        headers=headers,
        cafile=cafile,
        insecure=insecure,
        max_message_size=max_message_size,
        reconnect=reconnect,
        connect_timeout=connect_timeout,
        heartbeat_interval=heartbeat_interval,
        heartbeat_timeout=heartbeat_timeout,
        clock=clock,
        fraction=fraction,
    )
    try:
        await client._first()
        yield client
    finally:
        await client.close()


def _tls(cafile: str | None, *, insecure: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cafile)
    except (OSError, ssl.SSLError) as problem:
        raise DDPError(f"Cannot use the certificates in {cafile}: {problem}.") from problem
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _explained(url: str, problem: Exception) -> str:
    """What went wrong, and what to do about it."""
    match problem:
        case ssl.SSLCertVerificationError():
            return (
                f"The certificate of {url} is not trusted: {problem.verify_message}. Name the file"
                " of the authority that signed it (cafile, --cafile)."
            )
        case ssl.SSLError():
            return f"{url} does not answer with TLS ({problem.reason}). Is it http:// or ws://?"
        case socket.gaierror():
            return f"There is no such host: {url}."
        case ConnectionRefusedError():
            return f"Nothing listens at {url}. Does the server run there?"
        case TimeoutError() | HTTPTimeoutError():
            tls = (
                " Does it speak TLS? Else write http:// or ws://." if url.startswith("wss") else ""
            )
            return f"{url} does not answer in time.{tls}"
        case HTTPClientError(code=code, message=message):
            return f"{url} answers {code} {message}, and no WebSocket. {NO_SERVER}"
        case WebSocketError():  # 200: a page, say
            return f"{url} opens no WebSocket. {NO_SERVER}"
        case StreamClosedError() | HTTPStreamClosedError() | ConnectionResetError():
            return f"{url} closed the connection at once. Is it https:// or wss://?"
        case _:
            return f"Cannot connect to {url}: {str(problem) or type(problem).__name__}."
