"""Passwords as clients send them: not themselves, but a hash."""

from __future__ import annotations

import hashlib

__all__ = ["password_digest"]


def password_digest(password: str) -> dict[str, str]:
    """What stands for `password` in `login` and `createUser` (Meteor 3.0.4, password_client.js).

    Meteor hashes each half of a surrogate pair for itself (`sha/sha256.js`), so an emoji gives
    another digest than its UTF-8 would, and only this one opens an account that a browser made.
    """
    units = password.encode("utf-16-le", "surrogatepass")
    halves = "".join(
        chr(int.from_bytes(units[at : at + 2], "little")) for at in range(0, len(units), 2)
    )
    data = halves.encode("utf-8", "surrogatepass")
    return {"digest": hashlib.sha256(data).hexdigest(), "algorithm": "sha-256"}
