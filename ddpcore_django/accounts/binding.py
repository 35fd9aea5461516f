"""Which login a connection rests on; when that is taken back, the connection is closed.

Each process watches for its own connections, with live queries: of the row of the login, and of
the user as long as it is active. So it does not matter who takes a login back, or where: another
connection, the admin, another process, a bare statement where triggers capture. What the bus may
have missed is asked for again, as of every live query.

A session without its client, which waits to be resumed, is watched like any other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, QuerySet

from ddpcore.live.observer import ObserveHandle
from ddpcore.live.query import LiveQuery
from ddpcore.server import ConnectionHandle, Context, MethodContext, Server
from ddpcore_django.accounts.models import LoginToken
from ddpcore_django.collection import Collection
from ddpcore_django.livequery import live_query
from ddpcore_django.server import DjangoServer

__all__ = ["Bindings", "bind", "bindings_of", "bound", "unbind"]

logger = logging.getLogger(__name__)


def bind(context: MethodContext, row_id: int) -> None:
    """This connection is logged in by this row from now on, and closed when the row goes.

    May be called from any thread. It is closed, too, if the row is gone already, or its user is no
    longer active (Meteor 3.0.4, accounts_server.js, `_setLoginToken`). The row may be one of the
    method's own transaction: it is looked for once the method is over, and if the transaction was
    rolled back, the connection is closed.
    """
    bindings = bindings_of(context.server)
    context._runtime.on_loop(bindings.bind, context.connection, row_id, context)


def unbind(context: MethodContext) -> int | None:
    """The connection rests on no login any more; the row it rested on, if there was one.

    For who logs out, before the row is deleted: the connection stays open. May be called from any
    thread. If somebody is still logged in when the method is over, and by no other row, it has
    failed half-way: then the connection is closed.
    """
    bindings = bindings_of(context.server)
    row_id: int | None = context._runtime.on_loop(bindings.unbind, context.connection)
    if row_id is not None:
        context.on_over(lambda: bindings.see_to(context))
    return row_id


def bound(context: Context) -> int | None:
    """The row of the login that this connection rests on."""
    return bindings_of(context.server).row_of(context.connection)


def bindings_of(server: Server) -> Bindings:
    """The bindings of a server, made when they are first asked for."""
    bindings: Bindings = server.__dict__.setdefault("_login_bindings", Bindings(server))
    return bindings


class Bindings:
    """Which connections of a server rest on which logins.

    Args:
        server: A `DjangoServer`: others do not lend their threads to queries.
    """

    def __init__(self, server: Server) -> None:
        self._server = cast("DjangoServer", server)
        self._bindings: dict[str, _Binding] = {}  # by connection
        self._known: set[str] = set()  # the connections whose end is told

    def __len__(self) -> int:
        return len(self._known)

    def row_of(self, connection: ConnectionHandle) -> int | None:
        """The row that a connection rests on, from any thread."""
        binding = self._bindings.get(connection.id)
        return binding.row_id if binding is not None else None

    def bind(
        self, connection: ConnectionHandle, row_id: int, context: MethodContext | None = None
    ) -> None:
        """See `bind`; on the event loop. Without a method it is looked for at once."""
        self.unbind(connection)
        if connection.id not in self._known:
            self._known.add(connection.id)
            connection.on_close(lambda: self._closed(connection))
        binding = self._bindings[connection.id] = _Binding(row_id, connection)
        if context is None:
            self._watch(binding)
        else:
            context.on_over(lambda: self._watch(binding))

    def unbind(self, connection: ConnectionHandle) -> int | None:
        """Watch no longer; on the event loop. The row, if there was one."""
        binding = self._bindings.pop(connection.id, None)
        if binding is None:
            return None
        binding.over = True
        self._release(binding.handles)
        return binding.row_id

    def _closed(self, connection: ConnectionHandle) -> None:
        self._known.discard(connection.id)
        self.unbind(connection)

    def see_to(self, context: MethodContext) -> None:
        """Close a connection whose user rests on no login."""
        user_id = context._runtime.machine.user_id
        if user_id is not None and self.row_of(context.connection) is None:
            asyncio.get_running_loop().call_soon(context.connection.close)  # after the result

    def _watch(self, binding: _Binding) -> None:
        if not binding.over:
            self._server.crossbar.spawn(self._begin(binding))

    async def _begin(self, binding: _Binding) -> None:
        try:
            queries = await self._server.ask(_queries, self._server, binding.row_id)
            watched = [(query, binding.take) for query in queries]
            handles = await self._server.crossbar.observe(watched)
        except Exception as problem:
            if not binding.over:
                logger.warning(
                    "%s is closed, for its login cannot be watched: %s",
                    binding.connection,
                    str(problem) or type(problem).__name__,
                )
                binding.connection.close()
            return
        except BaseException:
            binding.connection.close()
            raise
        if binding.over:
            self._release(handles)
            return
        binding.handles = handles
        if not handles or not all(each.observer.items for each in handles):
            binding.connection.close()

    def _release(self, handles: Sequence[ObserveHandle]) -> None:
        for handle in handles:
            self._server.crossbar.release(handle)


class _Binding:
    """One connection's login.

    Attributes:
        handles: What is watched, once it is.
        over: Whether the connection rests on it no longer.
    """

    def __init__(self, row_id: int, connection: ConnectionHandle) -> None:
        self.row_id = row_id
        self.connection = connection
        self.handles: Sequence[ObserveHandle] = ()
        self.over = False

    def take(self, step: Any) -> None:
        """The row, or the active user, came or went."""
        if step.after is None and not self.over:
            self.over = True  # nobody is told twice
            self.connection.close()


class _Existence(Collection):
    """Says that there is a row, and nothing of it."""

    fields = ()

    def published_many_to_many(self) -> list[Any]:
        return []


@cache
def _existence(model: Any) -> Collection:
    name = f"ddpcore.accounts.{model._meta.label_lower}"
    made: Collection = type("Existence", (_Existence,), {"model": model, "name": name})()
    return made


def _queries(server: DjangoServer, row_id: int) -> list[LiveQuery]:
    """What to watch; nothing if the login is gone. In a thread."""
    # No managers: one of the project's might hide rows.
    login: QuerySet[Any] = QuerySet(LoginToken).filter(pk=row_id)
    user_id = login.values_list("user_id", flat=True).first()
    if user_id is None:
        return []
    model = get_user_model()
    user: QuerySet[Any] = QuerySet(model).filter(pk=user_id)
    if _has_activity(model):
        user = user.filter(is_active=True)
    return [_exists(login, server), _exists(user, server)]


def _exists(queryset: QuerySet[Any], server: DjangoServer) -> LiveQuery:
    model: Any = queryset.model
    collection = _existence(model)
    return live_query(collection, str(collection.name), queryset, server.ask)


def _has_activity(model: type[Model]) -> bool:
    try:
        return bool(model._meta.get_field("is_active").concrete)
    except FieldDoesNotExist:
        return False
