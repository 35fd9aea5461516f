"""Deletes the logins that have expired, now and then."""

from __future__ import annotations

import logging

from ddpcore.clock import Timer
from ddpcore.hookspecs import hookimpl
from ddpcore_django.accounts.tokens import sweep
from ddpcore_django.server import DjangoServer

__all__ = ["Sweeper"]

logger = logging.getLogger(__name__)


class Sweeper:
    """Sweeps when the server starts, and from then on at intervals, by the server's clock.

    Connections of logins that have expired are closed by that, as by any deletion (Meteor 3.0.4,
    accounts_server.js, `_expireTokens`). Processes sweep each for itself: what another one has
    deleted is not there any more.

    Args:
        server: Whose threads and clock.
        interval: Seconds between the end of one sweep and the next; 0: there is only the first.
    """

    def __init__(self, server: DjangoServer, interval: float) -> None:
        self._server = server
        self._interval = interval
        self._timer: Timer | None = None
        self._stopped = False

    @hookimpl
    def ddpcore_server_started(self) -> None:
        """Sweep, and go on."""
        self._stopped = False
        self._sweep()

    @hookimpl
    def ddpcore_server_stopping(self) -> None:
        """Sweep no more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        self._timer = None
        self._server.crossbar.spawn(self._swept())

    async def _swept(self) -> None:
        try:
            await self._server.ask(sweep)
        except Exception as problem:
            logger.warning(
                "Expired logins could not be deleted, trying again in %g s: %s",
                self._interval,
                str(problem) or type(problem).__name__,
            )
        if self._interval > 0 and not self._stopped:
            clock = self._server.clock
            self._timer = clock.call_at(clock.time() + self._interval, self._sweep)
