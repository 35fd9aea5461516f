"""The server of a server's status: its publications, and a method that closes a session.

| publication | collection | documents |
|---|---|---|
| ``status.process()`` | ``status.process`` | one: the process in numbers |
| | ``status.errors`` | the latest failures of handlers |
| ``status.sessions(order, descending, text)`` | ``status.sessions`` | the first hundred |
| ``status.observers(order, descending, text)`` | ``status.observers`` | the first hundred |
| ``status.session(id)`` | ``status.session`` | this one |
| | ``status.subscriptions`` | its subscriptions |

Sessions are named by the beginnings of their ids.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from ddpcore.errors import DDPError, MeteorError
from ddpcore.hooks import PluginManager
from ddpcore.hookspecs import hookimpl
from ddpcore.plugins import plugin_manager
from ddpcore.server.context import MethodContext, PublicationContext
from ddpcore.server.server import Server
from ddpcore.status.attempts import Attempts
from ddpcore.status.figures import OBSERVER_ORDERS, SESSION_ORDERS, Figures
from ddpcore.wire.unset import UNSET

__all__ = ["INTERVAL", "SHORTEST_TOKEN", "StatusServer"]

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two looks."""

SHARE = 20
"""A look that took a second is followed by a pause of twenty: it takes no more than a twentieth."""

SHORTEST_TOKEN = 16
"""Characters: who may guess five times a minute does not find such a one."""

OPERATOR = "operator"
"""Who those are that have shown the token, as a user."""

Rows = Mapping[str, Mapping[str, Any]]


