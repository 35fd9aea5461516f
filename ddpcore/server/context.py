"""What a handler gets first: who calls, over which connection, and what it may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ddpcore.exporters import SHOWN
from ddpcore.forwarded import client_address, is_secure
from ddpcore.live.document import Document
from ddpcore.session.machine import Invocation, Subscription
from ddpcore.wire.alea import RandomStreams, make_rpc_seed

if TYPE_CHECKING:
    from ddpcore.server.runtime import SessionRuntime
    from ddpcore.server.server import Server

__all__ = ["ConnectionHandle", "Context", "MethodContext", "PublicationContext"]


class ConnectionHandle:
    """The public view of one client's connection; the server makes one for each session.

    Attributes:
        id: The session's id.
        client_address: The client's IP address; None if it cannot be known.
        headers: The request headers that are safe to see, names in lower case.
    """

    def __init__(self, runtime: SessionRuntime) -> None:
        self._runtime: SessionRuntime | None = runtime
        self._run_late = runtime.server.run_late
        self.id: str = runtime.machine.id
        self.headers: Mapping[str, str] = runtime.transport.headers
        self._proxies = runtime.server.options.forwarded_count
        transport = runtime.transport
        self.client_address = client_address(transport.address, transport.headers, self._proxies)

    @property
    def secure(self) -> bool:
        """Whether the client's way here is encrypted now.

        TLS that ends here; behind proxies (`forwarded_count`) what they say in
        `X-Forwarded-Proto`, where nothing is no.
        """
        if (runtime := self._runtime) is None:
            return False
        transport = runtime.transport
        return is_secure(transport.secure, transport.headers, self._proxies)

    def close(self) -> None:
        """Close the connection. The client will come back as a new session."""
        if (runtime := self._runtime) is not None:
            runtime.on_loop(runtime.machine.close)

    def on_close(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the connection has closed; soon, if it has already."""
        if (runtime := self._runtime) is not None:
            runtime.on_loop(runtime.add_close_callback, callback)
        else:
            self._run_late(self.id, callback)

    def over(self) -> None:
        """The session is over; nothing of it is kept for the sake of this handle."""
        self._runtime = None

    def __repr__(self) -> str:
        return f"<connection {self.id[:SHOWN]} from {self.client_address}>"


class Context:
    """What methods and publications have in common.

    The server makes one for each call and subscription.

    Attributes:
        connection: The client's connection.
        name: The method's or publication's name; None for universal publications.
    """

    _random: RandomStreams | None = None

    def __init__(
        self,
        runtime: SessionRuntime,
        item: Invocation | Subscription,
        random_seed: str | None = None,
    ) -> None:
        self._runtime = runtime
        self._item = item
        self.connection = runtime.connection
        self.name = item.name
        self._user_id = runtime.machine.user_id
        self._random_seed = random_seed

    @property
    def random(self) -> RandomStreams:
        """Random streams, seeded by the client where it sent a seed.

        So both sides make the same ids: ``ctx.random.id("books")``.
        """
        if self._random is None:
            self._random = RandomStreams(self._random_seed)
        return self._random

    @property
    def server(self) -> Server:
        """The server this runs on."""
        return self._runtime.server

    @property
    def user_id(self) -> str | None:
        """For whom this runs: who was logged in on the connection when it began; None: nobody.

        A method that sets the user goes on for the new one. One that was unblocked goes on for who
        called it, though somebody else may log in meanwhile (as in Meteor 3.0.4).
        """
        return self._user_id

    @property
    def params(self) -> Sequence[Any]:
        """What the client sent, before it was checked: to look at, not to change."""
        return self._item.params

    def unblock(self) -> None:
        """Let the client's later messages run without waiting for this handler."""
        self._runtime.on_loop(self._runtime.machine.unblock, self._item)


