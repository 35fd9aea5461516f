"""Tasks that begin at once, and not in the next turn of the event loop.

Most handlers never wait for anything. Begun at once, one has answered before the read that
brought its call is over, and needs neither a turn of the loop nor a place in its queue.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

__all__ = ["begin"]


if sys.version_info >= (3, 12):

    def begin(
        loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], context: Context
    ) -> asyncio.Task[None]:
        """Run `work` in a task, up to the first thing that it waits for."""
        return asyncio.Task(work, loop=loop, context=context, eager_start=True)

else:

    def begin(
        loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], context: Context
    ) -> asyncio.Task[None]:
        """Run `work` in a task, up to the first thing that it waits for.

        From within another task it begins in the next turn: Python 3.11 runs one at a time.
        """
        if asyncio.current_task(loop) is not None:
            return loop.create_task(work, context=context)
        # A new task asks its loop to call its first step soon. It is called here and now.
        try:
            loop.call_soon = _catch  # type: ignore[method-assign,assignment]
        except AttributeError:  # a loop written in C, such as uvloop's
            return loop.create_task(work, context=context)
        try:
            task = asyncio.Task(work, loop=loop, context=context)
        finally:
            del loop.call_soon
        context.run(_caught.pop())
        return task

    _caught: list[Callable[[], object]] = []

    def _catch(step: Callable[[], object], *, context: Context) -> None:  # noqa: ARG001
        _caught.append(step)
