"""The extension surface: every hook there is, typed and documented, and nothing else.

A plugin is a module or object with functions of these names marked `@ddpcore.hookimpl`. It may
take any subset of a hook's arguments. Installed distributions announce theirs under the
entry-point group `ddpcore`; `Server(plugins=[…])` takes further ones. Implementations are called
the latest registered first, unless they are marked ``tryfirst`` or ``trylast``.

There are four kinds of hooks:

- one that *asks*: the first answer that is not None wins, the others are not called;
- one that *calls*: all are called; a failure ends what they are called for;
- one that *lets in*: all are called, and any failure refuses;
- one that *tells*: all are called, whatever becomes of some. A failure is logged with the names
  of plugin and hook, and hurts nobody else. An `async def` implementation runs in the background.

These arguments mean the same wherever they stand: `server` is the server that calls; `connection`
the client's; `context` what the handler is given; `params` what the client sent, before it was
checked; `seconds` how long something took, by the server's clock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import argparse

    from ddpcore.application import Application
    from ddpcore.bus import Bus, BusEvent
    from ddpcore.checks import Check
    from ddpcore.errors import MeteorError
    from ddpcore.live.observer import Observer
    from ddpcore.server.context import ConnectionHandle, MethodContext, PublicationContext
    from ddpcore.server.rate_limiter import Call
    from ddpcore.server.server import Server
    from ddpcore.session.strategy import PublicationStrategy
    from ddpcore.typescript.interface import Interface

__all__ = [
    "ddpcore_admit",
    "ddpcore_application",
    "ddpcore_around_method",
    "ddpcore_around_publication",
    "ddpcore_bus",
    "ddpcore_bus_event",
    "ddpcore_checks",
    "ddpcore_client_caught_up",
    "ddpcore_client_slowed",
    "ddpcore_commands",
    "ddpcore_error",
    "ddpcore_fence_passed",
    "ddpcore_frames_sent",
    "ddpcore_message",
    "ddpcore_method_ended",
    "ddpcore_method_started",
    "ddpcore_observer_asked",
    "ddpcore_observer_started",
    "ddpcore_observer_stopped",
    "ddpcore_publication_strategy",
    "ddpcore_register",
    "ddpcore_routes",
    "ddpcore_serve_options",
    "ddpcore_server_started",
    "ddpcore_server_stopping",
    "ddpcore_session_closed",
    "ddpcore_session_opened",
    "ddpcore_subscription_ended",
    "ddpcore_subscription_ready",
    "ddpcore_subscription_started",
    "ddpcore_types",
    "ddpcore_user_changed",
    "hookimpl",
    "hookspec",
]

hookspec = pluggy.HookspecMarker("ddpcore")
"""Marks a specification. The hooks of ddpcore are those of this module."""

hookimpl = pluggy.HookimplMarker("ddpcore")
"""Marks an implementation of a hook, in a plugin: ``@ddpcore.hookimpl``.

``@ddpcore.hookimpl(tryfirst=True)`` is called before others, ``trylast=True`` after them, and
``optionalhook=True`` may name a hook that is not there.
"""


# A server and its parts


@hookspec
def ddpcore_register(server: Server) -> None:
    """Register methods and publications on a server that was just made."""


@hookspec
def ddpcore_server_started(server: Server) -> Awaitable[None] | None:
    """The server has started, and lets nobody in until you are done: open what you need.

    Called on the event loop, which must not be blocked; it may be a coroutine function, and is
    awaited. The plugin registered first is called first, and each waits for the one before it.
    The bus delivers and the threads run: `server.crossbar`, `server.bus` and `server.in_thread`
    can be used. An exception makes `Server.start()` fail with a `DDPError` that names the plugin;
    what was started by then is stopped, and the next start calls everybody anew. If the start is
    cancelled, because the server is stopped meanwhile, so is the coroutine that it waits for.
    """


@hookspec
def ddpcore_server_stopping(server: Server) -> Awaitable[None] | None:
    """The server stops, and all clients are gone: close what you have opened.

    Called on the event loop, once for each `ddpcore_server_started` that came through, also where
    another plugin made the start fail; it may be a coroutine function, and is awaited. The plugin
    registered last is called first. Handlers have ended by now; the bus and the threads have not.
    An exception is logged, and so is who takes longer than the `patience` of `Server.stop` (5
    seconds); stopping goes on. The server may be started again, also on another event loop.
    Not called where the process is killed, or the event loop closed before the server was stopped.
    """


@hookspec(firstresult=True)
def ddpcore_bus(url: str) -> Bus | None:
    """Make the bus for a `url` such as ``memory:``, or return None if the scheme is not yours.

    The first result wins.
    """


@hookspec(firstresult=True)
def ddpcore_publication_strategy(server: Server, collection: str) -> PublicationStrategy | None:
    """Give the strategy of the collection named `collection`, or None if you have no say in it.

    The first result wins, unless `Server.set_publication_strategy` was called. Asked once for
    each collection, when a client first sees it.
    """


# A session and what it runs, all on the event loop


@hookspec
def ddpcore_session_opened(server: Server, connection: ConnectionHandle) -> None:
    """A client has connected."""


@hookspec
def ddpcore_session_closed(server: Server, connection: ConnectionHandle) -> None:
    """A client's session is over."""


@hookspec
def ddpcore_user_changed(server: Server, connection: ConnectionHandle, user_id: str | None) -> None:
    """A connection now belongs to the user `user_id`; its subscriptions are about to run again.

    None: to nobody.
    """


