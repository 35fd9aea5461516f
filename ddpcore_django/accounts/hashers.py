"""Django's password hashers over the digests that Meteor's clients send.

A stock client never sends a password, only its SHA-256 (`digest.digest_of`). So that is what is
hashed, by one of Django's strong hashers, as Meteor itself does it with bcrypt (Meteor 3.0.4,
password_server.js, `hashPassword`). Whoever has the password itself, such as Django's own login
form, the admin or `createsuperuser`, makes the digest of it first: both kinds of login work::

    PASSWORD_HASHERS = [
        "ddpcore_django.accounts.hashers.PBKDF2DigestHasher",
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",  # those who were there before
    ]

The digest is nothing that may be lost: it is as good as the password on this site. Its hash is as
strong as that of the password would be, since SHA-256 keeps different passwords different.

Hashes that are there already, of passwords in plain, stay good for Django's login. It replaces
them, as it does after any change of the first hasher, by the next login that brings the plain
password. Until then a digest cannot be compared with them; see `check_digest`.
"""

from __future__ import annotations

import secrets
from enum import Enum
from typing import Any, ClassVar

from django.contrib.auth import hashers
from django.contrib.auth.hashers import BasePasswordHasher

from ddpcore_django.accounts.digest import digest_of

__all__ = [
    "PLAIN_DETAILS",
    "Argon2DigestHasher",
    "BcryptDigestHasher",
    "DigestHasher",
    "PBKDF2DigestHasher",
    "ScryptDigestHasher",
    "Verdict",
    "check_digest",
    "check_plain",
    "hash_digest",
    "spend_time",
    "tells_of_plain",
]

_PREFIX = "m_"  # two characters: what scrypt makes has 128, and so has Django's column


