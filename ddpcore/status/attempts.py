"""Guesses at a token: few of each address, so that nobody finds it by trying."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

__all__ = ["Attempts"]

MOST = 5
"""Wrong guesses of one address in a `WINDOW`: a person mistypes twice."""

WINDOW = 60.0
"""Seconds."""

MOST_ADDRESSES = 1000
"""Addresses that are remembered; while there are more, nobody new may guess."""

_NETWORK = 64  # bits of an IPv6 address that one customer has


class Attempts:
    """Counts wrong guesses."""

    def __init__(self) -> None:
        self._wrong: dict[str, tuple[float, int]] = {}  # address → since when, how many

    def may_try(self, address: str | None, now: float) -> bool:
        """Whether this one may guess."""
        known = self._wrong.get(_name(address))
        if known is None:
            self._forget(now)
            return len(self._wrong) < MOST_ADDRESSES
        since, count = known
        return count < MOST or now >= since + WINDOW

    def failed(self, address: str | None, now: float) -> None:
        """It was wrong."""
        name = _name(address)
        since, count = self._wrong.get(name, (now, 0))
        if now >= since + WINDOW:
            since, count = now, 0
        self._wrong[name] = since, count + 1

    def _forget(self, now: float) -> None:
        if len(self._wrong) >= MOST_ADDRESSES:
            self._wrong = {
                name: (since, count)
                for name, (since, count) in self._wrong.items()
                if now < since + WINDOW
            }


def _name(address: str | None) -> str:
    if address is None:
        return ""
    known = ip_address(address.partition("%")[0])
    if not isinstance(known, IPv6Address) or known.is_loopback:
        return str(known)
    return str(ip_network((known, _NETWORK), strict=False))
