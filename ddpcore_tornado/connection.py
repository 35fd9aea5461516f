"""A connected WebSocket: the transport of one client, on its socket.

It takes a whole read at once, hands out its messages one by one, and sends what it is given in
one write. There is no task and no timer as long as all is well, and little to remember, so an
idle client costs little.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import cast

from ddpcore.errors import DDPError
from ddpcore.server import Server
from ddpcore.transport import Receiver, Transport
from ddpcore.wire.frame import Frame
from ddpcore_tornado.crowd import Place
from ddpcore_tornado.frames import Close, Failure, Item, Ping, close_frame, pong_frame
from ddpcore_tornado.framing import Framing

__all__ = ["CLOSE_PATIENCE", "Connection"]

logger = logging.getLogger(__name__)

CLOSE_PATIENCE = 5.0
"""Seconds a client gets to take what was sent and to answer a close frame, before it is cut off.
A healthy one answers within a round trip."""


READ_SIZE = 64 * 1024
"""Bytes that are read at once, of one client."""


class _Buffer(threading.local):
    """Where a loop reads to. Each loop is a thread's own, and done with it before it reads on."""

    def __init__(self) -> None:
        self.space = memoryview(bytearray(READ_SIZE))


_buffer = _Buffer()


class Connection(asyncio.BufferedProtocol, Transport):
    """One client.

    Args:
        server: Gets the client when the socket is connected.
        framing: What surrounds messages.
        opening: What to send first: the answer to the handshake.
        address: The client's IP address.
        headers: The visible headers of its request.
        secure: Whether its socket is encrypted.

    Attributes:
        early: What has been read behind the handshake already.
        socket: Where all that is sent goes, if it goes nowhere else.
        places: Left when the socket is closed.
    """

    gathers = True

    def __init__(
        self,
        server: Server,
        framing: Framing,
        *,
        opening: bytes,
        address: str | None,
        headers: Mapping[str, str],
        secure: bool = False,
    ) -> None:
        self.address = address
        self.headers = headers
        self.secure = secure
        self._server = server
        self._framing = framing
        self._reader = framing.reader(Transport.max_message_size)
        self._opening, self.early = opening, b""
        self.socket: socket.socket | None = None
        self.places: Sequence[Place] = ()
        # Whether nothing waits in the wire: it may say so itself, but this is asked at each send.
        self._clear = False
        self._wire: asyncio.Transport
        # Until the closing starts, from whichever side.
        self._open = True
        self._paused = False
        # What has been read and waits until reading goes on.
        self._held: list[Item] = []
        self._blocked = False
        self._pong: bytes | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._over = False
        self._closed: asyncio.Future[None] | None = None

    @property
    def max_message_size(self) -> int:
        """See `Transport`."""
        return self._reader.max_message_size

    @max_message_size.setter
    def max_message_size(self, size: int) -> None:
        self._reader.max_message_size = size

    # What the socket says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer the handshake and open a session."""
        self._wire = wire = cast("asyncio.Transport", transport)
        self._write(self._opening + self._framing.greeting)
        try:
            self._server.accept(self)
        except DDPError:  # it has been stopped since the client asked
            self._end(close_frame(1001, "Server is going away"))
        except Exception:
            logger.exception("Exception at a new client")
            self._end(close_frame(1011, "Internal error"))
        wire.set_write_buffer_limits(self.high_water, self.high_water // 2)
        early, self._opening, self.early = self.early, b"", b""
        if early:
            self.data_received(early)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Where to read to: asyncio would take 256 kB from the system for every read."""
        return _buffer.space

    def buffer_updated(self, nbytes: int) -> None:
        """So much has been read."""
        self.data_received(bytes(_buffer.space[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Take what has been read."""
        items = self._reader.feed(data)
        if self._held or self._paused:  # a read that was on its way already
            self._held += items
        else:
            self._hand_out(items)

    def _hand_out(self, items: list[Item]) -> None:
        pongs: list[bytes] = []
        last: Receiver | None = None
        for index, item in enumerate(items):
            if type(item) is Ping:
                pongs.append(item.payload)
                continue
            if pongs:
                self._answer(pongs)
                pongs = []
            if type(item) is str or type(item) is bytes:
                # Looked up each time: a message may hand the client over to another session.
                receiver = self.receiver
                if receiver is not last:
                    if last is not None:
                        last.flush()
                    last = receiver
                if receiver is not None and self._open:
                    self._bring(receiver, item)
                    if self._paused:
                        self._held = items[index + 1 :]
                        break
            elif type(item) is Failure:
                self._fail(item.code, item.reason)
            else:
                assert type(item) is Close
                self._peer_closes(item)
        if last is not None:
            last.flush()
        if pongs:
            self._answer(pongs)

    def _bring(self, receiver: Receiver, message: str | bytes) -> None:
        try:
            receiver.receive(message)
        except Exception:
            logger.exception("Exception at a message of a client")
            self._fail(1011, "Internal error")

    def _answer(self, pongs: list[bytes]) -> None:
        if not self._open:
            return
        if self._blocked:
            # The last answer is enough, and must be (RFC 6455, 5.5.3): a client that asks without
            # end and takes no answer would fill our memory.
            self._pong = pongs[-1]
        else:
            self._write(b"".join([pong_frame(payload) for payload in pongs]))

    def eof_received(self) -> None:
        """The client sends no more, without having closed: what waits is sent, if it takes it."""
        self._open = False
        self._be_patient()
        self._lose()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The socket is closed."""
        self._open = False
        self._over = True
        self._held = []
        for place in self.places:
            place.leave()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
        self._lose()

    def _lose(self) -> None:
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.lost()

    def pause_writing(self) -> None:
        """More than the high-water mark waits to be sent."""
        self._blocked = True
        receiver = self.receiver
        if receiver is not None and self._open:
            receiver.blocked()

    def resume_writing(self) -> None:
        """It has become half as much."""
        self._blocked = False
        if not self._open:
            return
        if self._pong is not None:
            pong, self._pong = self._pong, None
            self._write(pong_frame(pong))
        receiver = self.receiver
        if receiver is not None:
            receiver.drained()

    # What the session says

    def send(self, frames: Sequence[Frame]) -> None:
        """Send `frames`, in one write."""
        if not self._open or not frames:
            return
        data = self._framing.wrap(frames)
        # Straight to the socket where nothing waits: a tenth of what a change costs is saved.
        if self._clear or self._is_clear():
            try:
                sent = self.socket.send(data)  # type: ignore[union-attr]
            except OSError:
                sent = 0  # that it is full, or broken: the wire will see, and say so
            if sent == len(data):
                return
            data = data[sent:]
        self._write(data)

    def _is_clear(self) -> bool:
        self._clear = self.socket is not None and not self._wire.get_write_buffer_size()
        return self._clear

    def _write(self, data: bytes) -> None:
        self._clear = False
        self._wire.write(data)

    def pause_reading(self) -> None:
        """Bring no more messages, not even of what has been read."""
        if self._open and not self._paused:
            self._paused = True
            self._wire.pause_reading()

    def resume_reading(self) -> None:
        """Bring messages again: first what has been read, and not from within this call."""
        if self._paused:
            self._paused = False
            if self._held:
                asyncio.get_running_loop().call_soon(self._go_on)
            elif self._open:
                self._wire.resume_reading()

    def _go_on(self) -> None:
        if self._open and not self._paused:
            held, self._held = self._held, []
            self._hand_out(held)
        if self._open and not self._paused:
            self._wire.resume_reading()

    def close(self, code: int, reason: str) -> None:
        """Send what waits, say farewell, and wait for the client's, but not for long."""
        if self._open and not self._wire.is_closing():
            self._end(self._framing.farewell(code, reason))

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        if not self._over:
            if self._closed is None:
                self._closed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._closed)

    # The end

    def _end(self, farewell: bytes) -> None:
        self._open = False
        held, self._held = self._held, []
        self._write(farewell)
        self._be_patient()
        # The client may be sending. Were the socket closed while something of it is unread, the
        # client's side would be reset, and our close frame lost with what preceded it. So all is
        # read to the client's own close frame, and none of it counts.
        self._reader.discard()
        if held and type(held[-1]) is Close:
            self._wire.close()
        elif self._paused:
            self._paused = False
            self._wire.resume_reading()

    def _fail(self, code: int, reason: str) -> None:
        if self._open:
            self._end(close_frame(code, reason))
            # Who breaks the rules may never get to a close frame. This tells it to close.
            if self._wire.can_write_eof() and not self._wire.is_closing():
                self._wire.write_eof()
            self._lose()

    def _peer_closes(self, close: Close) -> None:
        if self._open:
            self._open = False
            self._write(close_frame(close.code))
            self._be_patient()
        # Both have said it. It is for the server to close the socket (RFC 6455, section 7.1.1).
        self._wire.close()
        self._lose()

    def _be_patient(self) -> None:
        if self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(CLOSE_PATIENCE, self._wire.abort)