class StatusServer(Server):
    """Tells of another server, once a second while somebody looks.

    It has none of the installed plugins, whose business is with the other one, and is stopped
    along with that.

    Args:
        watched: The other one.
        token: What clients must show by the method ``status.enter``; None: nothing, whoever can
            reach it may look, and close sessions.
        options: Further arguments of `ddpcore.Server`.

    Raises:
        ddpcore.DDPError: The token is too short.
    """

    def __init__(self, watched: Server, *, token: str | None = None, **options: Any) -> None:
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise DDPError(
                f"The token of the status page (DDPCORE_STATUS_TOKEN) has {len(token)} characters, "
                f"and needs {SHORTEST_TOKEN}: `openssl rand -hex 16` makes one."
            )
        super().__init__(
            **{"grace_period": 0, "max_message_size": 16 * 1024, "max_subscriptions": 16} | options
        )
        self.token = token
        self._figures = Figures(watched)
        self._attempts = Attempts()
        self._looks: dict[_Look, None] = {}
        self._ticking: asyncio.Task[None] | None = None
        watched.plugins.register(_StopsWith(self))
        self.method("status.enter")(self._enter)
        self.method("status.close")(self._close)
        self.publish("status.process")(self._process)
        self.publish("status.sessions")(self._sessions)
        self.publish("status.observers")(self._observers)
        self.publish("status.session")(self._session)

    def find_plugins(self, given: Iterable[object]) -> PluginManager:
        """See `Server`: only what is built in, and given."""
        return plugin_manager(given, installed=False)

    # Access

    async def _enter(self, context: MethodContext, token: str | None = None) -> str:
        """Show the token."""
        if self.token is not None:
            address, now = context.connection.client_address, self.clock.time()
            if not self._attempts.may_try(address, now):
                raise MeteorError(429, "Too many wrong tokens. Wait for a minute.")
            if token is None:
                raise MeteorError(403, "This page needs a token.")
            if not hmac.compare_digest(_bytes(token), _bytes(self.token)):
                self._attempts.failed(address, now)
                logger.warning("A wrong token for the status page, from %s", address)
                raise MeteorError(403, "This is not the token.")
        await context.set_user_id(OPERATOR)
        return OPERATOR

    def _check(self, context: MethodContext | PublicationContext) -> None:
        if self.token is not None and context.user_id != OPERATOR:
            raise MeteorError(403, "This page needs a token.")

    # What can be done

    async def _close(self, context: MethodContext, session: str) -> bool:
        self._check(context)
        closed = self._figures.close(session)
        if closed:
            logger.info(
                "Session %s is closed by %s, on the status page",
                session,
                context.connection.client_address,
            )
        return closed

    # What there is to see

    async def _process(self, context: PublicationContext) -> None:
        async def look() -> dict[str, Rows]:
            return {
                "status.process": {"process": await self._figures.process()},
                "status.errors": self._figures.errors(),
            }

        await self._show(context, look)

    async def _sessions(
        self,
        context: PublicationContext,
        order: str = "since",
        descending: bool = True,
        text: str = "",
    ) -> None:
        _check_order(order, SESSION_ORDERS)

        async def look() -> dict[str, Rows]:
            found = await self._figures.sessions(order, descending=descending, text=text)
            return {"status.sessions": found}

        await self._show(context, look)

    async def _observers(
        self,
        context: PublicationContext,
        order: str = "watchers",
        descending: bool = True,
        text: str = "",
    ) -> None:
        _check_order(order, OBSERVER_ORDERS)

        async def look() -> dict[str, Rows]:
            found = await self._figures.observers(order, descending=descending, text=text)
            return {"status.observers": found}

        await self._show(context, look)

    async def _session(self, context: PublicationContext, session: str) -> None:
        async def look() -> dict[str, Rows]:
            found = self._figures.session(session)
            return {
                "status.session": {} if found is None else {session: found},
                "status.subscriptions": self._figures.subscriptions(session),
            }

        await self._show(context, look)

    async def _show(
        self, context: PublicationContext, look: Callable[[], Awaitable[dict[str, Rows]]]
    ) -> None:
        self._check(context)
        one = _Look(context, look)
        await one()
        context.ready()
        self._looks[one] = None
        context.on_stop(lambda: self._leave(one))
        if self._ticking is None and self._looks:
            self._ticking = asyncio.get_running_loop().create_task(self._tick())

    def _leave(self, look: _Look) -> None:
        self._looks.pop(look, None)
        if not self._looks and self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    async def _tick(self) -> None:
        pause = INTERVAL
        while True:
            passed = asyncio.Event()
            timer = self.clock.call_at(self.clock.time() + pause, passed.set)
            try:
                await passed.wait()
            finally:
                timer.cancel()
            began = time.perf_counter()
            for look in list(self._looks):
                try:
                    await look()
                except Exception:
                    logger.exception("The status cannot be told")
            pause = max(INTERVAL, SHARE * (time.perf_counter() - began))


class _Look:
    """What one subscription shows: told in full once, then what has changed."""

    def __init__(
        self, context: PublicationContext, look: Callable[[], Awaitable[dict[str, Rows]]]
    ) -> None:
        self._context = context
        self._look = look
        self._shown: dict[str, Rows] = {}

    async def __call__(self) -> None:
        context, found = self._context, await self._look()
        for collection, rows in found.items():
            shown = self._shown.get(collection, {})
            for key in shown.keys() - rows.keys():
                context.removed(collection, key)
            for key, fields in rows.items():
                if key not in shown:
                    context.added(collection, key, fields)
                elif changes := _changes(shown[key], fields):
                    context.changed(collection, key, changes)
        self._shown = found


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    changes = {name: value for name, value in after.items() if before.get(name, UNSET) != value}
    return changes | dict.fromkeys(before.keys() - after.keys(), UNSET)


class _StopsWith:
    """Stops the status server before what it looks at is gone."""

    def __init__(self, status: StatusServer) -> None:
        self._status = status

    @hookimpl
    async def ddpcore_server_stopping(self) -> None:
        await self._status.stop()


def _check_order(order: str, known: Iterable[str]) -> None:
    if order not in known:
        raise MeteorError(400, f"There is no such order. There are: {', '.join(known)}.")


def _bytes(token: str) -> bytes:
    return token.encode("utf-8", "surrogatepass")
