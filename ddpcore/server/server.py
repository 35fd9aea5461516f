"""The server: methods and publications by name, and the sessions that use them."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from collections import ChainMap
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Self, TypeVar, overload
from weakref import WeakSet

from ddpcore.bus import Bus, MemoryBus
from ddpcore.clock import Clock, LoopClock
from ddpcore.errors import DDPError, Stopping
from ddpcore.exporters import SHOWN
from ddpcore.hooks import PluginManager
from ddpcore.live.crossbar import Crossbar
from ddpcore.live.observer import Observer
from ddpcore.meteor import autoupdate
from ddpcore.plugins import plugin_manager
from ddpcore.server.admission import Admission
from ddpcore.server.companions import Companions
from ddpcore.server.context import Context, MethodContext
from ddpcore.server.flusher import Flusher
from ddpcore.server.handler import Handler
from ddpcore.server.rate_limiter import ACCOUNT_METHODS, RateLimiter, add_account_rules
from ddpcore.server.runtime import SessionRuntime
from ddpcore.session.machine import MAX_QUEUE_SIZE
from ddpcore.session.outbox import Traffic
from ddpcore.session.strategy import PublicationStrategy, server_merge
from ddpcore.session.transitions import State
from ddpcore.transport import HIGH_WATER, MAX_ANONYMOUS_MESSAGE_SIZE, Receiver, Transport

__all__ = ["Options", "Server"]

logger = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

MAX_MESSAGE_SIZE = 1024 * 1024

# Seconds for what is told to end, and does, to have ended.
GRACE = 1.0

# Seconds that are not worth a timer: connections whose turns are nearer are closed together.
TICK = 0.005


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of a server; see `Server`."""

    heartbeat_interval: float
    heartbeat_timeout: float
    connect_timeout: float
    grace_period: float
    grace_queue: int
    max_absent: int
    max_queue: int
    max_queue_size: int
    max_subscriptions: int
    max_message_size: int
    max_anonymous_message_size: int | None
    high_water: int
    stuck_timeout: float
    threads: int
    forwarded_count: int