class DigestHasher(BasePasswordHasher):
    """A hasher of digests; subclasses name in `inner` what hashes them.

    Stored is what the inner hasher makes, its algorithm with a prefix: ``m_pbkdf2_sha256$…``. For
    other costs give `inner` a subclass of Django's, as Django's documentation has it.
    """

    inner: ClassVar[type[BasePasswordHasher]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.algorithm = f"{_PREFIX}{cls.inner.algorithm}"
        cls.salt_entropy = cls.inner.salt_entropy

    def __init__(self) -> None:
        self._inner = self.inner()

    def salt(self) -> str:
        """A new salt, as the inner hasher likes it."""
        return self._inner.salt()

    def encode(self, password: str | bytes, salt: str) -> str:
        """What is stored of a password in plain."""
        return self.encode_digest(_digest_of(password), salt)

    def encode_digest(self, digest: str, salt: str) -> str:
        """What is stored of a password that only its client knows."""
        return self._stored(self._inner.encode(digest, salt))

    def verify(self, password: str | bytes, encoded: str) -> bool:
        """Whether this is the password, in plain."""
        return self.verify_digest(_digest_of(password), encoded)

    def verify_digest(self, digest: str, encoded: str) -> bool:
        """Whether this is the digest of the password."""
        return self._inner.verify(digest, self._of_inner(encoded))

    def decode(self, encoded: str) -> dict[str, Any]:
        """See `BasePasswordHasher.decode`."""
        return self._inner.decode(self._of_inner(encoded)) | {"algorithm": self.algorithm}

    def safe_summary(self, encoded: str) -> dict[Any, Any]:
        """What the admin shows."""
        summary: dict[Any, Any] = self._inner.safe_summary(self._of_inner(encoded))
        return summary | {"algorithm": self.algorithm}

    def must_update(self, encoded: str) -> bool:
        """Whether it was made with other costs than those of today."""
        return self._inner.must_update(self._of_inner(encoded))

    def harden_runtime(self, password: str | bytes, encoded: str) -> None:
        """Take as long as if it were of today's cost."""
        self.harden_digest_runtime(_digest_of(password), encoded)

    def harden_digest_runtime(self, digest: str, encoded: str) -> None:
        """The same for a digest."""
        self._inner.harden_runtime(digest, self._of_inner(encoded))

    def _stored(self, encoded: str) -> str:
        return _PREFIX + encoded

    def _of_inner(self, encoded: str) -> str:
        return encoded.removeprefix(_PREFIX)


class PBKDF2DigestHasher(DigestHasher):
    """PBKDF2 with SHA-256, which Django prefers: it needs nothing else."""

    inner = hashers.PBKDF2PasswordHasher


class ScryptDigestHasher(DigestHasher):
    """Scrypt, of the standard library where OpenSSL has it."""

    inner = hashers.ScryptPasswordHasher

    def _stored(self, encoded: str) -> str:
        # What Django makes fills its column to the last character; the padding says nothing.
        return super()._stored(encoded.rstrip("="))

    def _of_inner(self, encoded: str) -> str:
        hashed = encoded.rpartition("$")[2]
        return super()._of_inner(encoded) + "=" * (-len(hashed) % 4)


class Argon2DigestHasher(DigestHasher):
    """Argon2: ``pip install 'ddpcore[argon2]'``."""

    inner = hashers.Argon2PasswordHasher


class BcryptDigestHasher(DigestHasher):
    """Bcrypt, as Meteor's: ``pip install bcrypt``. Of the digest all 64 characters count."""

    inner = hashers.BCryptPasswordHasher


class Verdict(Enum):
    """What came of a digest: see `check_digest`."""

    RIGHT = "right"
    WRONG = "wrong"
    PLAIN_NEEDED = "plain needed"


PLAIN_DETAILS = '{"format":"plain"}'
"""The `details` of the error that tells a client to send the password in plain: JSON, as text."""


def check_digest(user: Any, digest: str) -> Verdict:
    """Whether a digest is that of a user's password, in the same time for all that are not.

    A right one whose hash is of another of our hashers than the first, or of other costs, is
    hashed anew.

    `Verdict.PLAIN_NEEDED`: the hash is of a password in plain, so nobody can say. Only a login
    with the plain password can tell, and makes such a hash good for digests. The client has to be
    told, but a stranger must not learn from it that the account exists. So, in `login`:

    - with ambiguous errors it is the same answer as for a wrong password and for an unknown user,
      403 with the same text. As long as there may be such hashes (`tells_of_plain`) *each* of
      these answers has `PLAIN_DETAILS` for its details: whoever is refused may try again with the
      plain password, over TLS, and learns nothing about the account. Once the project has but our
      hashers in PASSWORD_HASHERS, answers are exactly Meteor's.
    - else, where answers say anyway what was wrong, 400 "old password format" with these details,
      which is how Meteor itself told of hashes that no digest could be compared with, when it
      came from SRP to bcrypt.

    Args:
        user: Whose password; None if there is no such user: that takes as long.
        digest: 64 hexadecimal characters, see `digest.is_digest`.
    """
    hasher = _hasher_of(user)
    if not isinstance(hasher, DigestHasher):
        spend_time()
        return Verdict.WRONG if hasher is None else Verdict.PLAIN_NEEDED
    encoded: str = user.password
    preferred = hashers.get_hasher()
    is_same = hasher.algorithm == preferred.algorithm
    must_update = not is_same or preferred.must_update(encoded)
    if not hasher.verify_digest(digest, encoded):
        if is_same and must_update:
            hasher.harden_digest_runtime(digest, encoded)
        return Verdict.WRONG
    if must_update and isinstance(preferred, DigestHasher):
        user.password = preferred.encode_digest(digest, preferred.salt())
        user.save(update_fields=["password"])
    return Verdict.RIGHT


def check_plain(user: Any, password: str) -> bool:
    """Whether a plain password is a user's, in the same time for all that are not.

    A right one whose hash is old, also of a hasher that is not ours, is hashed anew: Django's own
    `check_password` does it.

    Args:
        user: Whose; None if there is no such user: that takes as long.
        password: What was sent.
    """
    if user is None:
        spend_time()
        return False
    return bool(user.check_password(password))


def hash_digest(digest: str) -> str:
    """What to store of a password that only its client knows: for `user.password`.

    Raises:
        ValueError: None of ours is in PASSWORD_HASHERS.
    """
    for hasher in hashers.get_hashers():
        if isinstance(hasher, DigestHasher):
            return hasher.encode_digest(digest, hasher.salt())
    raise ValueError(
        "PASSWORD_HASHERS has no hasher of digests: put "
        '"ddpcore_django.accounts.hashers.PBKDF2DigestHasher" first.'
    )


def tells_of_plain() -> bool:
    """Whether there may be hashes that no digest can be compared with."""
    return any(not isinstance(each, DigestHasher) for each in hashers.get_hashers())


def spend_time() -> None:
    """Work as hard as for a wrong password: for users who are not there."""
    hashers.make_password(secrets.token_hex(32))


def _hasher_of(user: Any) -> BasePasswordHasher | None:
    # None: no password can be right.
    if user is None or not user.has_usable_password():
        return None
    try:
        return hashers.identify_hasher(user.password)
    except ValueError:  # nonsense, or of a hasher that the project has no more
        return None


def _digest_of(password: str | bytes) -> str:
    if isinstance(password, bytes):
        password = password.decode("utf-8", "surrogateescape")
    return digest_of(password)