@hookspec
def ddpcore_admit(server: Server, call: Call) -> Awaitable[None] | None:
    """Let a call of a method or a subscription in, or raise: a `MeteorError` for the client.

    It lets in. `call` says who wants what. Called before the handler, once for each call; not for
    universal subscriptions, and not when subscriptions run again for another user. It may be a
    coroutine function.
    """


@hookspec
def ddpcore_around_method(
    context: MethodContext, params: list[Any]
) -> AbstractAsyncContextManager[Any] | None:
    """Enter something around the handler of a method; an exception in it refuses the call.

    Give an asynchronous context manager, or None.
    """


@hookspec
def ddpcore_around_publication(
    context: PublicationContext, params: list[Any]
) -> AbstractAsyncContextManager[Any] | None:
    """Enter something around the handler of a publication; an exception in it refuses it.

    Give an asynchronous context manager, or None.
    """


# Instruments: they tell, on the event loop, and cost nothing where nobody listens. Seconds are
# those of the server's clock. None of them may change what it is given.


@hookspec
def ddpcore_message(
    server: Server, connection: ConnectionHandle, kind: str | None, size: int
) -> None:
    """A message of a client was taken.

    `kind` is its ``msg``, None if it could not be read. `size` is its length, in characters of
    text or bytes of binary frames.
    """


@hookspec
def ddpcore_method_started(context: MethodContext, params: list[Any]) -> None:
    """A method is about to run, its arguments as the client sent them. They may hold secrets."""


@hookspec
def ddpcore_method_ended(
    context: MethodContext, seconds: float, error: MeteorError | None, size: int
) -> None:
    """A method is over.

    `seconds` since it started, admission and waiting for a thread included; `error` is what the
    client is told in place of a result; `size` the bytes of its result message.
    """


@hookspec
def ddpcore_subscription_started(context: PublicationContext, params: list[Any]) -> None:
    """A subscription begins, or begins again for another user. Its arguments may hold secrets."""


@hookspec
def ddpcore_subscription_ready(context: PublicationContext, seconds: float) -> None:
    """A subscription is ready, so many seconds after it started."""


@hookspec
def ddpcore_subscription_ended(
    context: PublicationContext, seconds: float, error: MeteorError | None
) -> None:
    """A subscription is over: stopped, or ended by `error`, or run again for another user.

    `seconds` since it started.
    """


@hookspec
def ddpcore_observer_started(server: Server, observer: Observer[Any]) -> None:
    """A query is watched that was not: `observer` has its `name`, `kind` and `topics`."""


@hookspec
def ddpcore_observer_asked(server: Server, observer: Observer[Any], seconds: float) -> None:
    """The query of `observer` was asked of the database, for the first time or again."""


@hookspec
def ddpcore_observer_stopped(server: Server, observer: Observer[Any]) -> None:
    """Nobody watches the query of `observer` any more, or its first result could not be had."""


@hookspec
def ddpcore_bus_event(server: Server, event: BusEvent) -> None:
    """The bus has delivered `event`, a `Change` or a `Gap`."""


@hookspec
def ddpcore_fence_passed(server: Server, seconds: float) -> None:
    """A method that wrote has waited so long until its clients could be sent what it wrote."""


@hookspec
def ddpcore_frames_sent(
    server: Server, connection: ConnectionHandle, frames: int, size: int
) -> None:
    """A client is sent `frames` messages in one write, together of `size` bytes."""


@hookspec
def ddpcore_client_slowed(server: Server, connection: ConnectionHandle) -> None:
    """A client does not take what it is sent: its documents' changes are put together from now."""


@hookspec
def ddpcore_client_caught_up(server: Server, connection: ConnectionHandle) -> None:
    """Such a client has taken what waited for it."""


@hookspec
def ddpcore_error(server: Server, problem: BaseException, where: str) -> None:
    """A handler has failed with `problem`, which its client may not see: it is told of a 500.

    `where` is text such as ``method 'add'``. The log has it, too.
    """


# The command line


@hookspec
def ddpcore_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add commands to `ddpcore`. Each parser sets ``run``, a function of the parsed options.

    `commands` takes parsers by its `add_parser`.
    """


@hookspec
def ddpcore_serve_options(parser: argparse.ArgumentParser) -> None:
    """Add options to `ddpcore serve`, to its `parser`."""


@hookspec
def ddpcore_routes(server: Server, options: Any) -> list[Any] | None:
    """Give rules of Tornado for what `ddpcore serve` shall serve beside DDP, or return None.

    Called in each process that serves, on its event loop, before the server is started. A rule is
    whatever a `tornado.web.Application` takes. The rules come behind the addresses of DDP and
    before the site, those of the plugin that was registered last first. `options` is the
    `ddpcore_tornado.options.Options` of the command; its `given` has what `ddpcore_serve_options`
    has added.
    """


@hookspec(firstresult=True)
def ddpcore_application(options: argparse.Namespace) -> Application | None:
    """Make what `ddpcore serve` shall serve, or return None if the options do not concern you.

    `options` are those of the command line. The first result wins.
    """


@hookspec(firstresult=True)
def ddpcore_types(options: argparse.Namespace) -> Interface | None:
    """Say what `ddpcore types` shall declare, or return None if the options do not concern you.

    `options` are those of the command line. The first result wins. A plugin that registers methods
    and publications on servers needs no such hook: they are declared with the others, by their
    annotations.
    """


@hookspec
def ddpcore_checks(server: Server | None, options: Any) -> Iterable[Check] | None:
    """Give what `ddpcore check` shall look at, or return None.

    All are asked, once, before any check is run, on no event loop. A failure is an error in the
    report, as is one of a check, and hurts no other. `server` is None if it could not be loaded.
    `options` is the `ddpcore_tornado.options.Options` of the command, whose `bus` is the URL that
    `serve` would use.
    """
