"""What surrounds messages on a WebSocket: its own frames alone, or SockJS arrays in them."""

from __future__ import annotations

from collections.abc import Sequence

import ujson

from ddpcore.wire.frame import Frame
from ddpcore_tornado.frames import (
    Close,
    Failure,
    Item,
    Reader,
    close_frame,
    text_frame,
    text_header,
)
from ddpcore_tornado.sockjs.framing import array, farewell

__all__ = ["RAW", "SOCKJS", "Framing", "SockJSFraming", "SockJSReader"]

BROKEN_FRAMING = Failure(3000, "Broken framing.")


class Framing:
    """Raw WebSockets: a message is a text frame."""

    greeting = b""

    def __init__(self) -> None:
        # Together, as several threads may have servers that frame with this one.
        self._last: tuple[Sequence[Frame], bytes] = ((), b"")

    def reader(self, max_message_size: int) -> Reader:
        """What reads the client's side of a connection."""
        return Reader(max_message_size)

    def wrap(self, frames: Sequence[Frame]) -> bytes:
        """The bytes that bring `frames` to a client."""
        # What goes to one client goes to the next as well, mostly, and is the same to the byte.
        last, wrapped = self._last
        if frames is not last and frames != last:
            wrapped = self.join(frames)
            self._last = (frames, wrapped)
        return wrapped

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Make these bytes."""
        pieces: list[bytes] = []
        for frame in frames:
            if frame.about is None:  # framed once, however many clients it goes to
                pieces.append(frame.wrapped(text_frame))
            else:  # an answer goes to one
                pieces += (text_header(len(frame.data)), frame.data)
        return b"".join(pieces)

    def farewell(self, code: int, reason: str) -> bytes:
        """The last bytes when the server closes."""
        return close_frame(code, reason)


class SockJSFraming(Framing):
    """SockJS over WebSockets: messages travel in arrays, after an opening ``o``."""

    greeting = text_frame(b"o")

    def reader(self, max_message_size: int) -> Reader:
        """What reads the client's side of a connection."""
        return SockJSReader(max_message_size)

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Make the bytes that bring `frames` to a client: one array."""
        return text_frame(array(frames))

    def farewell(self, code: int, reason: str) -> bytes:
        """The last bytes when the server closes."""
        return text_frame(farewell(code, reason)) + close_frame(code, reason)


class SockJSReader(Reader):
    """Takes the messages out of their arrays; a single string will do, too.

    Args:
        max_message_size: Bytes an array may have.
    """

    __slots__ = ()

    def feed(self, data: bytes) -> list[Item]:
        """Take what has been read; see `Reader.feed`."""
        read, items = super().feed(data), list[Item]()
        for item in read:
            if not isinstance(item, str | bytes):
                items.append(item)
            elif item:
                texts = _texts(item)
                if texts is None:
                    self.discard()
                    items.append(BROKEN_FRAMING)
                    if isinstance(read[-1], Close):
                        items.append(read[-1])
                    break
                items += texts
        return items


def _texts(array: str | bytes) -> list[str] | None:
    try:
        content = ujson.loads(array)
    except ValueError:
        return None
    texts = content if isinstance(content, list) else [content]
    return texts if all(isinstance(text, str) for text in texts) else None


RAW = Framing()
SOCKJS = SockJSFraming()
