"""What is announced, so that every process hears of logins that are taken back."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from ddpcore_django.accounts.models import LoginToken
from ddpcore_django.registry import API

__all__: list[str] = []

# The hashes of tokens do not travel: anybody who may connect to the database may listen.
API.watch(LoginToken)
API.watch(get_user_model(), carries=["is_active"])