class MethodContext(Context):
    """The first argument of a method; the server makes one for each call.

    Attributes:
        user_changed: Whether the subscriptions are to run again once the handler has returned.
    """

    _item: Invocation
    _over_callbacks: list[Callable[[], object]] | None = None
    user_changed = False

    def call(self, name: str, *params: Any) -> Any:
        """Call another method of the server, as this caller, within this call.

        It shares the user, the connection and the write fence, and has a random seed of its own,
        made from this one's. In an `async def` handler await it. A `def` handler gets the result,
        and may call `def` methods only: its thread cannot wait for the loop.

        Args:
            name: The method.
            *params: Its arguments; they are checked as if a client had sent them.

        Returns:
            What the method returned; in an `async def` handler an awaitable of it.

        Raises:
            ddpcore.MeteorError: 404, there is no such method; or whatever it raises.
            ddpcore.DDPError: An `async def` method called by a `def` handler.
        """
        return self._runtime.call_within(self, name, params)

    def _within(self, name: str) -> MethodContext:
        """The context of a method called by this one."""
        return _NestedContext(self, name)

    @property
    def unblocked(self) -> bool:
        """Whether `unblock()` was called, or the method is over."""
        return self._item.unblocked

    def on_over(self, callback: Callable[[], object]) -> None:
        """Call `callback` on the event loop once the handler has returned or failed.

        By then its transaction, if it had one, is committed or rolled back. The result has yet to
        be sent. It must not block. What it returns is awaited, if it can be, but not waited for.
        """
        if self._over_callbacks is None:
            self._over_callbacks = []
        self._over_callbacks.append(callback)

    def _over(self) -> None:
        """The handler has returned or failed."""
        callbacks, self._over_callbacks = self._over_callbacks, None
        for callback in callbacks or ():
            self.server.run_callback(self.connection.id, callback)

    def set_user_id(self, user_id: str | None) -> Awaitable[None]:
        """Log the connection in as `user_id`, or out (None): all its subscriptions run again.

        In an `async def` handler await it. In a `def` handler `user_id` is the new one on return;
        the subscriptions run again when the handler has returned, before its result is sent.

        Raises:
            TypeError: Neither a string nor None.
            ddpcore.DDPError: Called after `unblock()`, when other messages may be in the middle
                of their work for the old user.
        """
        return self._runtime.set_user_id(self, user_id)


class _NestedContext(MethodContext):
    """The context of a method that another one called."""

    def __init__(self, outer: MethodContext, name: str) -> None:
        seed = make_rpc_seed(outer.random, name)
        # Not the one that holds the client's messages back: unblocking it does nothing.
        super().__init__(outer._runtime, Invocation(outer._item.id, name, [], seed), seed)
        self._outer = outer

    @property
    def user_id(self) -> str | None:
        """See `Context.user_id`: that of the outermost method."""
        return self._outer.user_id

    @property
    def unblocked(self) -> bool:
        """Whether the outermost method was unblocked."""
        return self._outer.unblocked

    def on_over(self, callback: Callable[[], object]) -> None:
        """See `MethodContext.on_over`: once the outermost method is over."""
        self._outer.on_over(callback)

    def set_user_id(self, user_id: str | None) -> Awaitable[None]:
        """See `MethodContext.set_user_id`."""
        return self._outer.set_user_id(user_id)


class PublicationContext(Context):
    """The first argument of a publication; the server makes one for each subscription.

    A publication may return live queries, one or a list: they are published, then `ready()`.
    Or it publishes by hand with `added`, `changed`, `removed` and `ready`. After the client
    unsubscribed, all of these do nothing.
    """

    _item: Subscription

    def __init__(self, runtime: SessionRuntime, subscription: Subscription) -> None:
        super().__init__(runtime, subscription)

    def added(self, collection: str, id: str, fields: Mapping[str, Any]) -> None:  # noqa: A002
        """Publish a document.

        Args:
            collection: The collection that it is in.
            id: Its id.
            fields: Its fields, EJSON values. `_id` and what is `ddpcore.UNSET` are left out.

        Raises:
            TypeError: A field's value is nothing EJSON can carry, or a name is no string.
        """
        document = Document.of(_text(collection), _text(id), fields)
        self._runtime.on_loop(self._runtime.machine.added, self._item, document)

    def changed(self, collection: str, id: str, fields: Mapping[str, Any]) -> None:  # noqa: A002
        """Change fields of a document published here.

        Args:
            collection: The collection that it is in.
            id: Its id.
            fields: The fields that change, EJSON values; `ddpcore.UNSET` clears a field.

        Raises:
            ddpcore.DDPError: The document was not added by this publication.
            TypeError: A field's value is nothing EJSON can carry.
        """
        machine = self._runtime.machine
        self._runtime.on_loop(machine.changed, self._item, _text(collection), _text(id), fields)

    def removed(self, collection: str, id: str) -> None:  # noqa: A002
        """Take back the document `id` of `collection`, which was published here.

        Raises:
            ddpcore.DDPError: The document was not added by this publication.
        """
        machine = self._runtime.machine
        self._runtime.on_loop(machine.removed, self._item, _text(collection), _text(id))

    def ready(self) -> None:
        """Say that the initial documents are complete. Only the first call counts."""
        self._runtime.on_loop(self._runtime.ready, self._item)

    def stop(self) -> None:
        """End the subscription from this side, without an error."""
        self._runtime.on_loop(self._runtime.machine.stop, self._item)

    def error(self, problem: BaseException) -> None:
        """End the subscription with an error.

        Args:
            problem: Why; see `ddpcore.MeteorError` for what clients see of it.
        """
        self._runtime.on_loop(self._runtime.fail_subscription, self._item, problem)

    def on_stop(self, callback: Callable[[], object]) -> None:
        """Call `callback` on the event loop when the subscription ends; at once, if it has.

        It must not block. What it returns is awaited, if it can be.
        """
        self._runtime.on_loop(self._runtime.add_stop_callback, self._item, callback)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"Collection names and ids are strings, not {type(value).__name__}.")
    return value
