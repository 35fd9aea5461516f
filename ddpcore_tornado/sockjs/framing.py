"""The frames of SockJS, before a transport wraps them."""

from __future__ import annotations

from collections.abc import Iterable

import ujson

from ddpcore.wire.frame import Frame

__all__ = ["HEARTBEAT", "OPEN", "array", "escaped", "farewell", "quoted"]

OPEN = b"o"
HEARTBEAT = b"h"


def quoted(payload: bytes) -> bytes:
    """A message as a string of JSON, in ASCII: all that browsers might mangle is escaped."""
    text = payload.decode("utf-8", "surrogatepass")
    return ujson.dumps(text, escape_forward_slashes=False).encode("ascii")


def array(frames: Iterable[Frame]) -> bytes:
    """Messages in one frame: ``a["…","…"]``."""
    return b"a[" + b",".join([frame.wrapped(quoted) for frame in frames]) + b"]"


def farewell(code: int, reason: str) -> bytes:
    """The frame that tells why a session is closed: ``c[3000,"Go away!"]``."""
    return b"c[%d,%s]" % (code, quoted(reason.encode("utf-8", "surrogatepass")))


def escaped(frame: bytes) -> bytes:
    """A frame as a string inside a script, which a browser may read in a page of HTML."""
    # "</script>" or "<!--" in a message must not end the script, or change how it is read.
    return quoted(frame).replace(b"<", b"\\u003c")
