"""Addresses that were proven to be a user's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from ddpcore.bus import Op
from ddpcore_django.announcing import Rows, announce

__all__ = ["VerifiedAddress"]


class VerifiedAddress(models.Model):
    """A user once opened a link that was mailed to this address.

    It counts while the user has exactly this address.

    Attributes:
        user: Whose it is.
        user_id: The user's primary key.
        address: The address as the user had it then.
        verified_at: When the link was opened.
    """

    user: models.ForeignKey[Any, Any] = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="ddp_verified_addresses"
    )
    user_id: Any
    address: models.CharField[str, str] = models.CharField(max_length=320)
    verified_at: models.DateTimeField[datetime, datetime] = models.DateTimeField()

    class Meta:
        """One row for each."""

        verbose_name = "verified address"
        verbose_name_plural = "verified addresses"
        constraints = [  # noqa: RUF012
            models.UniqueConstraint(fields=["user", "address"], name="ddpcore_accounts_verified")
        ]

    def __str__(self) -> str:
        return f"{self.address} of {self.user}"


@receiver(
    [post_save, post_delete],
    sender=VerifiedAddress,
    dispatch_uid="ddpcore_django.accounts.verified",
)
def _tell(*, instance: VerifiedAddress, using: str, **_: object) -> None:
    # Users see in their own document which address is verified: it is news of their row.
    model: Any = get_user_model()._meta.concrete_model
    announce(using, Rows.of(model, Op.UPDATE, instance.user_id))
