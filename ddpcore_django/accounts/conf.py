"""The settings of accounts: one dictionary, `DDPCORE_ACCOUNTS`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from ddpcore_django.conf import read

__all__ = ["AccountsConf", "accounts_conf"]


@dataclass(frozen=True, slots=True)
class AccountsConf:
    """What `DDPCORE_ACCOUNTS` may hold, in lower case here and in upper case there.

    Attributes:
        signup: Whether clients may make accounts (`createUser`); otherwise they are told
            "Signups forbidden". Off by default: a Django project decides who its users are.
        login_days: Days that a login lasts without a new one (Meteor's default, 90).
        sweep_interval: Seconds between two looks for expired tokens, per process (Meteor's, 600);
            0: only when it starts.
        ambiguous_errors: Whether a failed login does not say what was wrong (Meteor 3's default).
        profile: What a client sees of its own user as `profile`: the path of a function of the
            user that gives a dictionary, or names of fields. Nothing by default.
        signup_profile: Names of the user model's fields that `createUser` may set out of the
            client's `profile`. None by default: a client could make itself anything.
        email_domain: If given, only addresses of this domain may sign up.
        send_verification: Whether who signs up with an address is sent a link to verify it.
        reset_days: Days that a link to reset a password works (Meteor's, 3).
        enroll_days: Days that a link for a user made by somebody else works (Meteor's, 30).
        root_url: What the links in mails begin with; without it they cannot be sent.
        site_name: How mails call the site; by default the host of `root_url`.
        cookie_login: Whether a connection may log in with the Django session of its handshake.
        plain_passwords: Whether passwords may be sent in plain: ``"secure"`` (over TLS or from
            the same machine), or ``"never"``.
        hooks: Dotted paths of modules or objects that implement hooks of accounts, see
            `ddpcore_django.accounts.hookspecs`.
    """

    signup: bool = False
    login_days: float = 90.0
    sweep_interval: float = 600.0
    ambiguous_errors: bool = True
    profile: str | tuple[str, ...] = ()
    signup_profile: tuple[str, ...] = ()
    email_domain: str | None = None
    send_verification: bool = False
    reset_days: float = 3.0
    enroll_days: float = 30.0
    root_url: str | None = None
    site_name: str | None = None
    cookie_login: bool = False
    plain_passwords: str = "secure"
    hooks: tuple[str, ...] = ()


@cache
def accounts_conf() -> AccountsConf:
    """The project's settings, read once.

    Raises:
        ImproperlyConfigured: `DDPCORE_ACCOUNTS` holds a key or a choice that does not exist.
    """
    found = read("DDPCORE_ACCOUNTS", AccountsConf)
    if found.plain_passwords not in ("secure", "never"):
        raise ImproperlyConfigured(
            'DDPCORE_ACCOUNTS["PLAIN_PASSWORDS"] is "secure" or "never", not '
            f"{found.plain_passwords!r}."
        )
    return found


def _forget(*, setting: str, **_: object) -> None:
    if setting == "DDPCORE_ACCOUNTS":
        accounts_conf.cache_clear()


setting_changed.connect(_forget, dispatch_uid="ddpcore_django.accounts.conf")