class Server:
    """What clients can call and subscribe to.

    Args:
        heartbeat_interval: Seconds between pings of a silent client; 0: never. Meteor's value.
        heartbeat_timeout: Seconds that a client may take to answer one. Meteor's value.
        connect_timeout: Seconds that a socket may stay open without a `connect` message; 0: for
            ever. What Meteor intends.
        grace_period: Seconds that a session goes on without its client, which may come back and
            resume it; 0: not at all. Meteor's value.
        grace_queue: Frames kept for such a client, both of those sent last, which may be lost, and
            of those it was not there for. One more ends the session. Changes of documents do not
            count: of each document just the latest is kept. Meteor's value.
        max_absent: Sessions that may wait for their clients. One more ends the one that has
            waited longest; its client gets a new session.
        max_queue: Messages of one client that may wait for their turn; beyond, its socket is not
            read, so that a flood stays with who makes it. As many of its methods that called
            `unblock()` may be at work.
        max_queue_size: Bytes that these may have together, or one that is larger: parsed they are
            many times as much.
        max_subscriptions: Subscriptions that a client may have at once; one more is answered with
            `nosub` and the error 429. Pages have a dozen.
        max_message_size: Bytes that a message of a client may have; one that sends more is closed
            with code 1009. Meteor has no limit; what clients send is method calls, and a megabyte
            of JSON already costs a dozen megabytes of objects.
        max_anonymous_message_size: Bytes that a message of one may have that is not logged in, as
            nobody knows who makes us hold it. None: 65,536 if there is a method `login`, else
            `max_message_size`, as nobody is anybody then. It is the user of the moment that
            counts, when a message begins to come.
        high_water: Bytes that may wait to be taken by one client's network. Beyond, the changes of
            documents that a client has not been told are put together to one for each. Enough to
            have something at hand whenever the network takes more; a thousand clients that take
            nothing hold 64 MB.
        stuck_timeout: Seconds that a client may take nothing of what waits for it; then its socket
            is closed with code 1008. 0: for ever. Long enough for a telephone in a tunnel.
        threads: Threads for `def` handlers; further ones wait for one of them.
        forwarded_count: Proxies that stand before the server and add to `X-Forwarded-For`. A
            client's address is the one so far from the right, and whether it came by TLS is what
            they say in `X-Forwarded-Proto`; 0: the peer of the socket. Meteor's
            `HTTP_FORWARDED_COUNT`.
        bus: Where changes of data come from; None: a `MemoryBus`.
        executor: Makes what runs `def` handlers, at each start, in place of `threads` threads
            of the server's own.
        clock: The time, for heartbeats and other deadlines; None: the event loop's.
        plugins: Plugins for this server alone, beside the installed ones.

    Attributes:
        collections: What the documents of collections hold, by name; see `collection`.
        options: The settings among these, to be read: ``server.options.max_message_size``.
        traffic: What was sent to its clients, in numbers: a `ddpcore.session.outbox.Traffic`.
        sessions: Those that have connected and are not over, by id: to be counted. What stands
            under an id is not public.
        rate_limiter: The rules for how often clients may call and subscribe: a
            `ddpcore.server.rate_limiter.RateLimiter`.
        on_gap: Functions that are called, without arguments and on the event loop, when changes
            may have been missed. Add yours.
        plugins: Its plugins: a `ddpcore.hooks.PluginManager`.
        wants_cookies: Whether transports are to bring cookies; False: nobody looks at them.
    """

    wants_cookies = False

    def __init__(
        self,
        *,
        heartbeat_interval: float = 15.0,
        heartbeat_timeout: float = 15.0,
        connect_timeout: float = 45.0,
        grace_period: float = 15.0,
        grace_queue: int = 100,
        max_absent: int = 10_000,
        max_queue: int = 100,
        max_queue_size: int = MAX_QUEUE_SIZE,
        max_subscriptions: int = 1_000,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_anonymous_message_size: int | None = None,
        high_water: int = HIGH_WATER,
        stuck_timeout: float = 60.0,
        threads: int = 8,
        forwarded_count: int = 0,
        bus: Bus | None = None,
        executor: Callable[[], Executor] | None = None,
        clock: Clock | None = None,
        plugins: Iterable[object] = (),
    ) -> None:
        self.options = Options(
            heartbeat_interval,
            heartbeat_timeout,
            connect_timeout,
            grace_period,
            grace_queue,
            max_absent,
            max_queue,
            max_queue_size,
            max_subscriptions,
            max_message_size,
            max_anonymous_message_size,
            high_water,
            stuck_timeout,
            threads,
            forwarded_count,
        )
        self.methods: dict[str, Handler] = {}
        self.publications: dict[str, Handler] = {}
        self.collections: dict[str, Any] = {}
        # What every page of Meteor subscribes to; a publication of that name goes before it.
        own = Handler(autoupdate.NAME, autoupdate.publish_versions)
        self.offered: Mapping[str, Handler] = ChainMap(self.publications, {own.name: own})
        self.universal: list[Handler] = []
        self._strategies: dict[str, PublicationStrategy] = {}
        self.bus: Bus = bus or MemoryBus()
        self.clock: Clock = clock or LoopClock()
        self.rate_limiter = RateLimiter(self.clock.time)
        self._account_rules = False
        self.on_gap: list[Callable[[], None]] = []
        self.sessions: dict[str, SessionRuntime] = {}
        self.traffic = Traffic()
        self.admission = Admission()
        self.plugins = self.find_plugins(plugins)
        self.hears = self.plugins.hears
        self.flusher = Flusher(self.traffic, self.hears)
        self._make_executor = executor or self._threads
        self._executor: Executor | None = None
        self._crossbar: Crossbar | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # The event loop is that of the last start. Starts and stops are tasks of their own, so
        # that whoever asked may give up and others still wait for them.
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._closing = self._refusing = False
        self._companions = Companions(self)
        # All that have been accepted and are not over, also those that have yet to connect.
        self._clients: set[SessionRuntime] = set()
        # Of these, those whose clients are gone, in the order in which they went.
        self._absent: dict[SessionRuntime, None] = {}
        self._transports: WeakSet[Transport] = WeakSet()
        self._handlers: set[asyncio.Future[Any]] = set()
        self._callbacks: set[asyncio.Future[Any]] = set()
        self.plugins.call_all("ddpcore_register", server=self)

    def find_plugins(self, given: Iterable[object]) -> PluginManager:
        """The plugins it has: those that are installed, and those that it was given."""
        return plugin_manager(given)

    # Registering

    @overload
    def method(self, name: F) -> F: ...
    @overload
    def method(self, name: str | None = None) -> Callable[[F], F]: ...
    def method(self, name: F | str | None = None) -> F | Callable[[F], F]:
        """Decorate a handler to make it callable: ``@server.method`` or ``@server.method("name")``.

        The handler gets a `MethodContext`, then what the client has sent; annotations of its
        parameters are checked before it is called. What it returns is the result. None travels
        as null; return `ddpcore.UNSET` for none.

        Args:
            name: What clients call it; by default the function's name.

        Raises:
            ddpcore.DDPError: The name is taken, or the function cannot be a handler.
        """
        if callable(name):
            return self.method(name.__name__)(name)

        def register(function: F) -> F:
            handler = Handler(name or function.__name__, function)
            if handler.name in self.methods:
                raise DDPError(f"A method named {handler.name!r} is already defined.")
            self.methods[handler.name] = handler
            if handler.name in ACCOUNT_METHODS and not self._account_rules:
                self._account_rules = True
                add_account_rules(self.rate_limiter)
            return function

        return register

    def publish(self, name: str | None) -> Callable[[F], F]:
        """Decorate a handler to make it a publication: ``@server.publish("name")``.

        The handler gets a `PublicationContext`, then what the client has sent; annotations of its
        parameters are checked before it is called. It returns live queries, one or a list, or
        None where it publishes by hand.

        Args:
            name: What clients subscribe to. None: it is universal, for every client, unasked and
                without arguments.

        Raises:
            ddpcore.DDPError: The name is taken, or the function cannot be a handler.
        """

        def register(function: F) -> F:
            handler = Handler(name or function.__name__, function)
            if name is None:
                handler.bind(())
                self.universal.append(handler)
                for session in list(self.sessions.values()):
                    session.start_universal(handler)
            elif name in self.publications:
                raise DDPError(f"A publication named {name!r} is already defined.")
            else:
                self.publications[name] = handler
            return function

        return register

    def collection(self, name: str) -> Callable[[T], T]:
        """Decorate a class that says what a collection's documents hold, for typed clients.

        A `typing.TypedDict` mostly: ``ddpcore types`` declares its members as the fields that
        clients get. Nothing is checked when documents are sent.

        Args:
            name: What clients call the collection.

        Raises:
            ddpcore.DDPError: The documents of this collection have been described before.
        """

        def register(documents: T) -> T:
            if name in self.collections:
                raise DDPError(f"The documents of {name!r} are described already.")
            self.collections[name] = documents
            return documents

        return register

    def set_publication_strategy(self, collection: str, strategy: PublicationStrategy) -> None:
        """Say how much is remembered of what clients have of a collection.

        It concerns clients that do not see the collection yet. It overrules plugins (Meteor
        3.0.4, `Meteor.server.setPublicationStrategy` in ddp-server/livedata_server.js).

        Args:
            collection: Its name.
            strategy: One of the four, such as `ddpcore.NO_MERGE`.

        Raises:
            ddpcore.DDPError: There is no such strategy.
        """
        self._strategies[collection] = PublicationStrategy.check(collection, strategy)

    def publication_strategy(self, collection: str) -> PublicationStrategy:
        """The strategy of `collection`: as it was set, or as a plugin wants it, or SERVER_MERGE.

        Raises:
            ddpcore.DDPError: A plugin wants one that does not exist.
        """
        if collection in self._strategies:
            return self._strategies[collection]
        hook = "ddpcore_publication_strategy"
        if not self.plugins.implementations(hook):  # collections may be many, named at will
            return server_merge(collection)
        wanted = self.plugins.ask(hook, PublicationStrategy, server=self, collection=collection)
        if wanted is None:
            wanted = server_merge(collection)
        wanted = PublicationStrategy.check(collection, wanted)
        return self._strategies.setdefault(collection, wanted)

    # Running

    @property
    def running(self) -> bool:
        """Whether it has been started, and not been stopped."""
        return self._crossbar is not None

    def observers(self) -> list[Observer[Any]]:
        """The distinct queries that are watched; none before the start."""
        return [] if self._crossbar is None else self._crossbar.watched()

    @property
    def crossbar(self) -> Crossbar:
        """The observers of this process.

        Raises:
            ddpcore.DDPError: The server has not been started.
        """
        if self._crossbar is None:
            raise DDPError("The server is not running: await server.start() first.")
        return self._crossbar

    async def start(self) -> None:
        """Start the bus, the threads and the plugins, on the running loop. Idempotent.

        Transports call it before their first session, so embedding needs no call of its own. If
        it fails, what was started is stopped again, and the next call starts anew. To be cancelled
        while waiting stops nothing: others may wait for the same start.

        Raises:
            ddpcore.DDPError: The bus or a plugin cannot work, or the server runs on another event
                loop; the text says what to do. `ddpcore.errors.Stopping`, if it is stopping.
        """
        abandoned = self._come_home()
        if self._closing or self._refusing:
            raise Stopping("The server is stopping: come back when it has started again.")
        if self._starting is None:
            self._loop = asyncio.get_running_loop()
            self._starting = asyncio.create_task(self._start(abandoned))
            self._starting.add_done_callback(_note_failure)
        starting = self._starting
        task = asyncio.current_task()
        if starting is task:  # a plugin asks for what is being done for it
            return
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            if starting.cancelled() and task is not None and not task.cancelling():
                raise DDPError("The server was stopped while it was starting.") from None
            raise

    async def _start(self, abandoned: bool) -> None:
        try:
            if abandoned:
                with suppress(Exception):  # what it waits for may belong to the closed loop
                    await self.bus.stop()
            if self._executor is None:
                self._executor = self._make_executor()
            crossbar = Crossbar(self.bus, self._gap, hears=self.hears, tell=self.tell)
            await self.bus.start(crossbar.deliver)
            self._crossbar = crossbar
            await self._companions.start()
        except BaseException:
            self._closing = True
            try:
                await self._release(GRACE, 0)
            finally:
                self._starting = None  # the next client may find the database up again
            raise

    def _come_home(self) -> bool:
        """Make sure that the server, if it runs, does so on the running loop.

        Returns:
            Whether it ran on another one, which was closed under it. It does not run then.

        Raises:
            ddpcore.DDPError: It runs on another one.
        """
        loop = asyncio.get_running_loop()
        if self._starting is None or self._loop in (None, loop):
            return False
        assert self._loop is not None
        if not self._loop.is_closed():
            raise DDPError(
                "The server runs on another event loop. Make a server for each loop, or "
                "`await server.stop()` on the one where it runs before it starts on the next."
            )
        logger.warning(
            "The event loop was closed while the server ran on it: `await server.stop()` before "
            "the loop ends"
        )
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._crossbar = self._starting = self._stopping = None
        self._closing = self._refusing = False
        self.sessions.clear()
        self._clients.clear()
        self._transports.clear()
        self._handlers.clear()
        self._callbacks.clear()
        self.flusher = Flusher(self.traffic, self.hears)
        self.admission = Admission()
        self._companions.forget()
        return True

    async def __aenter__(self) -> Self:
        """Start; ``async with server:`` stops in the end."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    def _threads(self) -> Executor:
        return ThreadPoolExecutor(self.options.threads, "ddpcore")

    def refuse(self) -> None:
        """Take no new clients until it has been stopped, with which `stop` begins as well.

        A port that is closed does not keep them all away: proxies keep connections open, and ask
        by them for whoever is new.
        """
        self._refusing = True

    async def stop(self, patience: float = 5.0, spread: float = 0.0) -> None:
        """Let running handlers finish, close all connections, and release everything. Idempotent.

        A stop that is under way is waited for, as it was asked for. To be cancelled while waiting
        does not end it.

        Args:
            patience: Seconds that running handlers get, and then the callbacks of the closed
                connections. What still runs afterwards is cancelled; a thread that still runs
                is left behind.
            spread: Seconds over which connections are closed, evenly one after the other, so
                that thousands of clients do not come back in one instant. The first is closed
                at once; until its turn each is served, and new ones are refused. By default
                all are closed at once.

        Raises:
            ddpcore.DDPError: The server runs on another event loop.
        """
        self._come_home()
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(patience, spread))
        if self._stopping is not asyncio.current_task():
            await asyncio.shield(self._stopping)

    async def _stop(self, patience: float, spread: float) -> None:
        try:
            while self._starting is not None and not self._starting.done():
                if not self._closing:  # else it has failed, and is being undone
                    self._starting.cancel()
                await asyncio.wait([self._starting])  # and by then somebody may have tried anew
            self.refuse()
            await self._release(patience, spread)
        finally:
            self._stopping = None
            self._refusing = False
            if self._crossbar is None:  # else it was interrupted, and can be asked for again
                self._starting = None

    async def _release(self, patience: float, spread: float) -> None:
        hung = await _wait(self._handlers, patience)
        self._closing = True
        try:
            await self._close_clients(spread)
            await _wait((self._handlers | self._callbacks) - hung, patience)
            if late := self._handlers | self._callbacks:
                logger.warning("%d handlers do not end: they are cancelled", len(late))
                for task in late:
                    task.cancel()
                await _wait(late, GRACE)
            closing = [asyncio.ensure_future(each.wait_closed()) for each in list(self._transports)]
            for task in await _wait(closing, patience):
                task.cancel()
            await self._companions.stop(max(patience, GRACE))
            if self._crossbar is not None:
                await self._crossbar.stop()
                await self.bus.stop()
                self._crossbar = None
            if self._executor is not None:
                await _end_threads(self._executor, max(patience, GRACE))
                self._executor = None
        finally:
            self._closing = False

    async def _close_clients(self, spread: float) -> None:
        start = self.clock.time()
        present = [each for each in self._clients if each.machine.state is not State.DETACHED]
        for number, client in enumerate(present):
            turn = start + spread * number / len(present)
            if turn - self.clock.time() > TICK:
                its_turn = asyncio.Event()
                self.clock.call_at(turn, its_turn.set)
                await its_turn.wait()
            client.machine.close(1001, "Server is going away")
        for client in list(self._clients):  # these wait for clients that are away
            client.machine.close(1001, "Server is going away")

    def accept(self, transport: Transport) -> Receiver:
        """Open a session for a client that came by `transport`; call it on the event loop.

        Returns:
            What takes the client's messages; it is the transport's `receiver` already.

        Raises:
            ddpcore.DDPError: The server has not been started, or is stopping.
        """
        if self._closing or self._refusing:
            raise Stopping("The server is stopping: come back when it has started again.")
        if self._crossbar is None:
            raise DDPError("The server is not running: await server.start() first.")
        transport.high_water = self.options.high_water
        transport.max_message_size = self.max_message_size(None)
        client = transport.receiver = SessionRuntime(self, transport)
        self._clients.add(client)
        self._transports.add(transport)
        return client

    def max_message_size(self, user_id: str | None) -> int:
        """Bytes that a message of the user `user_id` may have; None: of nobody's."""
        options = self.options
        if user_id is not None:
            return options.max_message_size
        if options.max_anonymous_message_size is not None:
            return options.max_anonymous_message_size
        if "login" not in self.methods:
            return options.max_message_size
        return min(MAX_ANONYMOUS_MESSAGE_SIZE, options.max_message_size)

    async def run(self, handler: Handler, context: Context, params: list[Any]) -> Any:
        """Run a handler, in a thread if it is a plain `def`."""
        kind = "method" if isinstance(context, MethodContext) else "publication"
        if not getattr(self.hears, f"around_{kind}"):
            if handler.is_async:
                return await handler.function(context, *params)
            return await self._run(handler, context, params)
        async with AsyncExitStack() as around:
            hook = f"ddpcore_around_{kind}"
            await self.plugins.enter_all(around, hook, context=context, params=params)
            return await self._run(handler, context, params)

    async def _run(self, handler: Handler, context: Context, params: list[Any]) -> Any:
        if handler.is_async:
            return await handler.function(context, *params)
        value = await self.in_thread(handler.function, context, *params)
        return await value if inspect.isawaitable(value) else value

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a blocking function in one of the server's threads, context variables included.

        Args:
            function: What is called.
            *args: Its arguments.

        Returns:
            What it returns; what it raises is raised.
        """
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        return await loop.run_in_executor(self._executor, context.run, _call, function, *args)

    def spawn(self, work: Awaitable[Any]) -> None:
        """Run `work` in the background; an exception in it is logged."""
        task = asyncio.ensure_future(work)
        self._callbacks.add(task)
        task.add_done_callback(self._callbacks.discard)
        task.add_done_callback(_log_failure)

    def run_callback(self, connection: str, callback: Callable[[], object]) -> None:
        """Run a callback of a connection; what it returns is awaited, if it can be."""
        try:
            value = callback()
            if inspect.isawaitable(value):
                self.spawn(value)
        except Exception:
            logger.exception("Exception in a callback of connection %s", connection[:SHOWN])

    def run_late(self, connection: str, callback: Callable[[], object]) -> None:
        """Run one soon, on the event loop; called from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.run_callback, connection, callback)

    # What sessions say

    def handler_started(self, task: asyncio.Task[None]) -> None:
        """A handler is at work, and waits for something."""
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)

    def session_opened(self, session: SessionRuntime) -> None:
        """A session has connected."""
        self.sessions[session.machine.id] = session
        self.tell("ddpcore_session_opened", connection=session.connection)

    def session_closed(self, session: SessionRuntime) -> None:
        """A session is over; it may never have connected."""
        self._clients.discard(session)
        self._absent.pop(session, None)
        if self.sessions.pop(session.machine.id, None) is not None:
            self.tell("ddpcore_session_closed", connection=session.connection)

    def session_waits(self, session: SessionRuntime) -> None:
        """The client of a session is gone, and may come back. Idempotent."""
        self._absent[session] = None
        if len(self._absent) > self.options.max_absent:
            next(iter(self._absent)).machine.expire()

    def session_resumed(self, session: SessionRuntime) -> None:
        """Its client is back."""
        self._absent.pop(session, None)

    def user_changed(self, session: SessionRuntime, user_id: str | None) -> None:
        """A session belongs to another user now."""
        self.tell("ddpcore_user_changed", connection=session.connection, user_id=user_id)

    def tell(self, hook: str, **what: Any) -> None:
        """Tell plugins; whether they can cope is no concern of whoever tells."""
        self.plugins.tell(hook, self.spawn, server=self, **what)

    def _gap(self) -> None:
        for callback in self.on_gap:
            try:
                callback()
            except Exception:
                logger.exception("Exception in a callback of on_gap")


async def _wait(tasks: Iterable[asyncio.Future[Any]], patience: float) -> set[asyncio.Future[Any]]:
    # Those that have not ended in time.
    tasks = set(tasks)
    return (await asyncio.wait(tasks, timeout=patience))[1] if tasks else tasks


async def _end_threads(executor: Executor, patience: float) -> None:
    # Not on the loop, since what hangs in a thread may be waiting for the loop.
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        try:
            executor.shutdown(wait=True, cancel_futures=True)
        finally:
            with suppress(RuntimeError):  # the loop has not waited for us and is closed
                loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=end, name="ddpcore-stop", daemon=True).start()
    try:
        async with asyncio.timeout(patience):
            await ended.wait()
    except TimeoutError:
        logger.warning("Handlers in threads do not end: they are left behind")


def _call(function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except StopIteration as problem:  # no future takes one: whoever awaits it would wait for ever
        raise RuntimeError("A handler raised StopIteration") from problem


def _note_failure(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()  # those who have waited have it; if nobody has, it is no complaint


def _log_failure(task: asyncio.Future[Any]) -> None:
    if not task.cancelled() and (problem := task.exception()) is not None:
        logger.error("Exception in a callback", exc_info=problem)
