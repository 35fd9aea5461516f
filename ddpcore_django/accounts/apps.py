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
        """Register the checks, and hear of passwords and logouts of the site."""
        from django.contrib.auth import get_user_model
        from django.db.models.signals import post_save

        from ddpcore_django.accounts import checks, tokens
        from ddpcore_django.accounts.conf import accounts_conf

        checks.register()
        post_save.connect(tokens.password_saved, get_user_model(), dispatch_uid=self.label)
        if not checks.check_settings() and accounts_conf().cookie_login:
            from ddpcore_django.accounts import cookie

            cookie.connect()
