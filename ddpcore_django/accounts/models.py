"""Login tokens: who is logged in, from where, until when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models

from ddpcore_django.accounts.models_mail import VerifiedAddress

__all__ = ["LoginToken", "VerifiedAddress"]


class LoginToken(models.Model):
    """One login of one client. Deleting it logs the client out, wherever it is connected.

    The token itself is not here: whoever reads this table cannot log in.

    Attributes:
        user: Who is logged in; of a user ``user.ddp_login_tokens`` has all of them.
        hashed: The token's SHA-256, in base64.
        created: When the user logged in.
        expires: When the token is no good any more.
        last_used: When it was last shown.
    """

    user: models.ForeignKey[Any, Any] = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="ddp_login_tokens"
    )
    hashed: models.CharField[str, str] = models.CharField(max_length=44, unique=True)
    created: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    expires: models.DateTimeField[datetime, datetime] = models.DateTimeField(db_index=True)
    last_used: models.DateTimeField[datetime, datetime] = models.DateTimeField()

    class Meta:
        """How the admin calls it."""

        verbose_name = "login"

    def __str__(self) -> str:
        return f"{self.user} since {self.created:%Y-%m-%d %H:%M}"
