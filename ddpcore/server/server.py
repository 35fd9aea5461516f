"""The server: methods and publications by name, and the sessions that use them."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from ddpcore.bus import Bus, MemoryBus
from ddpcore.errors import DDPError
from ddpcore.live.crossbar import Crossbar
from ddpcore.plugins import plugin_manager
from ddpcore.server.context import Context, MethodContext
from ddpcore.server.handler import Handler
from ddpcore.server.runtime import SessionRuntime
from ddpcore.transport import Receiver, Transport

__all__ = ["Options", "Server"]

logger = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of a server; see `Server`."""

    heartbeat_interval: float
    heartbeat_timeout: float
    connect_timeout: float
    threads: int


class Server:
    """What clients can call and subscribe to.

    Args:
        heartbeat_interval: Seconds between pings of a silent client; 0: never (Meteor's 15).
        heartbeat_timeout: Seconds a client may take to answer one (Meteor's 15).
        connect_timeout: Seconds a socket may stay open without a `connect` message (45, what
            Meteor intends); 0: for ever.
        threads: How many `def` handlers may run at once; further ones wait for a thread.
        bus: Where changes of data come from; a `MemoryBus` by default.
        executor: Runs `def` handlers in place of `threads` threads of the server's own.
        plugins: Plugins for this server alone, beside the installed ones.
    """

    def __init__(
        self,
        *,
        heartbeat_interval: float = 15.0,
        heartbeat_timeout: float = 15.0,
        connect_timeout: float = 45.0,
        threads: int = 8,
        bus: Bus | None = None,
        executor: Executor | None = None,
        plugins: Iterable[object] = (),
    ) -> None:
        self.options = Options(heartbeat_interval, heartbeat_timeout, connect_timeout, threads)
        self.methods: dict[str, Handler] = {}
        self.publications: dict[str, Handler] = {}
        self.universal: list[Handler] = []
        self.bus: Bus = bus or MemoryBus()
        self.on_gap: list[Callable[[], None]] = []
        self.sessions: set[SessionRuntime] = set()
        self.plugins = plugin_manager(plugins)
        self._executor = executor
        self._crossbar: Crossbar | None = None
        self._starting: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._around = {
            True: self.plugins.hook.ddpcore_around_method,
            False: self.plugins.hook.ddpcore_around_publication,
        }
        self.plugins.hook.ddpcore_register(server=self)

    # Registering

    @overload
    def method(self, name: F) -> F: ...
    @overload
    def method(self, name: str | None = None) -> Callable[[F], F]: ...
    def method(self, name: F | str | None = None) -> F | Callable[[F], F]:
        """Decorate a handler to make it callable: ``@server.method`` or ``@server.method("name")``.

        What it returns is the result. None travels as null; return `ddpcore.UNSET` for none.

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
            return function

        return register

    def publish(self, name: str | None) -> Callable[[F], F]:
        """Decorate a handler to make it a publication; name None: of every client, unasked.

        Raises:
            ddpcore.DDPError: The name is taken, or the function cannot be a handler.
        """

        def register(function: F) -> F:
            handler = Handler(name or function.__name__, function)
            if name is None:
                handler.check(())
                self.universal.append(handler)
                for session in list(self.sessions):
                    session.start_universal(handler)
            elif name in self.publications:
                raise DDPError(f"A publication named {name!r} is already defined.")
            else:
                self.publications[name] = handler
            return function

        return register

    # Running

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
        """Start the bus and the threads, on the running loop. Idempotent.

        Transports call it before their first session, so embedding needs no call of its own.

        Raises:
            ddpcore.DDPError: The bus cannot work; its text says what to do.
        """
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._start())
        try:
            await asyncio.shield(self._starting)
        except Exception:
            self._starting = None  # the next client may find the database up again
            raise

    async def _start(self) -> None:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.options.threads, "ddpcore")
        crossbar = Crossbar(self.bus, self._gap)
        await self.bus.start(crossbar.deliver)
        self._crossbar = crossbar

    async def stop(self, patience: float = 5.0) -> None:
        """Let running handlers finish, close all connections, and release everything.

        Args:
            patience: Seconds that running handlers get.
        """
        running = [task for session in self.sessions for task in session.tasks]
        if running:
            await asyncio.wait(running, timeout=patience)
        for session in list(self.sessions):
            session.machine.close(1001, "Server is going away")
        for task in list(self._tasks):
            task.cancel()
        if self._crossbar is not None:
            await self._crossbar.stop()
            await self.bus.stop()
            self._crossbar = None
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None
        self._starting = None

    def accept(self, transport: Transport) -> Receiver:
        """Open a session for a client that came by `transport`; call it on the event loop.

        Raises:
            ddpcore.DDPError: The server has not been started.
        """
        _ = self.crossbar
        return SessionRuntime(self, transport)

    async def run(self, handler: Handler, context: Context, params: list[Any]) -> Any:
        """Run a handler, in a thread if it is a plain `def`."""
        hook = self._around[isinstance(context, MethodContext)]
        if not hook.get_hookimpls():
            return await self._run(handler, context, params)
        async with AsyncExitStack() as around:
            for manager in hook(context=context, params=params):
                await around.enter_async_context(manager)
            return await self._run(handler, context, params)

    async def _run(self, handler: Handler, context: Context, params: list[Any]) -> Any:
        if handler.is_async:
            return await handler.function(context, *params)
        value = await self.in_thread(handler.function, context, *params)
        return await value if inspect.isawaitable(value) else value

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a blocking function in one of the server's threads, context variables included."""
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        return await loop.run_in_executor(self._executor, context.run, function, *args)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` in the background; an exception in it is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_log_failure)

    # What sessions say

    def session_opened(self, session: SessionRuntime) -> None:
        """A session has connected."""
        self.sessions.add(session)
        self.plugins.hook.ddpcore_session_opened(server=self, connection=session.connection)

    def session_closed(self, session: SessionRuntime) -> None:
        """A session is over; it may never have connected."""
        if session in self.sessions:
            self.sessions.discard(session)
            self.plugins.hook.ddpcore_session_closed(server=self, connection=session.connection)

    def user_changed(self, session: SessionRuntime, user_id: str | None) -> None:
        """A session belongs to another user now."""
        self.plugins.hook.ddpcore_user_changed(
            server=self, connection=session.connection, user_id=user_id
        )

    def _gap(self) -> None:
        for callback in self.on_gap:
            callback()


def _log_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (problem := task.exception()) is not None:
        logger.error("Exception in a callback", exc_info=problem)
