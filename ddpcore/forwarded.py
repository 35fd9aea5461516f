"""What proxies say of a client, believed as far as proxies are known to stand before the server.

Each proxy adds whom it heard at the right of `X-Forwarded-For`. What stands further left than the
proxies reach anybody may have sent (Meteor 3.0.4, HTTP_FORWARDED_COUNT in
`ddp-server/livedata_server.js`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address

__all__ = ["client_address", "is_secure"]

# Some proxies add the port as well: 192.0.2.1:1234, [2001:db8::1]:1234.
_WITH_PORT = re.compile(r"\[(.+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")


def client_address(own: str | None, headers: Mapping[str, str], proxies: int) -> str | None:
    """The client's IP address; None if it cannot be known.

    Args:
        own: The peer of the socket.
        headers: The headers of the request, names in lower case.
        proxies: How many proxies stand before the server; 0: the peer is the client.
    """
    if not proxies:
        return own
    path = headers.get("x-forwarded-for", "").split(",")
    if not 0 < proxies <= len(path):
        return None
    said = path[-proxies].strip()
    if port := _WITH_PORT.fullmatch(said):
        said = port[1] or port[2]
    try:
        known = ip_address(said)
    except ValueError:
        return None
    # A proxy that listens for both protocols has IPv4 as a part of IPv6.
    return str(getattr(known, "ipv4_mapped", None) or known)


def is_secure(own: bool, headers: Mapping[str, str], proxies: int) -> bool:
    """Whether all of the client's way here is encrypted, as far as anybody says so.

    Behind proxies it is what they say in `X-Forwarded-Proto`. One that says nothing has not said
    https, whatever the last part of the way is; and where one of several says http, or a client
    has added something of its own, the way is not secure.

    Args:
        own: Whether the socket itself is encrypted.
        headers: The headers of the request, names in lower case.
        proxies: How many proxies stand before the server.
    """
    if not proxies:
        return own
    said = headers.get("x-forwarded-proto", "").split(",")
    return all(each.strip().lower() == "https" for each in said)
