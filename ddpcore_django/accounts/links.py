"""What the links in mails prove: that whoever opens one reads the mail of a user's address.

A token is not kept anywhere. It names the user and the address, and is signed with the project's
`SECRET_KEY`, its purpose and the stored hash of the password. So a stolen database yields none,
whichever way the password changes kills them all, and asking for one writes nothing: no table
grows by what strangers ask for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from django.core import signing
from django.core.exceptions import ImproperlyConfigured
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from ddpcore_django.accounts.conf import accounts_conf
from ddpcore_django.accounts.logins import locked
from ddpcore_django.accounts.lookup import is_storable, user_by

__all__ = ["Proof", "Purpose", "days", "prove", "root_url", "token_for", "url"]

Purpose = Literal["reset-password", "verify-email", "enroll-account"]
"""What a link is for, as it stands in its URL (Meteor 3.0.4, `Accounts.urls`)."""

SEPARATOR = "."
LONGEST = 2048


class Proof(NamedTuple):
    """A user, and an address that the holder of a token reads the mail of."""

    user: Any
    address: str


def token_for(purpose: Purpose, user: Any, address: str) -> str:
    """A token for whoever reads the mail of a user's address."""
    text = json.dumps([str(user.pk), address], separators=(",", ":"))
    return _signer(purpose, user).sign(urlsafe_base64_encode(text.encode()))


def prove(token: str, *purposes: Purpose) -> Proof | None:
    """What a token proves; None: nothing, or not any more.

    The user's row is locked, so that a token that is spent in a transaction is spent once. Call
    it in one.

    Args:
        token: Anything that a client sent.
        purposes: What it may be for.
    """
    named = _named(token)
    if named is None or not _holds(token, named.user, purposes):
        return None  # nobody's row is locked for a token that was made up
    user = locked(named.user)
    if user is None or not user.is_active or not _holds(token, user, purposes):
        return None
    return Proof(user, named.address)


def url(purpose: Purpose, token: str) -> str:
    """The link itself (Meteor 3.0.4, `Accounts.urls`).

    Raises:
        ImproperlyConfigured: The settings do not say where the site is. What a request says of
            its host is not asked: it is written by whoever sent it.
    """
    return f"{root_url()}#/{purpose}/{token}"


def root_url() -> str:
    """What links begin with, a slash at its end.

    Raises:
        ImproperlyConfigured: It is not set.
    """
    root = accounts_conf().root_url
    if not root:
        raise ImproperlyConfigured(
            "Mails with links need to know where the site is: set DDPCORE_ACCOUNTS['ROOT_URL'], "
            "for example to 'https://www.example.org/'."
        )
    return root.rstrip("/") + "/"


def days(purpose: Purpose) -> float:
    """How many days a link works.

    Those that verify an address do as long as invitations. Meteor's work for ever, but they log
    in, too.
    """
    conf = accounts_conf()
    return conf.reset_days if purpose == "reset-password" else conf.enroll_days


def _holds(token: str, user: Any, purposes: Iterable[Purpose]) -> bool:
    for purpose in purposes:
        try:
            _signer(purpose, user).unsign(token, max_age=timedelta(days=days(purpose)))
        except signing.BadSignature:
            continue
        return True
    return False


def _named(token: str) -> Proof | None:
    # Nothing is proven yet: only strings come out of it, and only one, typed by the key's own
    # field, goes into a lookup.
    if len(token) > LONGEST or not is_storable(token):
        return None
    try:
        pair = json.loads(urlsafe_base64_decode(token.partition(SEPARATOR)[0]))
    except (ValueError, RecursionError):
        return None
    if not isinstance(pair, list) or [type(each) for each in pair] != [str, str]:
        return None
    key, address = pair
    user = user_by(id=key)
    return None if user is None else Proof(user, address)


def _signer(purpose: Purpose, user: Any) -> signing.TimestampSigner:
    salt = f"ddpcore.accounts.{purpose}:{user.password}"
    return signing.TimestampSigner(salt=salt, sep=SEPARATOR)
