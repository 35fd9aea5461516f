"""The border between a session and whatever carries its messages.

A transport brings each message of the client to its `Receiver`, one text per call, and tells it
once when the client is gone. In return it gets frames to send, all those of a turn of the event
loop in one call. It says when the client does not take them (`Receiver.blocked`), so that what
waits for a slow client waits where it can be put together, and not as bytes. All of it on the
event loop. The contract:

1. Each message of the client is one call of `receive` of whoever is the `receiver` by then, whole
   and in order. A message may hand the client over: the next is for the other receiver, though it
   came in the same read. Where there is no receiver, nobody is told anything.
2. A transport that `gathers` calls `flush` of every receiver that it has called `receive` of,
   after the last message and before the event loop goes on. Others never call it.
3. What `send` is given arrives whole and in order. `send` never waits, and leaves its argument as
   it is.
4. `lost` is called once, however the client went, and after it nothing else but a last `flush`.
   The transport has no receiver then; whatever is asked of it is silent.
5. `close` sends what waits first, then the code and the reason. The first close counts. After it
   nothing is brought or sent; `lost` follows when the client is gone, or at once. A client that
   takes nothing is cut off within some seconds, and `wait_closed` returns by then.
6. When `send` leaves more than `high_water` bytes waiting, `blocked` is called, once, and then
   `drained`, once, when it is half as many or less. A transport that knows only whether all has
   been taken calls it then. It is for whoever is the receiver by then. `send` goes on working.
7. After `pause_reading` nothing is brought, not even what came in the same read, until
   `resume_reading`; then everything, in order, and not from within that call. Meanwhile the client
   is held back, so that what it can make us keep is bounded. Both are idempotent.
8. A receiver may call anything from within anything. It is told nothing meanwhile, but for
   `blocked` from within `send`. If it raises an exception, that is logged, and its client closed
   with code 1011; the others notice nothing.
9. Input that is no message, and a message of more than `max_message_size` bytes, is not brought.
   Its client is closed or refused; the others notice nothing. Whether a text is JSON is the
   session's business, and so are bytes that come as a message though they are no UTF-8.
10. `address` and `secure` are those of the socket, whatever headers say. `headers` are the visible
    ones. `cookies` are there only if `Server.wants_cookies` and the page that sent them is of our
    own host or named as trusted. Pages of other hosts are refused unless they are named
    (`ddpcore.origin`).
11. A transport starts the server before its first client (`Server.start`), and calls
    `Server.accept` for each. Where that raises a `ddpcore.DDPError`, the client is refused or
    closed. `Server.stop` closes all clients, with 1001.

`ddpcore.testing.transport_contract` holds these sentences as a test-suite that any transport can
run.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from ddpcore.wire.frame import Frame

__all__ = [
    "CLOSE_PATIENCE",
    "HEADERS",
    "HIGH_WATER",
    "MAX_ANONYMOUS_MESSAGE_SIZE",
    "Cookies",
    "MemoryTransport",
    "Receiver",
    "Transport",
    "visible_headers",
]

logger = logging.getLogger(__name__)

HIGH_WATER = 64 * 1024
"""Bytes that may wait in a transport. It is enough to have something at hand whenever the network
takes more. What waits here can no longer be put together: a client that begins to read again gets
all of it first; and a thousand clients that take nothing hold 64 MB."""

MAX_ANONYMOUS_MESSAGE_SIZE = 64 * 1024
"""Bytes that a message of somebody may have who is not logged in."""

CLOSE_PATIENCE = 5.0
"""Seconds a client gets to take what was sent before a close; a healthy one takes a round trip."""

HEADERS = frozenset(
    {
        "accept-language",
        "dnt",
        "host",
        "referer",
        "user-agent",
        "via",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
        "x-ssl",
    }
)
"""The request headers that handlers may see. No cookies, no authorization: a handler that logged
its headers would leak them (the list is that of Meteor 3.0.4, sockjs 0.3.24 `transport.js`)."""


def visible_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Those of `headers` that handlers may see, names in lower case."""
    return {name.lower(): value for name, value in headers if name.lower() in HEADERS}


