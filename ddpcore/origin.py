"""Which web pages may talk to us; transports that pages can come by ask this.

A login over DDP uses no cookie, unless a server asks for them (`Origins.trusts`), so a foreign page
could not act as somebody else's user. Still a page of another host is refused unless it is named:
whoever reaches the server through a victim's browser, from inside a firewall, say, should not be
served.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from ddpcore.errors import DDPError

__all__ = ["Origins", "is_readable"]

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/*?#@]+/?", re.IGNORECASE)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Origins:
    """The policy: pages of the same host (whatever the port) and of the origins named.

    Args:
        allowed: Origins such as ``https://app.example.com``; ``*`` allows all.

    Attributes:
        named: Those, in lower case.

    Raises:
        ddpcore.DDPError: One of them is no origin, and would never match.
    """

    def __init__(self, allowed: Collection[str] = ()) -> None:
        for each in allowed:
            if each not in ("*", "null") and not _ORIGIN.fullmatch(each):
                raise DDPError(
                    f"An origin looks like https://app.example.com, or is * for all, not {each!r}."
                )
        self.named = frozenset(each.rstrip("/").lower() for each in allowed)

    def allow(self, origin: str | None, host: str) -> bool:
        """Whether a page of `origin` may talk to us, whom it calls `host`.

        No Origin means no browser: native clients are welcome.
        """
        if origin is None or "*" in self.named or origin.lower() in self.named:
            return True
        if not is_readable(origin) or not is_readable(f"//{host}"):
            return False
        page, own = urlsplit(origin).hostname, urlsplit(f"//{host}").hostname
        return page == own is not None or (page in _LOOPBACK and own in _LOOPBACK)

    def trusts(self, origin: str | None, host: str) -> bool:
        """Whether what a browser sends along with a page's request may be taken for meant.

        The same pages as of `allow`, but they must be named, or of the same host: ``*`` is no
        trust, and neither is ``null``. Nor is a request without an origin: a proxy may have lost
        it.

        Args:
            origin: The page's, from the header `Origin`.
            host: What it calls us, from the header `Host`.
        """
        if origin is None or origin.lower() == "null" or not is_readable(origin):
            return False
        return Origins(self.named - {"*", "null"}).allow(origin, host)


def is_readable(url: str) -> bool:
    """Whether `url` can be parsed: a look at an Origin may fail where it cannot."""
    try:
        urlsplit(url)
    except ValueError:
        return False
    return True
