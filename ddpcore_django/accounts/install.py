"""What a server gets when the app is installed."""

from __future__ import annotations

from ddpcore_django.accounts import mails, methods, publications
from ddpcore_django.accounts.conf import accounts_conf
from ddpcore_django.accounts.sweeper import Sweeper
from ddpcore_django.server import DjangoServer

__all__ = ["install"]


def install(server: DjangoServer) -> None:
    """Give a server the methods and publications of accounts, and let it sweep expired logins.

    The plugin ``accounts`` calls it where ``"ddpcore_django.accounts"`` is installed.
    """
    for part in (methods, mails, publications):
        part.register(server)
    if accounts_conf().cookie_login:
        from ddpcore_django.accounts.cookie import register

        register(server)
    server.plugins.register(Sweeper(server, accounts_conf().sweep_interval))
