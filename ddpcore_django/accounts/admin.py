"""Logins in the admin: who is logged in; deleting one logs the client out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest

from ddpcore_django.accounts.models import LoginToken

__all__ = ["LoginTokenAdmin"]


if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[LoginToken]
else:
    _Admin = admin.ModelAdmin


@admin.register(LoginToken)
class LoginTokenAdmin(_Admin):
    """Logins, to be looked at and taken back. Nothing of a token is shown, not even its hash."""

    list_display = ("user", "created", "last_used", "expires")
    list_select_related = ("user",)
    fields = readonly_fields = list_display
    ordering = ("-last_used",)

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:  # noqa: ARG002
        """By the user's name, whatever the project calls it."""
        return (f"user__{get_user_model().USERNAME_FIELD}",)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Only clients log in."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """There is nothing to change."""
        return False
