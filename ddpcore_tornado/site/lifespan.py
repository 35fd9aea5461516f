"""The lifespan protocol of ASGI: an application is told that the server starts and stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ddpcore.errors import DDPError

__all__ = ["Lifespan"]

logger = logging.getLogger(__name__)


class Lifespan:
    """The life of an application, on its loop.

    Args:
        application: The application.
        version: What its scope says of ASGI.

    Attributes:
        state: What the application keeps for its requests.
    """

    def __init__(
        self, application: Callable[..., Awaitable[None]], version: dict[str, str]
    ) -> None:
        self._application = application
        self._version = version
        self._task: asyncio.Task[None] | None = None
        self._is_spoken = False
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Tell it that the server starts. One that does not speak the protocol is left alone.

        Raises:
            DDPError: It says that it cannot start.
        """
        self._told: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._said: asyncio.Queue[MutableMapping[str, Any] | None] = asyncio.Queue()
        self._told.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.create_task(self._run())
        answer = await self._said.get()
        if answer is None:
            return
        if answer["type"] == "lifespan.startup.failed":
            raise DDPError(
                f"The ASGI application does not start: {answer.get('message') or 'no reason given'}"
            )
        self._is_spoken = True

    async def stop(self) -> None:
        """Tell it that the server stops, and wait until it has done what it has to do."""
        if self._is_spoken:
            self._told.put_nowait({"type": "lifespan.shutdown"})
            answer = await self._said.get()
            if answer is not None and answer["type"] == "lifespan.shutdown.failed":
                logger.error("The ASGI application does not stop well: %s", answer.get("message"))

    async def _run(self) -> None:
        heard = False

        async def receive() -> dict[str, str]:
            nonlocal heard
            heard = True
            return await self._told.get()

        async def send(message: MutableMapping[str, Any]) -> None:
            kind = message["type"]
            stage = "shutdown" if self._is_spoken else "startup"
            if kind not in (f"lifespan.{stage}.complete", f"lifespan.{stage}.failed"):
                raise RuntimeError(f"The application must not send {kind!r} now.")
            self._said.put_nowait(message)

        scope = {"type": "lifespan", "asgi": self._version.copy(), "state": self.state}
        try:
            await self._application(scope, receive, send)
        except (Exception, SystemExit):
            # By an exception it says that it does not speak the protocol, as Django's does. From
            # one that has listened it is more likely a mistake.
            logger.log(
                logging.WARNING if heard else logging.DEBUG,
                "The ASGI application goes on without lifespan",
                exc_info=True,
            )
        self._said.put_nowait(None)
