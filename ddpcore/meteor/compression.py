"""What may travel compressed, and whether a client takes it."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping

__all__ = ["accepts_gzip", "compress", "is_compressible"]

LEAST = 1024
"""Bytes from which compression is worth it (the default of Meteor's `compression` as well)."""

MOST = 32 * 1024 * 1024
"""Bytes up to which a file is kept compressed in memory. Larger texts are data, not scripts."""

_TEXT = re.compile(
    r"text/|(?:application|image)/(?:[\w.-]+\+)?(?:javascript|json|xml|wasm|manifest\+json)\b"
    r"|application/vnd\.ms-fontobject|font/(?:ttf|otf)|image/svg"
)


def is_compressible(content_type: str, size: int) -> bool:
    """Whether a file becomes smaller by it, and can be kept."""
    return LEAST <= size <= MOST and _TEXT.match(content_type) is not None


def accepts_gzip(headers: Mapping[str, str]) -> bool:
    """Whether a client takes gzip (RFC 9110, 12.5.3), and did not ask for none.

    Args:
        headers: Of the request, names in lower case.
    """
    if "x-no-compression" in headers:  # as Meteor 3.0.4, `webapp_server.js`
        return False
    weights: dict[str, float] = {}
    for part in headers.get("accept-encoding", "").lower().split(","):
        coding, _, parameters = part.partition(";")
        found = re.fullmatch(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", parameters)
        weights[coding.strip()] = float(found[1]) if found else 1.0 if not parameters else 0.0
    gzipped = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzipped > 0 and gzipped >= weights.get("identity", 0.0)


def compress(content: bytes) -> bytes:
    """The same, by gzip; equal content gives equal bytes."""
    return gzip.compress(content, 6, mtime=0)
