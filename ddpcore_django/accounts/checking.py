"""What accounts need of the way in which they are served: a part of `ddpcore check`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth import hashers
from django.core import mail
from django.core.exceptions import ImproperlyConfigured

from ddpcore.checks import Finding
from ddpcore_django.accounts.conf import AccountsConf, accounts_conf
from ddpcore_django.checking import found_by_django
from ddpcore_django.conf import conf

__all__ = ["check_accounts", "check_mails"]

# They write mails to where no user looks.
_NOWHERE = ("console", "dummy", "filebased", "locmem")


def check_accounts(outside: bool, options: Any) -> Iterator[Finding]:
    """Hashers, and whether passwords travel unread.

    Args:
        outside: Whether others than this machine can come without a proxy.
        options: How the project is to be served.
    """
    findings = list(found_by_django(lambda each: each.id.startswith(("ddpcore.E1", "ddpcore.W1"))))
    proxies = options.forwarded_count or conf().server.get("forwarded_count", 0)
    if outside and options.certfile is None and not proxies:
        findings.append(
            Finding.warning(
                "Clients come from elsewhere without TLS: whoever is on the way reads login "
                "tokens, and passwords that are sent in plain are refused.",
                "Give --certfile, or a proxy with TLS and --forwarded-count.",
            )
        )
    yield from findings
    if not findings:
        yield Finding.ok(f"new passwords are hashed by {hashers.get_hashers()[0].algorithm}")


def check_mails() -> Finding | None:
    """Whether mails leave."""
    try:
        conf_ = accounts_conf()
    except ImproperlyConfigured:
        return None  # which the other one says
    if not conf_.root_url:
        return None  # then none are sent
    return _backend(conf_)


def _backend(of: AccountsConf) -> Finding:
    backend: str = settings.EMAIL_BACKEND
    if backend.startswith("django.core.mail.backends.") and backend.split(".")[-2] in _NOWHERE:
        return Finding.warning(
            f"EMAIL_BACKEND is {backend}: no mail reaches a user who has forgotten the password.",
            "Name your mail server: EMAIL_HOST, and leave EMAIL_BACKEND out.",
        )
    where = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}" if "smtp" in backend else backend
    try:
        with mail.get_connection():  # opens it, and logs in
            pass
    except Exception as problem:
        # Its text may quote what was sent, so only its kind and number are told.
        number = getattr(problem, "smtp_code", None) or getattr(problem, "errno", None)
        return Finding.warning(
            f"The mail server {where} cannot be used: {type(problem).__name__}"
            f"{f' {number}' if number else ''}.",
            "Check EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER and EMAIL_USE_TLS: "
            "manage.py sendtestemail says more.",
        )
    return Finding.ok(f"{where} takes mails, with links to {of.root_url}")
