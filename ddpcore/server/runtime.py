"""The runtime: drives one session's machine and runs its handlers.

Here is all the asyncio of the core: tasks for `async def` handlers, the server's threads for
`def` handlers, timers for the heartbeat. The machine stays on the event loop; whatever comes
from another thread is brought there first.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ddpcore.clock import Timer
from ddpcore.errors import DDPError, MeteorError
from ddpcore.live.fence import WriteFence, current_fence
from ddpcore.live.observer import ObserveHandle
from ddpcore.live.query import LiveQuery, MergedQueries
from ddpcore.server.context import ConnectionHandle, MethodContext, PublicationContext
from ddpcore.server.eager import begin
from ddpcore.server.handler import Handler
from ddpcore.server.rate_limiter import Call
from ddpcore.server.telling import Run
from ddpcore.session.machine import Invocation, Session, State, Subscription
from ddpcore.transport import Transport
from ddpcore.wire import ejson, messages
from ddpcore.wire.alea import random_id

if TYPE_CHECKING:
    from ddpcore.server.server import Server

__all__ = ["SessionRuntime", "cancelled", "client_error", "shows"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

# What a handler may raise without ending more than itself: `sys.exit()` in one ends no server.
FAILURES = (Exception, asyncio.CancelledError, SystemExit)

# Seconds that the messages of one read may keep others waiting while their handlers begin at once;
# those that come then begin in turns of the loop.
EAGER = 0.002

# Seconds between looks whether the loop that a thread waits for still exists.
LOOK_AT_LOOP = 1.0


def cancelled(problem: BaseException) -> bool:
    """Whether the running task itself was cancelled, and not something that it awaited."""
    task = asyncio.current_task()
    return (
        isinstance(problem, asyncio.CancelledError) and task is not None and task.cancelling() > 0
    )


def shows(problem: BaseException) -> MeteorError | None:
    """What an exception has for clients to see, if anything."""
    shown = problem if isinstance(problem, MeteorError) else None
    if shown is None:
        shown = getattr(problem, "sanitized_error", None)
    return shown if isinstance(shown, MeteorError) else None


def client_error(problem: BaseException, what: str) -> MeteorError:
    """What the client may know of `problem`; anything it may not goes to the log.

    An exception may carry a `sanitized_error`, a `MeteorError` to show in its place.
    """
    shown = shows(problem)
    if shown is not None:
        try:
            ejson.dump_plain(ejson.plain(shown.as_dict()))
        except Exception as fault:
            logger.error("An error raised in %s cannot travel: %s", what, fault, exc_info=problem)  # noqa: TRY400
        else:
            return shown
    elif not cancelled(problem):
        logger.error("Exception in %s", what, exc_info=problem)
    return MeteorError(500, "Internal server error")


class SessionRuntime:
    """One client's session at work: the `Effects` of its machine, the `Receiver` of its transport.

    Args:
        server: Whose methods and publications it runs.
        transport: Its client's way in and out.
    """

    def __init__(self, server: Server, transport: Transport) -> None:
        self.server = server
        self._hears = server.hears
        self._flusher = server.flusher
        self.transport = transport
        self._loop = asyncio.get_running_loop()
        self._clock = server.clock
        self._thread = threading.get_ident()
        # Handlers start with these context variables, not with those of the handler before.
        self._context = contextvars.copy_context()
        self._changing_user = asyncio.Lock()
        self._stop_callbacks: dict[Subscription, list[Callable[[], object]]] = {}
        self._close_callbacks: list[Callable[[], object]] | None = []
        self._handles: dict[Subscription, list[ObserveHandle]] = {}
        self._runs: dict[Subscription, Run] = {}  # those that plugins want to hear of
        self._timer: Timer | None = None
        # While the messages of a read are brought: that there is something to send afterwards,
        # and how long handlers may begin at once.
        self._gathers = self._woken = False
        self._is_eager = False
        self._eager_until = 0.0
        options = server.options
        self.machine = Session(
            random_id(),
            self,
            methods=server.methods,
            publications=server.offered,
            now=self._clock.time(),
            heartbeat_interval=options.heartbeat_interval,
            heartbeat_timeout=options.heartbeat_timeout,
            connect_timeout=options.connect_timeout,
            grace_period=options.grace_period,
            grace_queue=options.grace_queue,
            max_queue=options.max_queue,
            max_queue_size=options.max_queue_size,
            max_subscriptions=options.max_subscriptions,
            high_water=options.high_water,
            stuck_timeout=options.stuck_timeout,
            traffic=server.traffic,
            strategy=server.publication_strategy,
        )
        self.outbox = self.machine.outbox
        self.connection = ConnectionHandle(self)
        self._set_timer()

    # What the transport says

    def receive(self, text: str | bytes) -> None:
        """One message of the client."""
        machine = self.machine
        state = machine.state
        now = self._clock.time()
        if not self._gathers and self.transport.gathers:
            self._gathers = True
            self._eager_until = now + EAGER
        self._is_eager = self._gathers and now <= self._eager_until
        kind = machine.receive(text, now)
        self._is_eager = False
        if self._hears.message:
            self.told_of("ddpcore_message", kind=kind, size=len(text))
        # What comes only puts deadlines off, unless it changes the state.
        if machine.state is not state:
            self._set_timer()

    def flush(self) -> None:
        """All messages of a read have been brought."""
        self._gathers = False
        if self._woken:
            self._woken = False
            self._flusher.flush(self)

    def lost(self) -> None:
        """The client is gone, for now or for good."""
        self.machine.lost(self._clock.time())
        if self.machine.state is State.DETACHED:
            self.server.session_waits(self)
        self._set_timer()

    def fail(self) -> None:
        """What was taken for the client may not have left: it must come back to be given it."""
        transport = self.transport
        transport.receiver = None
        self.lost()
        with suppress(Exception):  # it may be the transport itself that is broken
            transport.close(1011, "Internal error")

    def blocked(self) -> None:
        """The client does not take what it is sent."""
        tells = self._hears.client_slowed and not self.outbox.blocked
        self.machine.blocked(self._clock.time())
        self._set_timer()
        if tells:
            self.told_of("ddpcore_client_slowed")

    def drained(self) -> None:
        """It has taken it."""
        tells = self._hears.client_caught_up and self.outbox.blocked
        self.machine.drained()
        self._set_timer()
        if tells and not self.outbox.blocked:
            self.told_of("ddpcore_client_caught_up")

    def told_of(self, hook: str, **what: Any) -> None:
        """Tell plugins of something that concerns this client."""
        self.server.tell(hook, connection=self.connection, **what)

    # What the machine asks for

    def wake(self) -> None:
        """There is something to send."""
        if self._gathers:
            self._woken = True
        else:
            self._flusher.add(self)

    def close(self, code: int, reason: str) -> None:
        """Send what the client takes, then close the socket."""
        self._flush_all()
        self.transport.close(code, reason)

    def _flush_all(self) -> None:
        self._flusher.depart()
        outbox, traffic = self.machine.outbox, self.server.traffic
        while outbox.pending:
            frames = outbox.take()
            traffic.frames += len(frames)
            traffic.bytes += traffic.last_size
            if self._hears.frames_sent:
                self.told_of("ddpcore_frames_sent", frames=len(frames), size=traffic.last_size)
            self.transport.send(frames)

    def pause_reading(self) -> None:
        """Bring no more messages for now."""
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Bring messages again."""
        self.transport.resume_reading()

    def resume(self, session: object, received: object, version: str) -> bool:
        """The client wants to go on with an earlier session: hand the socket over, if it can."""
        earlier = self.server.sessions.get(session) if isinstance(session, str) else None
        if earlier is None:
            return False
        if not isinstance(received, int) or not earlier.machine.can_resume(received, version):
            # Its client will not come back to it. One that still has a socket is left alone.
            earlier.machine.expire()
            return False
        self._flush_all()
        earlier.take_over(self.transport, received)
        if self.machine.outbox.blocked:  # the transport has said so, and says it once
            earlier.blocked()
        return True

    def take_over(self, transport: Transport, received: int) -> None:
        """Go on with the client at a new socket; an old one that is half open is closed."""
        former, self.transport = self.transport, transport
        transport.cookies = None
        former.receiver = None
        former.close(1000, "Normal closure")
        transport.receiver = self
        self.server.session_resumed(self)
        self._limit_messages()
        self.machine.resume(received, self._clock.time())
        self._set_timer()

    def opened(self) -> None:
        """The session is connected."""
        self.server.session_opened(self)
        for handler in list(self.server.universal):
            self.start_universal(handler)

    def start_universal(self, handler: Handler) -> None:
        """Start a universal publication on this session, unless it is over."""
        if self.machine.open:
            self.start_subscription(self.machine.start_universal(handler))

    def start_method(self, invocation: Invocation) -> None:
        """Run a method's handler."""
        self._spawn(self._call(invocation))

    def start_subscription(self, subscription: Subscription) -> None:
        """Run a publication's handler."""
        self._spawn(self._publish(subscription, self._handler(subscription)))

    def _handler(self, subscription: Subscription) -> Handler:
        if isinstance(subscription.handler, Handler):
            return subscription.handler
        assert subscription.name is not None
        return self.server.offered[subscription.name]

    def stopped(self, subscription: Subscription) -> None:
        """Run a subscription's `on_stop` callbacks, after its documents and before `nosub`."""
        run = self._runs.pop(subscription, None)
        if run is not None:
            run.ended()
        for handle in self._handles.pop(subscription, ()):
            self.server.crossbar.release(handle)
        for callback in self._stop_callbacks.pop(subscription, ()):
            self.server.run_callback(self.machine.id, callback)

    # Handlers

    async def _call(self, invocation: Invocation) -> None:
        handler = self.server.methods[invocation.name]
        context = MethodContext(self, invocation, invocation.random_seed)
        fence = WriteFence()
        current_fence.set(fence)  # this task's own; the handler's threads inherit it
        hears = self._hears
        run = Run(self.server, "method", context, invocation.params) if hears.methods else None
        try:
            if hears.admit:
                await self._admit("method", invocation.name, invocation.params)
            params = handler.bind(invocation.params)
            if handler.is_async and not hears.around_method:
                value = await handler.function(context, *params)
            else:
                value = await self.server.run(handler, context, params)
            outcome = messages.result(invocation.id, value)
        except FAILURES as problem:
            _trim(problem, handler)
            # No name for what is shown: a frame that knows an exception that knows the frame
            # would have to wait for the garbage collector, and the session with it.
            outcome = messages.result_error(
                invocation.id, self._client_error(problem, f"method {invocation.name!r}", run)
            )
            if cancelled(problem):
                self.machine.method_done(invocation, outcome, outstanding=False)
                raise
        finally:
            if context._over_callbacks is not None:
                context._over()
            if run is not None:
                run.ended(size=len(outcome.data))
        if context.user_changed:
            await self._rerun(self.machine.user_id)
        wrote = fence.wrote  # looked at once: threads that outlive the method may still write
        self.machine.method_done(invocation, outcome, outstanding=wrote)
        if wrote and self.machine.open:
            began = self._clock.time()
            try:
                watching = [handle for handles in self._handles.values() for handle in handles]
                await self.server.crossbar.fence(watching)
                if hears.fence_passed:
                    seconds = self._clock.time() - began
                    self.server.tell("ddpcore_fence_passed", seconds=seconds)
            except Exception:
                logger.exception("The write fence of method %r failed", invocation.name)
            finally:
                # A client without `updated` stays frozen for ever: better too early than never.
                self.machine.method_updated(invocation)

    def call_within(self, outer: MethodContext, name: str, params: Sequence[Any]) -> Any:
        """Run a method for another one; see `MethodContext.call`."""
        handler = self.server.methods.get(name)
        if handler is None:
            raise MeteorError(404, f"Method '{name}' not found")
        context = outer._within(name)
        own = handler.bind(ejson.clone(list(params)))
        if threading.get_ident() == self._thread:
            return self._run_within(handler, context, own)
        if handler.is_async:
            raise DDPError(
                f"{name!r} is an async def method: call it from an async def handler, with await."
            )
        # With context variables of its own, as in a thread of its own: those of the caller stay.
        variables = contextvars.copy_context()
        return ejson.clone(variables.run(handler.function, context, *own))

    async def _run_within(self, handler: Handler, context: MethodContext, params: list[Any]) -> Any:
        return ejson.clone(await self.server.run(handler, context, params))

    async def _admit(self, kind: Literal["method", "subscription"], name: str, params: Any) -> None:
        connection = self.connection
        call = Call(
            kind, name, self.machine.user_id, connection.id, connection.client_address, params
        )
        await self.server.plugins.await_all("ddpcore_admit", server=self.server, call=call)

    async def _publish(
        self, subscription: Subscription, handler: Handler, *, again: bool = False
    ) -> None:
        context = PublicationContext(self, subscription)
        if self._hears.subscriptions and subscription.active:
            run = Run(self.server, "subscription", context, subscription.params)
            self._runs[subscription] = run
        try:
            await self.server.admission.wait()
            if subscription.name is not None and not again and self._hears.admit:
                await self._admit("subscription", subscription.name, subscription.params)
            # A copy: it may run again, and a handler may change what it is given.
            params = handler.bind(ejson.clone(subscription.params))
            published = await self.server.run(handler, context, params)
            # Nothing, or anything else that is false: the handler says ready() itself.
            if (published or isinstance(published, list | tuple)) and subscription.active:
                await self._observe(subscription, self._queries(published, handler))
                self.ready(subscription)
        except FAILURES as problem:
            self.fail_subscription(subscription, problem)
            if cancelled(problem):
                raise
        finally:
            self.machine.handler_settled(subscription)

    @staticmethod
    def _queries(published: object, handler: Handler) -> list[LiveQuery]:
        if isinstance(published, LiveQuery):
            return [published]
        if isinstance(published, list | tuple) and all(
            isinstance(each, LiveQuery) for each in published
        ):
            if not isinstance(published, MergedQueries):
                _check_collections(published)
            return list(published)
        raise TypeError(
            f"Publication {handler.name!r} returned {type(published).__name__}; it may return a "
            "live query, a list of them, or nothing (and call ready() itself)."
        )

    async def _observe(self, subscription: Subscription, queries: list[LiveQuery]) -> None:
        parts = [self.machine.live_part(subscription) for _ in queries]
        handles = await self.server.crossbar.observe(list(zip(queries, parts, strict=True)))
        if subscription.active:
            self._handles[subscription] = handles
            for part, handle in zip(parts, handles, strict=True):
                part.follow(handle.observer.items)
        else:  # stopped while the database was asked
            for handle in handles:
                self.server.crossbar.release(handle)

    def ready(self, subscription: Subscription) -> None:
        """A subscription's initial documents are complete."""
        run = self._runs.get(subscription) if self._runs else None
        if run is not None and subscription.active and not subscription.ready:
            run.ready()
        self.machine.ready(subscription)

    def _client_error(self, problem: BaseException, what: str, run: Run | None) -> MeteorError:
        error = client_error(problem, what)
        if run is not None:
            run.error = error
        if self._hears.error and not shows(problem) and not cancelled(problem):
            self.server.tell("ddpcore_error", problem=problem, where=what)
        return error

    def fail_subscription(self, subscription: Subscription, problem: BaseException) -> None:
        """End a subscription with the error that clients may see."""
        if subscription.active:
            name = "universal" if subscription.name is None else repr(subscription.name)
            run = self._runs.get(subscription)
            error = self._client_error(problem, f"publication {name}", run)
            self.machine.stop(subscription, error)

    def set_user_id(self, context: MethodContext, user_id: str | None) -> Awaitable[None]:
        """Become another user: run all subscriptions again and send the difference.

        From a thread the user is another one at once, and the subscriptions run again when the
        handler has returned. Were it to wait for them, all threads could be taken by handlers
        that wait for publications that wait for a thread.

        Raises:
            TypeError: The id is neither a string nor None.
            ddpcore.DDPError: The method called `unblock()` before.
        """
        if threading.get_ident() == self._thread:
            return self._change_user(context, user_id)
        self.on_loop(self._change_user_later, context, user_id)
        return _Done()

    async def _change_user(self, context: MethodContext, user_id: str | None) -> None:
        self._check_user_change(context, user_id)
        context._user_id = user_id
        # In a task of its own, to be carried to its end though the handler may be cancelled.
        await asyncio.shield(self._spawn(self._rerun(user_id)))

    def _change_user_later(self, context: MethodContext, user_id: str | None) -> None:
        self._check_user_change(context, user_id)
        self.machine.user_id = context._user_id = user_id
        self._limit_messages()
        context.user_changed = True

    @staticmethod
    def _check_user_change(context: MethodContext, user_id: str | None) -> None:
        if user_id is not None and not isinstance(user_id, str):
            raise TypeError(f"A user id is a string or None, not {type(user_id).__name__}.")
        if context.unblocked:
            raise DDPError("Can't call set_user_id in a method after calling unblock.")

    async def _rerun(self, user_id: str | None) -> None:
        async with self._changing_user:
            if not self.machine.open:
                return
            again = self.machine.begin_rerun(user_id)
            self._limit_messages()
            try:
                self.server.user_changed(self, user_id)
                await asyncio.gather(
                    *(self._publish(each, self._handler(each), again=True) for each in again)
                )
            finally:
                self.machine.finish_rerun()

    def _limit_messages(self) -> None:
        size = self.server.max_message_size(self.machine.user_id)
        self.transport.max_message_size = size

    # From other threads

    def on_loop(self, function: Callable[..., T], *args: Any) -> T:
        """Call `function` on the event loop and return what it returns, from any thread.

        Raises:
            ddpcore.DDPError: The loop is gone, and a thread of it still at work.
        """
        if threading.get_ident() == self._thread:
            return function(*args)

        outcome: Future[T] = Future()

        def call() -> None:
            try:
                outcome.set_result(function(*args))
            except BaseException as problem:
                outcome.set_exception(problem)

        try:
            self._loop.call_soon_threadsafe(call)
            while True:
                try:
                    return outcome.result(LOOK_AT_LOOP)
                except TimeoutError:
                    if outcome.done():
                        raise
                    if self._loop.is_closed():
                        break
        except RuntimeError:
            if outcome.done() or not self._loop.is_closed():
                raise
        raise DDPError("The server has stopped.")

    # Callbacks and the end

    def add_stop_callback(self, subscription: Subscription, callback: Callable[[], object]) -> None:
        """Call `callback` when the subscription ends; at once, if it has."""
        if subscription.active:
            self._stop_callbacks.setdefault(subscription, []).append(callback)
        else:
            self.server.run_callback(self.machine.id, callback)

    def add_close_callback(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the connection has closed; soon, if it has."""
        if self._close_callbacks is not None:
            self._close_callbacks.append(callback)
        else:
            self.server.run_late(self.machine.id, callback)

    def ended(self) -> None:
        """The session is over."""
        callbacks, self._close_callbacks = self._close_callbacks, None
        if callbacks is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.server.session_closed(self)
        for callback in callbacks:
            self.server.run_callback(self.machine.id, callback)
        # All that held one another lets go, so that memory is free at once and the garbage
        # collector has nothing to look for.
        self.connection.over()
        if self.transport.receiver is self:
            self.transport.receiver = None

    def _set_timer(self) -> None:
        # One timer per session. It may fire too early, never too late: so messages, which put
        # the deadline off, cost no timer work.
        deadline = self.machine.deadline
        if deadline is None or (self._timer is not None and self._timer.when() <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.machine.tick(self._clock.time())
        self._set_timer()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # The server's, since a method that has begun is run to its end, connection or not.
        context = self._context.copy()
        if self._is_eager:
            task = begin(self._loop, work, context)
        else:
            task = self._loop.create_task(work, context=context)
        if not task.done():
            self.server.handler_started(task)
        return task


def _trim(problem: BaseException, handler: Handler) -> None:
    # Let the traceback begin at the handler. Reports of errors may show the variables of all
    # frames; those of ours hold what the client sent, and no handler could ask to have it hidden.
    code = getattr(handler.function, "__code__", None)
    trace = problem.__traceback__
    while trace is not None and trace.tb_frame.f_code is not code:
        trace = trace.tb_next
    if trace is not None:
        problem.__traceback__ = trace


def _check_collections(queries: Sequence[LiveQuery]) -> None:
    # Texts as in Meteor 3.0.4 (`ddp-server/livedata_server.js`).
    seen: set[str] = set()
    for query in queries:
        if query.collection in seen:
            raise ValueError(
                f"Publish function returned multiple cursors for collection {query.collection}"
            )
        seen.add(query.collection)


class _Done(Awaitable[None]):
    """Something to await that needs no waiting."""

    def __await__(self) -> Any:
        yield from ()
