"""The border between a session and whatever carries its messages.

A transport brings each message of the client to its `Receiver`, one text per call, and tells it
once when the client is gone. In return it gets frames to send, all those of a turn of the event
loop in one call. It says when the client does not take them (`Receiver.blocked`), so that what
waits for a slow client waits where it can be put together, and not as bytes. All of it on the
event loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from ddpcore.wire.frame import Frame

__all__ = [
    "HEADERS",
    "HIGH_WATER",
    "MAX_ANONYMOUS_MESSAGE_SIZE",
    "Cookies",
    "MemoryTransport",
    "Receiver",
    "Transport",
    "visible_headers",
]

HIGH_WATER = 64 * 1024
"""Bytes that may wait in a transport. It is enough to have something at hand whenever the network
takes more. What waits here can no longer be put together: a client that begins to read again gets
all of it first; and a thousand clients that take nothing hold 64 MB."""

MAX_ANONYMOUS_MESSAGE_SIZE = 64 * 1024
"""Bytes that a message of somebody may have who is not logged in."""

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
        """One message of the client."""

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
        """Send what is still waiting, then close with a WebSocket close code. Idempotent.

        A client that does not take it within some seconds is cut off.
        """

    async def wait_closed(self) -> None:  # noqa: B027
        """After `close`: wait until the client has taken it or was cut off.

        By default there is nothing to wait for.
        """

    @abstractmethod
    def pause_reading(self) -> None:
        """Bring no more messages until `resume_reading`; a few that are on the way may come."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Bring messages again."""


class MemoryTransport(Transport):
    """A transport that keeps what it is given: for tests and for clients in the same process."""

    def __init__(self, address: str | None = "127.0.0.1") -> None:
        self.address = address
        self.headers = {}
        self.frames: list[Frame] = []
        self.closed: tuple[int, str] | None = None
        self.reading = True

    def send(self, frames: Sequence[Frame]) -> None:
        """Keep `frames`."""
        if self.closed is None:
            self.frames += frames

    def close(self, code: int, reason: str) -> None:
        """Remember the first close."""
        if self.closed is None:
            self.closed = (code, reason)

    def pause_reading(self) -> None:
        """Remember it."""
        self.reading = False

    def resume_reading(self) -> None:
        """Remember it."""
        self.reading = True
