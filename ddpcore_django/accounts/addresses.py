"""Users' e-mail addresses: which one a user has, and whether it was proven."""

from __future__ import annotations

import re
from typing import Any

from django.utils import timezone

from ddpcore_django.accounts.models_mail import VerifiedAddress

__all__ = ["address_of", "is_address", "mark_verified", "verified"]

LONGEST = 320
"""Characters that an address may have (RFC 3696, with its erratum: 64 and 255, and the @)."""

# One mailbox and nothing else: no list, no display name, nothing that could end a header.
_ADDRESS = re.compile(r"""[^\s\x00-\x1f\x7f@,;:<>()\[\]\\"]+@[^\s\x00-\x1f\x7f@,;:<>()\[\]\\"]+""")


def is_address(text: str) -> bool:
    """Whether a mail could be sent to this, and to nobody beside."""
    return len(text) <= LONGEST and _ADDRESS.fullmatch(text) is not None


def address_of(user: Any) -> str | None:
    """A user's address as it is stored; None: the user, or the model, has none."""
    address = getattr(user, user.get_email_field_name(), None)
    return address if isinstance(address, str) and address else None


def verified(user: Any) -> set[str]:
    """The addresses that were proven to be this user's, one of which may still be.

    They are kept, and are to be compared, as they were written: ``address_of(user) in
    verified(user)``.
    """
    rows = VerifiedAddress.objects.filter(user_id=user.pk)
    return set(rows.values_list("address", flat=True))


def mark_verified(user: Any, address: str) -> None:
    """This address was proven to be the user's."""
    VerifiedAddress.objects.get_or_create(
        user_id=user.pk, address=address, defaults={"verified_at": timezone.now()}
    )
