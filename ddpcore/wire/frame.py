"""One DDP message, ready to leave: encoded once, shared by every session that needs it."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["UNCOUNTED", "Frame"]

UNCOUNTED = ("nothing", "")
"""What pings, pongs and all before `connected` are about: neither side counts them."""


class Frame:
    """The JSON text of one message, as ASCII bytes.

    Transports wrap a frame in their own framing (a WebSocket header, a SockJS array). The frame
    remembers what each of them made of it, so a thousand receivers cost one wrapping.

    Attributes:
        data: The text.
        about: Which method ("method", id), subscription ("sub", id) or session ("connected", "")
            it answers, `UNCOUNTED`, or None for all others.
    """

    __slots__ = ("_framing", "_others", "_wrapped", "about", "data")

    def __init__(self, data: bytes, about: tuple[str, str] | None = None) -> None:
        self.data = data
        self.about = about
        self._framing: Callable[[bytes], bytes] | None = None
        self._wrapped = b""
        self._others: dict[Callable[[bytes], bytes], bytes] | None = None

    def wrapped(self, framing: Callable[[bytes], bytes]) -> bytes:
        """The frame inside a transport's framing, computed once per framing.

        Args:
            framing: Makes of `data` what the transport sends. The same function each time: it is
                what the result is remembered by.
        """
        if framing is self._framing:
            return self._wrapped
        if self._framing is None:
            # In this order: another thread, with a loop of its own, may look at it meanwhile.
            self._wrapped = wrapped = framing(self.data)
            self._framing = framing
            return wrapped
        # Seldom: an audience that came by several ways.
        others = self._others
        if others is None:
            others = self._others = {}
        if framing not in others:
            others[framing] = framing(self.data)
        return others[framing]

    def __repr__(self) -> str:
        return f"Frame({self.data.decode('ascii')})"
