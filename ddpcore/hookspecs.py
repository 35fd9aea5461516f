"""The extension surface: every hook there is, typed and documented, and nothing else.

A plugin is a module or object with functions of these names marked `@ddpcore.hookimpl`. It may
take any subset of a hook's arguments. Installed distributions announce theirs under the
entry-point group `ddpcore`; `Server(plugins=[…])` takes further ones. Unless a hook says that the
first result wins, all implementations are called, the latest registered first.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import argparse

    from ddpcore.application import Application
    from ddpcore.bus import Bus
    from ddpcore.server.context import ConnectionHandle, MethodContext, PublicationContext
    from ddpcore.server.server import Server
    from ddpcore.session.strategy import PublicationStrategy

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("ddpcore")
hookimpl = pluggy.HookimplMarker("ddpcore")


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
    """Make the bus for a URL such as ``memory:``, or return None if the scheme is not yours.

    The first result wins.
    """


@hookspec(firstresult=True)
def ddpcore_publication_strategy(server: Server, collection: str) -> PublicationStrategy | None:
    """Give the strategy of a collection, or return None if it does not concern you.

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
    """A connection now belongs to another user; its subscriptions are about to run again."""


@hookspec
def ddpcore_around_method(
    context: MethodContext, params: list[Any]
) -> AbstractAsyncContextManager[Any] | None:
    """Enter something around the handler of a method; an exception in it refuses the call."""


@hookspec
def ddpcore_around_publication(
    context: PublicationContext, params: list[Any]
) -> AbstractAsyncContextManager[Any] | None:
    """Enter something around the handler of a publication; an exception in it refuses it."""


# The command line


@hookspec
def ddpcore_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add commands to `ddpcore`. Each parser sets ``run``, a function of the parsed options."""


@hookspec
def ddpcore_serve_options(parser: argparse.ArgumentParser) -> None:
    """Add options to `ddpcore serve`."""


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

    The first result wins.
    """
