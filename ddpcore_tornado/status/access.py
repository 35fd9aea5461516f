"""Who may see the status page of `ddpcore serve`."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from ddpcore.errors import DDPError
from ddpcore_tornado.listening import bindings_of

__all__ = ["TOKEN", "require_token", "token"]

TOKEN = "DDPCORE_STATUS_TOKEN"  # noqa: S105 - a name
"""Variable of the environment: the token of the status page (`--status`), of 16 characters or more.
It is no option, since all users of a machine can read command lines."""


def token() -> str | None:
    """The token, if there is one."""
    return os.environ.get(TOKEN) or None


def require_token(sockets: Sequence[socket.socket]) -> None:
    """See that there is one, where others than this machine can reach the page.

    Raises:
        ddpcore.DDPError: There is none; the text says what to do.
    """
    if token() is not None:
        return
    for each, address in zip(sockets, bindings_of(sockets), strict=True):
        if each.family == socket.AF_UNIX:
            continue
        if not ip_address(each.getsockname()[0].partition("%")[0]).is_loopback:
            raise DDPError(
                f"--status shows who is connected, and closes sessions, and {address} can be "
                f"reached from other machines. Put a token into {TOKEN} (`openssl rand -hex 16` "
                "makes one), or use --monitor 127.0.0.1:9000."
            )
