"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["AccountsConfig"]


class AccountsConfig(AppConfig):
    """Keeps login tokens; its methods and publications are on every server of the project."""

    name = "ddpcore_django.accounts"
    label = "ddpcore_accounts"
    verbose_name = "ddpcore accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks."""
        from ddpcore_django.accounts import checks

        checks.register()
