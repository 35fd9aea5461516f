"""What a handler gets first: who calls, over which connection, and what it may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from ddpcore.live.document import Document
from ddpcore.session.machine import Invocation, Subscription
from ddpcore.wire.alea import RandomStreams

if TYPE_CHECKING:
    from ddpcore.server.runtime import SessionRuntime
    from ddpcore.server.server import Server

__all__ = ["ConnectionHandle", "Context", "MethodContext", "PublicationContext"]


class ConnectionHandle:
    """The public view of one client's connection.

    Attributes:
        id: The session's id.
        client_address: The client's IP address; None if it cannot be known.
        headers: The request headers that are safe to see, names in lower case.
    """

    def __init__(self, runtime: SessionRuntime) -> None:
        self._runtime = runtime
        self.id: str = runtime.machine.id
        self.client_address = runtime.transport.address
        self.headers: Mapping[str, str] = runtime.transport.headers

    def close(self) -> None:
        """Close the connection. The client will come back as a new session."""
        self._runtime.on_loop(self._runtime.machine.close)

    def on_close(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the connection has closed; soon, if it has already."""
        self._runtime.on_loop(self._runtime.add_close_callback, callback)

    def __repr__(self) -> str:
        return f"<connection {self.id} from {self.client_address}>"


class Context:
    """What methods and publications have in common.

    Attributes:
        connection: The client's connection.
        name: The method's or publication's name; None for universal publications.
        random: Random streams, seeded by the client where it sent a seed, so that both sides
            make the same ids: ``ctx.random.id("books")``.
    """

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
        self.random = RandomStreams(random_seed)

    @property
    def server(self) -> Server:
        """The server this runs on."""
        return self._runtime.server

    @property
    def user_id(self) -> str | None:
        """Who is logged in on this connection; None: nobody."""
        return self._runtime.machine.user_id

    def unblock(self) -> None:
        """Let the client's later messages run without waiting for this handler."""
        self._runtime.on_loop(self._runtime.machine.unblock, self._item)


class MethodContext(Context):
    """The first argument of a method.

    Attributes:
        user_changed: Whether the subscriptions are to run again once the handler has returned.
    """

    _item: Invocation
    user_changed = False

    @property
    def unblocked(self) -> bool:
        """Whether `unblock()` was called, or the method is over."""
        return self._item.unblocked

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


class PublicationContext(Context):
    """The first argument of a publication.

    A publication may return live queries, one or a list: they are published, then `ready()`.
    Or it publishes by hand with `added`, `changed`, `removed` and `ready`. After the client
    unsubscribed, all of these do nothing.
    """

    _item: Subscription

    def __init__(self, runtime: SessionRuntime, subscription: Subscription) -> None:
        super().__init__(runtime, subscription)
        self._user_id = runtime.machine.user_id

    @property
    def user_id(self) -> str | None:
        """Whom this publication runs for. After a log-in it runs anew, for the new user."""
        return self._user_id

    def added(self, collection: str, id: str, fields: Mapping[str, Any]) -> None:  # noqa: A002
        """Publish a document.

        Raises:
            TypeError: A field's value is nothing EJSON can carry.
        """
        document = Document.of(_text(collection), _text(id), fields)
        self._runtime.on_loop(self._runtime.machine.added, self._item, document)

    def changed(self, collection: str, id: str, fields: Mapping[str, Any]) -> None:  # noqa: A002
        """Change fields of a document published here; `ddpcore.UNSET` clears a field.

        Raises:
            ddpcore.DDPError: The document was not added by this publication.
            TypeError: A field's value is nothing EJSON can carry.
        """
        machine = self._runtime.machine
        self._runtime.on_loop(machine.changed, self._item, _text(collection), _text(id), fields)

    def removed(self, collection: str, id: str) -> None:  # noqa: A002
        """Take back a document published here.

        Raises:
            ddpcore.DDPError: The document was not added by this publication.
        """
        machine = self._runtime.machine
        self._runtime.on_loop(machine.removed, self._item, _text(collection), _text(id))

    def ready(self) -> None:
        """Say that the initial documents are complete. Only the first call counts."""
        self._runtime.on_loop(self._runtime.machine.ready, self._item)

    def stop(self) -> None:
        """End the subscription from this side, without an error."""
        self._runtime.on_loop(self._runtime.machine.stop, self._item)

    def error(self, problem: BaseException) -> None:
        """End the subscription with an error; see `ddpcore.MeteorError` for what clients see."""
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