class Cookies(NamedTuple):
    """What a browser sent along unasked: its user's, but perhaps not meant by its user.

    Attributes:
        header: The value of the Cookie header.
        origin: The page that connects. It is of our host, or named as one that may.
    """

    header: str
    origin: str


class Receiver(Protocol):
    """The side of a session that a transport talks to."""

    def receive(self, text: str | bytes) -> None:
        """Take one message of the client.

        Args:
            text: The whole of it; bytes where it came as such and may be no UTF-8.
        """

    def flush(self) -> None:
        """No more messages come with this one for now: what they have led to may leave."""

    def lost(self) -> None:
        """The client is gone; nothing can be sent any more."""

    def blocked(self) -> None:
        """More than the high-water mark waits for the client: send no more until `drained`."""

    def drained(self) -> None:
        """The client has taken half of it or more: send on."""


class Transport(ABC):
    """One client's way in and out.

    Attributes:
        receiver: The session that gets the client's messages, set by `Server.accept`. It becomes
            another one when the client resumes an earlier session.
        address: The peer's IP address as the socket knows it; None where there is none.
        headers: The visible request headers, see `visible_headers`.
        secure: Whether the socket itself is encrypted (TLS that ends here, not at a proxy).
        cookies: The cookies of its request, where `Server.wants_cookies` and the page that sent
            them is known. Handlers do not see them. Who wants them takes them away from here.
        gathers: Whether it calls `Receiver.flush` of every receiver that it has called `receive`
            of, before it lets the event loop go on. Then a read is answered with one write.
        high_water: Bytes that may wait here to be taken by the network or the client, set by
            `Server.accept`. When `send` leaves more, the transport calls `Receiver.blocked`, once,
            and `Receiver.drained` of whoever is the receiver by then when it is half as many. A
            session that hands a client over that is blocked says so to the other.
        max_message_size: Bytes that a message of the client may have, set by `Server.accept` and
            again whenever the client becomes another user. A client that sends more is closed
            or refused before its message is gathered, and the others notice nothing.
    """

    gathers: bool = False
    high_water: int = HIGH_WATER
    max_message_size: int = MAX_ANONYMOUS_MESSAGE_SIZE
    receiver: Receiver | None = None
    address: str | None = None
    headers: Mapping[str, str] = {}
    secure: bool = False
    cookies: Cookies | None = None

    @abstractmethod
    def send(self, frames: Sequence[Frame]) -> None:
        """Send after all that was sent before, in one write. Never blocks; silent once closed.

        `frames` is to be left as it is: other clients may be given the same list.
        """

    @abstractmethod
    def close(self, code: int, reason: str) -> None:
        """Send what is still waiting, then close. Idempotent.

        A client that does not take it within some seconds is cut off.

        Args:
            code: A close code of WebSockets (RFC 6455, 7.4).
            reason: A short text for people.
        """

    async def wait_closed(self) -> None:  # noqa: B027
        """After `close`: wait until the client has taken it or was cut off.

        By default there is nothing to wait for.
        """

    @abstractmethod
    def pause_reading(self) -> None:
        """Bring no more messages until `resume_reading`. Idempotent."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Bring messages again, but not from within this call. Idempotent."""


