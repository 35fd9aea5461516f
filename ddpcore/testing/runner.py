"""An event loop for tests that are plain functions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Any, Self, TypeVar

from ddpcore.server import Server
from ddpcore.testing.client import Client, connect

__all__ = ["Runner"]

T = TypeVar("T")


class Runner:
    """Runs coroutines one after the other, all on one loop; between them, the loop stands still.

    So whatever a test does between two calls of `run`, for instance with Django's ORM, happens
    while no handler is at work. A context manager::

        with Runner() as ddp:
            client = ddp.connect(server)
            assert ddp.run(client.call("add", 1, 2)) == 3
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._clients = AsyncExitStack()

    def run(self, work: Awaitable[T]) -> T:
        """Run the loop until `work` is done.

        Returns:
            What it returned.

        Raises:
            RuntimeError: In an asynchronous test: await it there.
            Exception: Whatever `work` raises.
        """

        async def wait() -> T:
            return await work

        return self._runner.run(wait())

    def connect(self, server: Server, **options: Any) -> Client:
        """A connected client of `server`, which is started if need be.

        When the runner closes, the client leaves, and the server stops if it was started here.

        Args:
            server: A server.
            **options: Passed to `ddpcore.testing.connect`.

        Raises:
            ConnectionError: The server did not want the client.
            ddpcore.DDPError: The server cannot start.
        """
        return self.run(self._clients.enter_async_context(connect(server, **options)))

    def close(self) -> None:
        """Let the clients leave, then close the loop; what is still at work is cancelled.

        Raises:
            AssertionError: A server has sent what it should not have.
        """
        try:
            self.run(self._clients.aclose())
        finally:
            self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
