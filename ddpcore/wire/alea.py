"""Random values that client and server draw alike, from a seed the client chose.

A client that simulates a method inserts documents before the server does. Both must give them
the same ids, so both draw from Alea, Johannes Baagøe's generator, seeded with the ``randomSeed``
of the method's message. Nothing here is secret, except what `random_id` and `random_secret` make.
"""

from __future__ import annotations

import math
import secrets
import struct
from collections.abc import Callable, Sequence
from typing import TypeVar

from ddpcore.wire.ejson import number_text

__all__ = ["Alea", "RandomStreams", "Seed", "make_rpc_seed", "random_id", "random_secret"]

Seed = str | int | float | bool
"""What a generator can be seeded with; it counts as the text JavaScript makes of it."""

_T = TypeVar("_T")

# Letters and digits that people do not mistake for one another.
_UNMISTAKABLE = "23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz"
_BASE64 = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
_HEX = "0123456789abcdef"

_system = secrets.SystemRandom()


def random_id(n: int = 17) -> str:
    """A document id of `n` characters that nobody can guess (Meteor 3.0.4, `Random.id`)."""
    return "".join(_system.choices(_UNMISTAKABLE, k=n))


def random_secret(n: int = 43) -> str:
    """A token of `n` characters, 256 bits by default (Meteor 3.0.4, `Random.secret`)."""
    return "".join(_system.choices(_BASE64, k=n))


class Alea:
    """A seeded generator (Meteor 3.0.4, random/AleaRandomGenerator.js): draws are repeatable.

    Args:
        *seeds: One or more; ``("a", "b")`` is another seed than ``("ab",)``, but ``0`` is ``"0"``.
    """

    __slots__ = ("_carry", "_s0", "_s1", "_s2")

    def __init__(self, *seeds: Seed) -> None:
        mash = _mash()
        state = [mash(" ") for _ in range(3)]
        for seed in seeds:
            text = _text(seed)
            for i in range(3):
                state[i] -= mash(text)
                if state[i] < 0:
                    state[i] += 1
        self._s0, self._s1, self._s2 = state
        self._carry = 1

    def fraction(self) -> float:
        """The next number from 0 up to, but not including, 1."""
        t = 2091639 * self._s0 + self._carry * _2_POW_MINUS_32
        self._s0, self._s1 = self._s1, self._s2
        self._carry = int(t)
        self._s2 = t - self._carry
        return self._s2

    def choice(self, options: Sequence[_T]) -> _T:
        """One of `options` (Meteor 3.0.4, random/AbstractRandomGenerator.js, as the others)."""
        return options[math.floor(self.fraction() * len(options))]

    def id(self, n: int = 17) -> str:
        """A document id of `n` characters."""
        return self._text(_UNMISTAKABLE, n)

    def secret(self, n: int = 43) -> str:
        """Text of `n` characters, of the shape of a token. Its seed is known: it is no secret."""
        return self._text(_BASE64, n)

    def hex_string(self, n: int) -> str:
        """Text of `n` hexadecimal digits."""
        return self._text(_HEX, n)

    def _text(self, alphabet: str, n: int) -> str:
        return "".join([self.choice(alphabet) for _ in range(n)])


class RandomStreams:
    """The generators of one method call, by name (Meteor 3.0.4, ddp-common/random_stream.js).

    Each has its own sequence, so what one part of a method draws does not shift another's.

    Args:
        seed: The ``randomSeed`` of the message. Without one the values are as good, but no client
            can draw the same.
    """

    def __init__(self, seed: str | None = None) -> None:
        self._seed = seed or secrets.token_hex(10)
        self._streams: dict[str, Alea] = {}

    def stream(self, name: str = "default") -> Alea:
        """The generator called `name`; the same one at each call."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Alea(self._seed, name)
        return stream

    def id(self, collection: str) -> str:
        """The id for the next new document of `collection` (Meteor 3.0.4, mongo/collection.js)."""
        return self.stream(f"/collection/{collection}").id()


def make_rpc_seed(streams: RandomStreams, name: str) -> str:
    """The seed for the next call of method `name` from inside the method `streams` belongs to.

    As Meteor 3.0.4 (`DDP.makeRpcSeed` in ddp-common/random_stream.js).
    """
    return streams.stream(f"/rpc/{name}").hex_string(20)


_2_POW_MINUS_32 = 2.0**-32


def _mash() -> Callable[[str], float]:
    """A hash that remembers what it was fed before; all steps are doubles, in this order."""
    n: float = 0xEFC8249D

    def mash(text: str) -> float:
        nonlocal n
        data = text.encode("utf-16-le", "surrogatepass")
        for (unit,) in struct.iter_unpack("<H", data):
            n += unit
            h = 0.02519603282416938 * n
            n = int(h) & 0xFFFFFFFF
            h -= n
            h *= n
            n = int(h) & 0xFFFFFFFF
            h -= n
            n += h * 2.0**32
        return (int(n) & 0xFFFFFFFF) * _2_POW_MINUS_32

    return mash


def _text(seed: Seed) -> str:
    if isinstance(seed, bool):
        return "true" if seed else "false"
    if isinstance(seed, int | float):
        return number_text(seed)
    if isinstance(seed, str):
        return seed
    raise TypeError(f"A seed is a string or a number, not {type(seed).__qualname__}")
