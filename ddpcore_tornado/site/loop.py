"""An event loop in a thread of its own, for code that may block it."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

__all__ = ["LoopThread"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that the application gets for its orderly end, and then for the end of its tasks."""

FAREWELL = 3.0
"""Seconds after its main thread in which a process waits for the application's threads."""


class LoopThread:
    """A thread that runs a loop.

    Args:
        name: What the thread is called.

    Attributes:
        loop: The loop; there is one when the thread has been started.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(self, name: str) -> None:
        # Threads that are started from a daemon are daemons, too.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._running = threading.Event()
        self._stopping = False

    def start(self) -> None:
        """Start it."""
        self._home = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._thread.start()
        _leave_daemons_behind()
        self._running.wait()

    async def run(self, job: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there; its result."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(job, self.loop))

    async def stop(self, farewell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `farewell` there, then end all tasks and the thread.

        Where that does not work the thread is left behind, with a warning.
        """
        if not self._running.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self.run(farewell())
        self._stopping = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._ended.wait()
        except TimeoutError:
            logger.warning("The site does not end: it is left behind")

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self.loop = runner.get_loop()
            asyncio.set_event_loop(self.loop)
            self.loop.call_soon(self._running.set)
            while not self._stopping:
                try:
                    self.loop.run_forever()
                except SystemExit as problem:  # raised in a task, it comes out here as well
                    logger.error("The site called sys.exit(%r)", problem.code)  # noqa: TRY400
        with suppress(RuntimeError):  # nobody has waited
            self._home.call_soon_threadsafe(self._ended.set)


@cache
def _leave_daemons_behind() -> None:
    # Once for a process. It waits for threads of `concurrent.futures` even if they are daemons, as
    # those are to which an application of ours has sent what blocks.
    ending, ended = threading.Event(), threading.Event()
    # Python has no other word for the moment before that wait; concurrent.futures uses it as well.
    threading._register_atexit(ending.set)  # type: ignore[attr-defined]
    atexit.register(ended.set)  # and that is after it
    main = threading.main_thread()

    def watch() -> None:
        ending.wait()
        while not ended.wait(FAREWELL):
            if all(each.daemon or each is main for each in threading.enumerate()):
                os._exit(0)

    threading.Thread(target=watch, name="ddpcore-leave", daemon=True).start()
