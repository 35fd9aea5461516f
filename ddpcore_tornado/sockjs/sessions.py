"""The sessions over HTTP of one address, by their ids."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from ddpcore.clock import Clock
from ddpcore.errors import DDPError
from ddpcore_tornado.clients import Clients
from ddpcore_tornado.sockjs.options import Options
from ddpcore_tornado.sockjs.service import Service
from ddpcore_tornado.sockjs.session import SockJSSession

__all__ = ["Full", "Sessions"]

logger = logging.getLogger(__name__)


class Full(DDPError):
    """Too many sessions wait for their clients."""


class Sessions:
    """All sessions that are open, or were so a moment ago.

    Attributes:
        waiting: How many of them have no request that waits for frames.
    """

    def __init__(self, service: Service, options: Options, clock: Clock, clients: Clients) -> None:
        self.waiting = 0
        self._clients = clients
        self._service = service
        self._options = options
        self._clock = clock
        self._by_id: dict[str, SockJSSession] = {}
        self._full = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, id: str) -> SockJSSession | None:  # noqa: A002
        """The session of this id."""
        if self._loop is not None and self._loop.is_closed():
            # What waited there has waited in vain, as its timers did.
            self._by_id.clear()
            self.waiting = 0
        return self._by_id.get(id)

    async def open(
        self,
        id: str,  # noqa: A002
        address: str | None,
        headers: Mapping[str, str],
        *,
        secure: bool = False,
    ) -> SockJSSession:
        """The session of this id, a new one if there is none.

        Raises:
            Full: Too many sessions are without a request. It is logged when it begins.
            ddpcore_tornado.crowd.TooMany: There are too many clients of this address.
            ddpcore.DDPError: The service takes nobody in.
        """
        await self._service.start()
        session = self.find(id)
        if session is not None:
            return session
        self._loop = asyncio.get_running_loop()
        full = self.waiting >= self._options.max_waiting
        if full and not self._full:
            logger.warning(
                "%d SockJS sessions are without a request; further ones are refused (max_waiting)",
                self.waiting,
            )
        self._full = full
        if full:
            raise Full("Too many sessions wait for their clients.")
        place = self._clients.enter(address, headers)
        session = SockJSSession(
            id,
            self,
            options=self._options,
            clock=self._clock,
            address=address,
            headers=headers,
            secure=secure,
        )
        session.place = place
        self._by_id[id] = session
        self.waiting += 1
        try:
            self._service.accept(session)
        except BaseException:
            session.end()
            raise
        return session

    def forget(self, session: SockJSSession) -> None:
        """It is over."""
        del self._by_id[session.id]
        if session.place is not None:
            session.place.leave()
        if not session.attached:
            self.waiting -= 1
