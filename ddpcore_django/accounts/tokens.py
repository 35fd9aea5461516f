"""Login tokens: made, found again, taken back."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.utils import timezone

from ddpcore_django.accounts.conf import accounts_conf
from ddpcore_django.accounts.models import LoginToken

__all__ = [
    "NO_TOKEN",
    "TOKEN_LENGTH",
    "Login",
    "find",
    "hashed",
    "issue",
    "keep_when_saved",
    "password_saved",
    "revoke",
    "revoke_all",
    "sweep",
]

TOKEN_LENGTH = 43
"""Characters of a token: those of `Random.secret` (Meteor 3.0.4, accounts_server.js)."""

NO_TOKEN = "session "  # noqa: S105
"""What stands for the hash of a token begins so where there is none. No hash does."""

_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


class Login(NamedTuple):
    """A token with its row."""

    token: str
    row: LoginToken


def hashed(token: str) -> str:
    """What is kept of a token (Meteor 3.0.4, `Accounts._hashLoginToken`)."""
    return base64.b64encode(hashlib.sha256(token.encode("utf-8", "replace")).digest()).decode()


def issue(user: Any, expires: datetime | None = None) -> Login:
    """A new token for a user.

    Args:
        user: Whose.
        expires: Until when; None: as long as the settings say.
    """
    token = "".join(secrets.choice(_CHARACTERS) for _ in range(TOKEN_LENGTH))
    now = timezone.now()
    if expires is None:
        expires = now + timedelta(days=accounts_conf().login_days)
    row = LoginToken.objects.create(
        user=user, hashed=hashed(token), created=now, expires=expires, last_used=now
    )
    return Login(token, row)


def find(token: str) -> LoginToken | None:
    """The row of a token, also of one that has expired."""
    return LoginToken.objects.select_related("user").filter(hashed=hashed(token)).first()


def revoke(row_id: int) -> None:
    """Take one token back."""
    for row in LoginToken.objects.filter(pk=row_id):
        row.delete()


def revoke_all(user: Any, but: int | None = None) -> None:
    """Take back all tokens of a user, but that of one row."""
    for row in LoginToken.objects.filter(user=user).exclude(pk=but):
        row.delete()


def keep_when_saved(user: Any, row_id: int | None) -> None:
    """When the new password of this user is saved, the login of one row goes on."""
    user._kept_login = row_id


def password_saved(instance: Any, created: bool, **_: Any) -> None:
    """A receiver of `post_save`: whoever sets a password, in the admin for one, ends all logins.

    `set_password` leaves a mark until the user is saved. That a hash is renewed at a login leaves
    none.
    """
    if not created and getattr(instance, "_password", None) is not None:
        revoke_all(instance, but=getattr(instance, "_kept_login", None))


def sweep() -> int:
    """Delete what has expired; how many there were."""
    deleted, _ = LoginToken.objects.filter(expires__lte=timezone.now()).delete()
    return deleted
