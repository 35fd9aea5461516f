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
            "Signups forbidden". A Django project decides who its users are.
        login_days: Days that a login lasts. Meteor's value.
        sweep_interval: Seconds between two looks for expired logins, in each process; 0: only at
            the start. Meteor's value.
        ambiguous_errors: Whether a failed login does not say what was wrong, as in Meteor 3:
            strangers do not find out who has an account.
        profile: What clients see of their own user as `profile`: names of fields, or the path of
            a function of the user that gives a dictionary. Nothing, so that nothing leaks.
        signup_profile: Names of fields of the user that a client may set, by `createUser` or later
            by its own `profile`. None: a client could make itself anything.
        email_domain: If given, only addresses of this domain may sign up.
        send_verification: Whether who signs up with an address is sent a link to verify it.
        reset_days: Days that a link to reset a password works. Meteor's value.
        enroll_days: Days that a link for a user made by somebody else works, and one that
            verifies an address. Meteor's value.
        root_url: What links in mails begin with, a URL. Without it none can be sent: what a request
            says of the host is not to be trusted.
        site_name: How mails call the site; None: the host of `ROOT_URL`.
        cookie_login: Whether a connection may log in with the Django session of its handshake.
        plain_passwords: Whether passwords may come in plain: ``"secure"``, over TLS or from the
            same machine, or ``"never"``.
        hooks: Paths of modules or objects that implement hooks of accounts, see
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
