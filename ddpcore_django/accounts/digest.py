"""What a Meteor client sends instead of a password: its SHA-256."""

from __future__ import annotations

import hashlib
import re

__all__ = ["digest_of", "is_digest"]

_DIGEST = re.compile("[0-9a-f]{64}", re.ASCII)


def digest_of(password: str) -> str:
    """The digest of a password, as Meteor's clients make it (Meteor 3.0.4, sha/sha256.js).

    Characters outside the basic plane are encoded as their two surrogates, each by itself
    (CESU-8), and not as UTF-8 has it.
    """
    units = password.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")
    text = "".join(_surrogates(char) if ord(char) > 0xFFFF else char for char in units)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_digest(text: str) -> bool:
    """Whether this may be a digest."""
    return _DIGEST.fullmatch(text) is not None


def _surrogates(char: str) -> str:
    code = ord(char) - 0x10000
    return chr(0xD800 + (code >> 10)) + chr(0xDC00 + (code & 0x3FF))
