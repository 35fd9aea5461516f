"""Tornado's streams behind the face of an asyncio transport."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from tornado.iostream import IOStream, StreamClosedError

__all__ = ["Driven", "StreamTransport"]

_READ_SIZE = 64 * 1024


class Driven(Protocol):
    """An asyncio protocol that is given what has been read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`, as for the others."""

    def data_received(self, data: bytes) -> None:
        """Take what was read."""

    def pause_writing(self) -> None:
        """Write no more for now."""

    def resume_writing(self) -> None:
        """Write again."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The stream is closed."""


class StreamTransport(asyncio.Transport):
    """Drives an asyncio protocol on a stream that only Tornado can read and write: one with TLS.

    Args:
        stream: The stream.
        protocol: What is driven.
        first: A read of the stream that has been started.
    """

    def __init__(self, stream: IOStream, protocol: Driven, first: asyncio.Future[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._protocol = protocol
        self._reading = asyncio.Event()
        self._reading.set()
        # Bytes that the stream has taken and the socket has not.
        self._outstanding = 0
        self._low = self._high = 0
        self._blocked = False
        self._closing = False
        self.set_write_buffer_limits()
        self._task = asyncio.ensure_future(self._run(first))

    async def _run(self, read: asyncio.Future[bytes]) -> None:
        try:
            self._protocol.connection_made(self)
            while True:
                data = await read
                await self._reading.wait()  # paused since the read began
                self._protocol.data_received(data)
                await self._reading.wait()
                read = asyncio.ensure_future(self._stream.read_bytes(_READ_SIZE, partial=True))
        except StreamClosedError:
            pass
        finally:
            self._closing = True
            self._stream.close()
            self._protocol.connection_lost(None)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When `pause_writing` and `resume_writing` of the protocol are called, in bytes."""
        self._high = 64 * 1024 if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        """Bytes that wait to be sent."""
        return self._outstanding

    def write(self, data: Any) -> None:
        """Send after all that was sent before."""
        if self._closing or not data:
            return
        try:
            written = self._stream.write(data)
        except StreamClosedError:
            return
        if not written.done():
            self._outstanding += len(data)
            written.add_done_callback(lambda _: self._written(len(data)))
            if self._outstanding > self._high and not self._blocked:
                self._blocked = True
                self._protocol.pause_writing()

    def _written(self, size: int) -> None:
        self._outstanding -= size
        if self._stream.closed():
            return
        if self._blocked and self._outstanding <= self._low:
            self._blocked = False
            self._protocol.resume_writing()
        if self._closing and not self._outstanding:
            self._stream.close()

    def can_write_eof(self) -> bool:
        """TLS cannot end one direction alone."""
        return False

    def pause_reading(self) -> None:
        """Give the protocol no more data."""
        self._reading.clear()

    def resume_reading(self) -> None:
        """Give it data again."""
        self._reading.set()

    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._closing or self._stream.closed()

    def close(self) -> None:
        """Close once all is sent."""
        self._closing = True
        self._reading.set()
        if not self._outstanding:
            self._stream.close()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._reading.set()
        self._stream.close()
