"""System checks of accounts: wrong set-ups, told before they hurt."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth import hashers
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from ddpcore_django.accounts.conf import accounts_conf
from ddpcore_django.accounts.hashers import DigestHasher

__all__ = ["check_apps", "check_hashers", "check_mails", "check_settings", "register"]

_HASHER = '"ddpcore_django.accounts.hashers.PBKDF2DigestHasher"'


def register() -> None:
    """Register all checks."""
    for check in (check_settings, check_apps, check_hashers, check_mails):
        checks.register(check, "ddpcore")


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Whether the settings can be meant.

    Ids:
        ddpcore.E101: `DDPCORE_ACCOUNTS` holds a key or a choice that does not exist. What to do:
            the text names those that there are.
    """
    try:
        accounts_conf()
    except ImproperlyConfigured as problem:
        return [checks.Error(str(problem), id="ddpcore.E101")]
    return []


def check_apps(**_: Any) -> list[checks.CheckMessage]:
    """Whether the apps are installed that accounts need.

    Ids:
        ddpcore.E102: An app is missing in `INSTALLED_APPS`. What to do: add the one that the text
            names.
    """
    needed = ["ddpcore_django", "django.contrib.auth", "django.contrib.contenttypes"]
    if not check_settings() and accounts_conf().cookie_login:
        needed.append("django.contrib.sessions")
    return [
        checks.Error(
            f"ddpcore_django.accounts needs {name}.",
            hint=f'Add "{name}" to INSTALLED_APPS.',
            id="ddpcore.E102",
        )
        for name in needed
        if not apps.is_installed(name)
    ]


def check_hashers(**_: Any) -> list[checks.CheckMessage]:
    """Whether passwords are hashed so that Meteor's clients can log in by them.

    Ids:
        ddpcore.E103: No hasher of digests is in `PASSWORD_HASHERS`: nobody could log in by a
            digest, which is what Meteor's clients send. What to do: put
            ``"ddpcore_django.accounts.hashers.PBKDF2DigestHasher"`` first.
        ddpcore.W101: The first hasher is none of digests: passwords that are set stay out of reach
            for Meteor's clients. What to do: put one of digests first.
    """
    hint = f"Put {_HASHER} first in PASSWORD_HASHERS, and leave the others behind it."
    found = [isinstance(each, DigestHasher) for each in hashers.get_hashers()]
    if not any(found):
        return [
            checks.Error(
                "Nobody can log in with a password from a Meteor client: it sends a digest, and "
                "PASSWORD_HASHERS has no hasher of digests.",
                hint=hint,
                id="ddpcore.E103",
            )
        ]
    if not found[0]:
        return [
            checks.Warning(
                "New passwords are hashed so that no Meteor client can log in with them: the "
                "first of PASSWORD_HASHERS is no hasher of digests.",
                hint=hint,
                id="ddpcore.W101",
            )
        ]
    return []


def check_mails(**_: Any) -> list[checks.CheckMessage]:
    """Whether it is known what links in mails begin with.

    Ids:
        ddpcore.E104: Mails are to be sent to who signs up, and there is no `ROOT_URL`. What to do:
            say where clients find the site: ``DDPCORE_ACCOUNTS = {"ROOT_URL": "https://…/"}``.
        ddpcore.W102: There is no `ROOT_URL`: nobody can reset a password by mail. What to do: set
            it, unless nobody is to. Not said with `COOKIE_LOGIN`: then the site has forms.
    """
    if check_settings() or accounts_conf().root_url:
        return []
    hint = 'Say where clients find the site: DDPCORE_ACCOUNTS = {"ROOT_URL": "https://…/"}.'
    if accounts_conf().send_verification:
        text = "Whoever signs up is to be sent a link, but there is no ROOT_URL."
        return [checks.Error(text, hint=hint, id="ddpcore.E104")]
    if accounts_conf().cookie_login:
        return []
    text = "Forgotten passwords cannot be reset by mail: there is no ROOT_URL."
    return [checks.Warning(text, hint=hint, id="ddpcore.W102")]
