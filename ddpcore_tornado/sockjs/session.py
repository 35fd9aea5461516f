"""A session over HTTP: it lives between requests, and keeps what no request has taken yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ddpcore.clock import Clock, Timer
from ddpcore.transport import Receiver, Transport
from ddpcore.wire.frame import Frame
from ddpcore_tornado.crowd import Place
from ddpcore_tornado.sockjs.framing import HEARTBEAT, OPEN, array, farewell
from ddpcore_tornado.sockjs.options import Options

if TYPE_CHECKING:
    from ddpcore_tornado.sockjs.sessions import Sessions

__all__ = ["Carrier", "SockJSSession"]

logger = logging.getLogger(__name__)

CLOSE_PATIENCE = 10.0
"""Seconds that a stuck stream gets to take what was sent before a close."""

_ANOTHER = farewell(2010, "Another connection still open")


class Carrier(Protocol):
    """A request that waits for frames: a poll takes one, a stream many."""

    @property
    def closed(self) -> bool:
        """Whether the client is known to have hung up."""
        ...

    @property
    def complete(self) -> bool:
        """Whether the answer is complete, and takes no more frames."""
        ...

    def carry(self, frame: bytes) -> asyncio.Future[None]:
        """Answer with a frame; what is returned is done when the network has taken it."""
        ...

    def end(self) -> object:
        """Complete the answer."""

    def cut(self) -> None:
        """Hang up. Idempotent."""


class SockJSSession(Transport):
    """The transport of one client, who comes by one request after another.

    At most one request waits for frames, the carrier. While there is none, or while it does not
    take what it has been given, frames wait here, as they are.

    Args:
        id: How requests name it.
        sessions: Where it is found.
        options: The delays.
        clock: The time, for these.
        address: The peer's IP address.
        headers: The visible headers of the first request.
        secure: Whether all requests came over sockets that are encrypted.

    Attributes:
        place: Left when the session is over.
    """

    def __init__(
        self,
        id: str,  # noqa: A002
        sessions: Sessions,
        *,
        options: Options,
        clock: Clock,
        address: str | None,
        headers: Mapping[str, str],
        secure: bool = False,
    ) -> None:
        self.id = id
        self.address = address
        self.headers = headers
        self.secure = secure
        self.place: Place | None = None
        self._sessions = sessions
        self._options = options
        self._clock = clock
        self._carrier: Carrier | None = None
        self._greeted = False
        self._farewell: bytes | None = None
        self._over = False
        self._frames: list[Frame] = []
        self._waiting = 0  # their bytes
        # What the network has not taken yet: bytes of a frame, and the request it answers, which
        # may be complete.
        self._untaken = 0
        self._slow: Carrier | None = None
        self._blocked = False
        self._resumed: asyncio.Event | None = None
        self._bringing = asyncio.Lock()
        self._held = 0
        self._timer: Timer | None = None
        self._deadline = 0.0
        self._put_off()

    @property
    def attached(self) -> bool:
        """Whether a request waits for frames."""
        return self._carrier is not None

    # The way out

    def send(self, frames: Sequence[Frame]) -> None:
        """Answer the request that waits, if it can take more; else keep the frames."""
        if self._farewell is not None or self._over:
            return
        self._frames += frames
        self._waiting += sum([len(frame.data) for frame in frames])
        self._flush()
        self._tell_load()

    def close(self, code: int, reason: str) -> None:
        """Tell the client after all that waits; whoever asks again is told again for a while."""
        if self._farewell is not None or self._over:
            return
        self._farewell = farewell(code, reason)
        # Later: whoever closes is not done with it yet, and for them we are not gone meanwhile.
        asyncio.get_running_loop().call_soon(self._release)
        self._flush()
        if self._carrier is not None:
            self._put_off()

    def attach(self, carrier: Carrier) -> None:
        """A request waits for frames. The second one is sent away."""
        if self._carrier is not None:
            carrier.carry(_ANOTHER)
            if not carrier.complete:
                carrier.end()
            return
        self._carrier = carrier
        self._sessions.waiting -= 1
        self._put_off()
        if not self._greeted:
            self._greeted = True
            self._put(carrier, OPEN)
        self._flush()
        self._tell_load()

    def hung_up(self, carrier: Carrier) -> None:
        """A request is over. If it waited for frames until now, some may be lost: so all is."""
        if carrier is self._carrier:
            self.end()

    def _flush(self) -> None:
        carrier = self._carrier
        if carrier is None or carrier.closed:  # if it is, it will say so
            return
        if self._frames and not self._untaken:
            frames, self._frames = self._frames, []
            self._waiting = 0
            self._put(carrier, array(frames))
        if self._farewell is not None and self._carrier is carrier and not self._untaken:
            self._put(carrier, self._farewell)
            if self._carrier is carrier:
                carrier.end()
                self._detach()

    def _put(self, carrier: Carrier, frame: bytes) -> None:
        taken = carrier.carry(frame)
        if not taken.done():
            self._untaken = len(frame)
            self._slow = carrier
            taken.add_done_callback(lambda _: self._taken(carrier))
        if carrier.complete:
            self._detach()
        else:
            self._put_off()

    def _taken(self, carrier: Carrier) -> None:
        if carrier is self._slow and not self._over:
            self._untaken = 0
            self._slow = None
            self._put_off()
            self._flush()
            self._tell_load()

    def _detach(self) -> None:
        self._carrier = None
        self._sessions.waiting += 1
        self._put_off()

    def _tell_load(self) -> None:
        load = self._waiting + self._untaken
        if self.receiver is None:
            return
        if not self._blocked and load > self.high_water:
            self._blocked = True
            self.receiver.blocked()
        elif self._blocked and load <= self.high_water // 2:
            self._blocked = False
            self.receiver.drained()

    # The way in

    def admits(self, size: int, limit: int) -> bool:
        """Whether a request of `size` bytes may wait with those that wait to be brought.

        Clients send the next one when they have the answer to the last, so any will do that is
        alone; more than `limit` bytes at once are a flood.
        """
        return self._held == 0 or self._held + size <= limit

    async def bring(self, texts: Sequence[str], size: int) -> None:
        """Bring messages of the client to the receiver, no faster than it wants them.

        Args:
            texts: The messages of a request.
            size: Its bytes.
        """
        self._held += size
        try:
            async with self._bringing:  # in the order in which requests came
                for text in texts:
                    await self._readable()
                    if self.receiver is None or self._farewell is not None:
                        return
                    self._bring(self.receiver, text)
                await self._readable()
        finally:
            self._held -= size

    def _bring(self, receiver: Receiver, text: str) -> None:
        try:
            receiver.receive(text)
        except Exception:
            logger.exception("Exception at a message of a client")
            self.close(1011, "Internal error")

    async def _readable(self) -> None:
        while self._resumed is not None:
            await self._resumed.wait()

    def pause_reading(self) -> None:
        """Leave requests that bring messages unanswered: a client waits for that."""
        if not self._over and self._farewell is None:
            self._resumed = self._resumed or asyncio.Event()

    def resume_reading(self) -> None:
        """Answer them."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    # Time

    def _put_off(self) -> None:
        # One timer. It may fire too early, never too late: so frames, which put the deadline off,
        # cost no timer work.
        if self._carrier is None:
            delay = self._options.disconnect_delay
        elif self._farewell is not None:
            delay = CLOSE_PATIENCE
        else:
            delay = self._options.heartbeat_delay
        self._deadline = self._clock.time() + delay
        self._set_timer()

    def _set_timer(self) -> None:
        if self._over or (self._timer is not None and self._timer.when() <= self._deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_at(self._deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        carrier = self._carrier
        if self._clock.time() < self._deadline:
            self._set_timer()
        elif carrier is None or self._farewell is not None:
            self.end()
        elif self._untaken or carrier.closed:
            self._put_off()  # a stream that does not take frames needs none to show it is alive
        else:
            self._put(carrier, HEARTBEAT)

    # The end

    def end(self) -> None:
        """The client is gone."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._sessions.forget(self)
        for carrier in (self._carrier, self._slow):
            if carrier is not None:
                carrier.cut()
        self._carrier = self._slow = None
        self._frames.clear()
        self._release()

    def _release(self) -> None:
        self.resume_reading()
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.lost()
