"""Who waits for a fence, and which token will release them.

Callers gather until a token is sent for all of them at once; who asks after that needs the next
token, for something may have been committed in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Fences"]


class Fences:
    """The book of fences; sending the tokens is somebody else's work."""

    def __init__(self) -> None:
        self._unsent: list[asyncio.Future[None]] = []
        self._sent: dict[str, list[asyncio.Future[None]]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._count = 0

    @property
    def unsent(self) -> bool:
        """Whether somebody waits for whom no token was sent yet."""
        return bool(self._unsent)

    def ask(self) -> asyncio.Future[None]:
        """A new fence: the future completes when the fence does."""
        fence = asyncio.get_running_loop().create_future()
        self._unsent.append(fence)
        return fence

    def send(self, patience: float, overdue: Callable[[str], None]) -> str:
        """A token for all who asked until now.

        Args:
            patience: Seconds.
            overdue: Called with the token should it not come back in that time.
        """
        self._count += 1
        token = str(self._count)
        self._sent[token], self._unsent = self._unsent, []
        loop = asyncio.get_running_loop()
        self._timers[token] = loop.call_later(patience, overdue, token)
        return token

    def came(self, token: str) -> None:
        """A token is back: its fences are complete. Unknown ones are none of ours."""
        if token in self._sent:
            self._timers.pop(token).cancel()
            _complete(self._sent.pop(token))

    def release(self) -> None:
        """Complete all fences, whether their token was sent or not."""
        unsent, self._unsent = self._unsent, []
        _complete(unsent)
        for token in list(self._sent):
            self.came(token)


def _complete(fences: list[asyncio.Future[None]]) -> None:
    for fence in fences:
        if not fence.done():  # the caller may have been cancelled
            fence.set_result(None)
