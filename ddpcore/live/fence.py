"""The write fence: what a method wrote, so that `updated` waits for it.

The runtime puts a fence around each method. Whatever captures writes marks the fence of the
context it runs in; asyncio tasks and the runtime's threads inherit it.
"""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["WriteFence", "current_fence"]


class WriteFence:
    """Around one method. `wrote` is set by whoever captures a write made inside."""

    __slots__ = ("wrote",)

    def __init__(self) -> None:
        self.wrote = False

    @staticmethod
    def mark() -> None:
        """Say that a write happened in the current context. Outside of a method: no effect."""
        if (fence := current_fence.get()) is not None:
            fence.wrote = True


current_fence: ContextVar[WriteFence | None] = ContextVar("ddpcore_fence", default=None)