class MemoryTransport(Transport):
    """A transport within one process: for tests, and for clients in the same process.

    The client's side are `put`, `lose`, `stop_taking` and `take_again`; what it has taken is in
    `frames`. A client that wants each frame at once overrides `taken`, or `send`.

    Args:
        address: The client's IP address.

    Attributes:
        frames: What the client has taken.
        closed: The code and the reason of the server's close; None: it has not closed.
        reading: Whether the session wants messages at present.
        cut_off: Whether the client went before it had taken all that was sent.
    """

    def __init__(self, address: str | None = "127.0.0.1") -> None:
        self.address = address
        self.headers = {}
        self.frames: list[Frame] = []
        self.closed: tuple[int, str] | None = None
        self.reading = True
        self._taking = True
        self._untaken: deque[Frame] = deque()
        self._waiting = 0  # their bytes
        self._blocked = False
        self._brought: deque[str | bytes] = deque()
        self._bringing = False
        self._patience: asyncio.TimerHandle | None = None
        self._over = asyncio.Event()
        self.cut_off = False

    # The session's side

    def send(self, frames: Sequence[Frame]) -> None:
        """Keep `frames`, for the client to take."""
        if self.closed is not None or self._over.is_set():
            return
        if self._taking:
            self.taken(frames)
            return
        self._untaken += frames
        self._waiting += sum([len(frame.data) for frame in frames])
        if self._waiting > self.high_water and not self._blocked:
            self._blocked = True
            if self.receiver is not None:
                self.receiver.blocked()

    def close(self, code: int, reason: str) -> None:
        """Remember the first close. The client is gone when it has taken what waits."""
        if self.closed is not None or self._over.is_set():
            return
        self.closed = (code, reason)
        self._brought.clear()
        if self._untaken:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(CLOSE_PATIENCE, self.lose)
        elif self.receiver is not None:
            # Not at once: whoever closes is in the middle of something.
            asyncio.get_running_loop().call_soon(self.lose)

    async def wait_closed(self) -> None:
        """Wait until the client has taken what waits, or is gone."""
        if self._untaken:
            await self._over.wait()

    def pause_reading(self) -> None:
        """Keep what the client puts."""
        self.reading = False

    def resume_reading(self) -> None:
        """Bring messages again, first those that were held back."""
        self.reading = True
        if self._brought:
            asyncio.get_running_loop().call_soon(self._bring)

    # The client's side

    def taken(self, frames: Sequence[Frame]) -> None:
        """The client takes `frames`."""
        self.frames += frames

    def put(self, text: str | bytes) -> None:
        """Bring a message of the client; it is held back while the session does not read.

        Args:
            text: The message, as it would come over a network.
        """
        if self.closed is None and self.receiver is not None:
            self._brought.append(text)
            self._bring()

    def _bring(self) -> None:
        if self._bringing:  # put while another one is brought: it is the next
            return
        self._bringing = True
        try:
            while self._brought and self.reading and self.receiver is not None:
                self._receive(self.receiver, self._brought.popleft())
        finally:
            self._bringing = False

    def _receive(self, receiver: Receiver, text: str | bytes) -> None:
        size = len(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        if size > self.max_message_size:
            self.close(1009, "Message too big")
            return
        try:
            receiver.receive(text)
        except Exception:
            logger.exception("Exception at a message of a client")
            self.close(1011, "Internal error")

    def stop_taking(self) -> None:
        """The client takes nothing until `take_again`."""
        self._taking = False

    def take_again(self, count: int | None = None) -> None:
        """The client takes what waits, and all that comes; or `count` frames and no more."""
        self._taking = count is None
        count = len(self._untaken) if count is None else count
        taken = [self._untaken.popleft() for _ in range(min(count, len(self._untaken)))]
        self._waiting -= sum([len(frame.data) for frame in taken])
        self.taken(taken)
        if self._blocked and self._waiting <= self.high_water // 2:
            self._blocked = False
            if self.receiver is not None and self.closed is None:
                self.receiver.drained()
        if self.closed is not None and not self._untaken:
            self.lose()

    @property
    def gone(self) -> bool:
        """Whether the client is gone."""
        return self._over.is_set()

    def lose(self) -> None:
        """The client is gone. Idempotent."""
        if self._patience is not None:
            self._patience.cancel()
        self._over.set()
        self.cut_off = self.cut_off or bool(self._untaken)
        self._brought.clear()
        self._untaken.clear()
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.lost()
