"""A transport that remembers: what a session sent, as frames and as messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ddpcore.transport import MemoryTransport, visible_headers
from ddpcore.wire.frame import Frame

__all__ = ["RecordingTransport"]

T = TypeVar("T")


class RecordingTransport(MemoryTransport):
    """One client's way in and out, in memory.

    Args:
        address: The client's IP address.
        headers: The request's headers; handlers see those that are safe to see.
        on_message: Called with each message that comes, when it is in the records.

    Attributes:
        frames: What came, as it travels.
        messages: The same, read as JSON. EJSON values stand as they travel.
        late: Messages that came after the close: there should be none.
        closed: The code and the reason of the server's close; None: it has not closed.
    """

    def __init__(
        self,
        address: str | None = "127.0.0.1",
        headers: Mapping[str, str] | None = None,
        on_message: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        super().__init__(address)
        self.headers = visible_headers((headers or {}).items())
        self.messages: list[dict[str, Any]] = []
        self.late: list[dict[str, Any]] = []
        self._on_message = on_message
        self._news = asyncio.Event()

    # The session's side

    def send(self, frames: Sequence[Frame]) -> None:
        """Keep `frames`; what comes late, too."""
        if self.closed is None:
            super().send(frames)
            return
        for frame in frames:
            self.late.append(json.loads(frame.data))
            self._tell(self.late[-1])

    def taken(self, frames: Sequence[Frame]) -> None:
        """Read them."""
        for frame in frames:
            message = json.loads(frame.data)
            self.frames.append(frame)
            self.messages.append(message)
            self._tell(message)

    def _tell(self, message: dict[str, Any]) -> None:
        self._news.set()
        if self._on_message is not None:
            self._on_message(message)

    def close(self, code: int, reason: str) -> None:
        """Remember the first close."""
        super().close(code, reason)
        self._news.set()

    # The client's side

    async def until(self, predicate: Callable[[], T]) -> T:
        """Wait for `predicate` to be true; it is asked now and at each message or close.

        Returns:
            What it returned.
        """
        while not (value := predicate()):
            self._news.clear()
            await self._news.wait()
        return value
