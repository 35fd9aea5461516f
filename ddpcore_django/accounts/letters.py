"""Mails with links: written from templates, sent with Django's `EMAIL_…` settings.

A project puts templates of its own under the same names: ``ddpcore_accounts/`` and
``reset_password``, ``verify_email`` or ``enroll_account``, with ``_subject.txt``, ``_email.txt``,
and ``_email.html`` if there is to be such a part. They are given `user`, `name`, `address`,
`url`, `root_url`, `site_name` and `days`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.mail import EmailMultiAlternatives
from django.template import TemplateDoesNotExist
from django.template.backends.django import DjangoTemplates
from django.template.loader import get_template

from ddpcore_django.accounts import links
from ddpcore_django.accounts.addresses import is_address
from ddpcore_django.accounts.conf import accounts_conf

__all__ = ["send", "write"]

# A name is written by its user, who may have given another's address. Mail readers make links of
# such names.
_LIKE_A_LINK = re.compile(r"""[:/@<>\\]|\.\S""")


def send(purpose: links.Purpose, user: Any, address: str) -> None:
    """Mail a link to a user's address, now.

    Raises:
        ImproperlyConfigured: `ROOT_URL` is not set.
        ValueError: This is no address.
        Exception: Whatever Django's mail backend raises.
    """
    try:
        write(purpose, user, address).send()
    except Exception as problem:
        problem.add_note(f"It was for user {user.pk}.")
        raise


def write(purpose: links.Purpose, user: Any, address: str) -> EmailMultiAlternatives:
    """A mail with a link, ready to be sent.

    Raises:
        ImproperlyConfigured: `ROOT_URL` is not set.
        ValueError: This is no address.
    """
    if not is_address(address):
        raise ValueError("This is not the address of one mailbox: nothing is sent there.")
    root = links.root_url()
    context = {
        "user": user,
        "name": _name_of(user),
        "address": address,
        "url": links.url(purpose, links.token_for(purpose, user, address)),
        "root_url": root,
        "site_name": accounts_conf().site_name or urlsplit(root).netloc.rpartition("@")[2],
        "days": links.days(purpose),
    }
    name = f"ddpcore_accounts/{purpose.replace('-', '_')}"
    subject = " ".join(_rendered(f"{name}_subject.txt", context).split())
    mail = EmailMultiAlternatives(
        subject,
        _rendered(f"{name}_email.txt", context),
        to=[address],
        headers={"Auto-Submitted": "auto-generated"},  # RFC 3834: no answer from holidays
    )
    try:
        page = get_template(f"{name}_email.html")
    except TemplateDoesNotExist:
        return mail
    mail.attach_alternative(page.render(context), "text/html")
    return mail


def _rendered(name: str, context: dict[str, Any]) -> str:
    try:
        template = get_template(name)
    except TemplateDoesNotExist:  # the project does not look for templates in apps
        template = _own_templates().get_template(name)
    return template.render(context)


@cache
def _own_templates() -> DjangoTemplates:
    return DjangoTemplates(
        {
            "NAME": "ddpcore_accounts",
            "DIRS": [Path(__file__).parent / "templates"],
            "APP_DIRS": False,
            "OPTIONS": {},
        }
    )


def _name_of(user: Any) -> str:
    # As Django's `AbstractUser` has it; other models may, too.
    full_name = getattr(user, "get_full_name", None)
    name = " ".join(str(full_name()).split()) if callable(full_name) else ""
    return "" if _LIKE_A_LINK.search(name) else name
