"""What is announced, so that every process hears of it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from ddpcore.bus import Op
from ddpcore_django.accounts.models import LoginToken
from ddpcore_django.accounts.models_mail import VerifiedAddress
from ddpcore_django.announcing import Rows, announce
from ddpcore_django.registry import API

__all__: list[str] = []

# Logins that are taken back, and users who may log in no more, close connections. The hashes of
# tokens do not travel: anybody who may connect to the database may listen.
API.watch(LoginToken)
API.watch(get_user_model(), carries=["is_active"])


@receiver((post_save, post_delete), sender=VerifiedAddress)
def _verified(*, instance: Any, using: str, **_: object) -> None:
    # Clients see it in the document of the user.
    model: Any = get_user_model()
    announce(using, Rows.of(model._meta.concrete_model, Op.UPDATE, instance.user_id))
