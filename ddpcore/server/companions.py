"""Plugins that start and stop with a server: its hooks `ddpcore_server_started` and `…_stopping`.

They are called one by one, and not as pluggy calls hooks, since each may be awaited, a failure has
to name the plugin, and what has started before it is stopped again.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any

import pluggy

from ddpcore.errors import DDPError
from ddpcore.hooks import FAILURES
from ddpcore.server.runtime import cancelled

if TYPE_CHECKING:
    from ddpcore.server.server import Server

__all__ = ["Companions"]

logger = logging.getLogger(__name__)

STARTED, STOPPING = "ddpcore_server_started", "ddpcore_server_stopping"


class Companions:
    """The plugins of a server that want to know when it starts and stops.

    Args:
        server: The server.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._present: list[object] = []
        self._all = False

    async def start(self) -> None:
        """Tell them that the server runs, those that were registered first before the others.

        Raises:
            ddpcore.DDPError: One of them failed. Those before it have to be stopped.
        """
        self._present, self._all = [], False
        implementations = self._implementations(STARTED)
        # pluggy keeps them in the reverse of the order in which it calls: `trylast` at the front.
        implementations.sort(key=lambda each: each.trylast - each.tryfirst)
        for each in implementations:
            try:
                await self._call(each)
            except FAILURES as problem:
                if cancelled(problem):
                    raise
                raise DDPError(
                    f"The plugin {self._name(each)} cannot start ({STARTED}): "
                    f"{str(problem) or type(problem).__name__}. Repair it, or leave it out."
                ) from problem
            self._present.append(each.plugin)
        self._all = True

    async def stop(self, patience: float) -> None:
        """Tell those that have been told of the start, the latest registered first.

        Args:
            patience: Seconds that each gets. Failures are logged.
        """
        present, everybody = self._present, self._all
        self._present, self._all = [], False
        for each in reversed(self._implementations(STOPPING)):
            if not everybody and each.plugin not in present:
                continue
            try:
                async with asyncio.timeout(patience):
                    await self._call(each)
            except TimeoutError:
                logger.exception(
                    "The plugin %s does not stop in time (%s)", self._name(each), STOPPING
                )
            except FAILURES as problem:
                if cancelled(problem):
                    raise
                logger.exception("Exception in %s of the plugin %s", STOPPING, self._name(each))

    def forget(self) -> None:
        """They ended with their event loop: there is nobody to tell."""
        self._present, self._all = [], False

    def _implementations(self, hook: str) -> list[pluggy.HookImpl]:
        caller: pluggy.HookCaller = getattr(self._server.plugins.hook, hook)
        return caller.get_hookimpls()

    def _name(self, implementation: pluggy.HookImpl) -> str:
        return repr(self._server.plugins.shown(implementation.plugin_name, implementation.plugin))

    async def _call(self, implementation: pluggy.HookImpl) -> None:
        given: dict[str, Any] = {"server": self._server}
        value: object = implementation.function(*[given[name] for name in implementation.argnames])
        if inspect.isawaitable(value):
            await value
