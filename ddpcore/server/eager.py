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
        attributes = getattr(loop, "__dict__", None)
        # A loop written in C may have none; somebody else may be looking at `call_soon` this way.
        if attributes is None or "call_soon" in attributes:
            return loop.create_task(work, context=context)
        # A new task asks its loop to call its first step soon. It is called here and now.
        steps: list[Callable[[], object]] = []
        soon = loop.call_soon

        def call_soon(step: Callable[..., object], *args: Any, **options: Any) -> object:
            if options.get("context") is not context:  # a destructor's, of what is freed just now
                return soon(step, *args, **options)
            steps.append(step)
            return None

        attributes["call_soon"] = call_soon
        try:
            task = asyncio.Task(work, loop=loop, context=context)
        finally:
            del attributes["call_soon"]
        for step in steps:
            context.run(step)
        return task
