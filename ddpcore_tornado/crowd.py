"""A crowd: how many are here, in all and of each address, and who is one too many."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

__all__ = ["Crowd", "Place", "TooMany"]

logger = logging.getLogger(__name__)

NETWORK = 64
"""Bits of an IPv6 address that name a customer, who can use all addresses in it."""

RETRY_AFTER = 10
"""Seconds after which whoever is turned away may try again."""


class TooMany(Exception):
    """There is no place.

    Attributes:
        status: What HTTP calls it.
        text: The same for people.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text

    @property
    def answer(self) -> bytes:
        """The same as an answer to whatever is asked."""
        reason = "Too Many Requests" if self.status == 429 else "Service Unavailable"
        return (
            f"HTTP/1.1 {self.status} {reason}\r\nContent-Type: text/plain; charset=UTF-8\r\n"
            f"Content-Length: {len(self.text)}\r\nRetry-After: {RETRY_AFTER}\r\n"
            f"Connection: close\r\n\r\n{self.text}"
        ).encode()


class Place:
    """A place in a crowd, held by what lives as long as its holder is here."""

    __slots__ = ("_crowd", "_name")

    def __init__(self, crowd: Crowd, name: str | None) -> None:
        self._crowd: Crowd | None = crowd
        self._name = name

    def leave(self) -> None:
        """Give it to others. Idempotent."""
        crowd, self._crowd = self._crowd, None
        if crowd is not None:
            crowd.left(self._name)

    # A connection's place goes with its stream, until somebody takes it over from there.

    def stay_with(self, stream: Any) -> None:
        """Belong to a stream."""
        stream.ddpcore_place = self

    @staticmethod
    def taken_from(stream: Any) -> Place | None:
        """The place that belongs to a stream, for another holder."""
        place = getattr(stream, "ddpcore_place", None)
        stream.ddpcore_place = None
        return place


class Crowd:
    """Counts who is here. Who is refused is logged once, until half of them have left.

    Args:
        who: What they are, for the log.
        most: How many there may be in all; None: any number.
        most_of_one: How many of one address; None: any number, and addresses are not looked at.
        proxies: How many proxies stand before the server, and say who they are.
    """

    def __init__(
        self,
        who: str,
        most: int | None,
        most_of_one: int | None,
        *,
        proxies: Callable[[], int] = lambda: 0,
    ) -> None:
        self._who = who
        self._most = most
        self._most_of_one = most_of_one
        self._proxies = proxies
        self._count = 0
        self._of: Counter[str | None] = Counter()
        self._is_full = False
        self._crowding: set[str | None] = set()

    def __len__(self) -> int:
        return self._count

    def check(self, address: str | None) -> None:
        """See whether there is a place for one more of this address.

        Raises:
            TooMany: There is none.
        """
        self._check(self._name(address))

    def enter(self, address: str | None) -> Place:
        """Take a place.

        Raises:
            TooMany: There is none.
        """
        name = self._name(address)
        self._check(name)
        self._count += 1
        if self._most_of_one is not None:
            self._of[name] += 1
        return Place(self, name)

    def left(self, name: str | None) -> None:
        """One is gone."""
        self._count -= 1
        if self._is_full and self._most is not None and self._count <= self._most // 2:
            self._is_full = False
        if self._most_of_one is None:
            return
        rest = self._of[name] - 1
        if rest:
            self._of[name] = rest
        else:
            del self._of[name]
        if rest <= self._most_of_one // 2:
            self._crowding.discard(name)

    def _check(self, name: str | None) -> None:
        if self._most is not None and self._count >= self._most:
            if not self._is_full:
                self._is_full = True
                logger.warning(
                    "There are %d %s: further ones are refused (--max-connections,"
                    " Limits.connections)",
                    self._count,
                    self._who,
                )
            raise TooMany(503, "The server has too many connections at present.\n")
        if name is None and not self._proxies():  # by a Unix socket, say: nobody knows
            return
        if self._most_of_one is not None and self._of[name] >= self._most_of_one:
            if name not in self._crowding:
                self._crowding.add(name)
                logger.warning(
                    "%s has %d %s: further ones are refused (--max-connections-per-address,"
                    " Limits.connections_per_address).%s",
                    name or "An unknown address",
                    self._of[name],
                    self._who,
                    self._advice(name),
                )
            raise TooMany(429, "There are too many connections from your address.\n")

    def _advice(self, name: str | None) -> str:
        if self._proxies():
            if name is None:
                return " The proxies do not say who it is: is --forwarded-count right?"
        elif name is not None and ip_address(name.partition("/")[0]).is_loopback:
            return " If that is a proxy, say how many there are: --forwarded-count."
        return ""

    def _name(self, address: str | None) -> str | None:
        if address is None or self._most_of_one is None:
            return None
        known = ip_address(address.partition("%")[0])
        if not isinstance(known, IPv6Address):
            return address
        if known.ipv4_mapped is not None:
            return str(known.ipv4_mapped)
        return str(known) if known.is_loopback else str(ip_network((known, NETWORK), strict=False))
