"""Accounts as a plugin of servers; `ddpcore --disable accounts` does without."""

from __future__ import annotations

import sys

from ddpcore.hookspecs import hookimpl
from ddpcore.server.server import Server

__all__ = ["ddpcore_register"]


@hookimpl
def ddpcore_register(server: Server) -> None:
    """Give a Django project's server accounts, if the app is installed."""
    django_server = sys.modules.get("ddpcore_django.server")
    if django_server is None or not isinstance(server, django_server.DjangoServer):
        return
    from django.apps import apps

    if apps.is_installed("ddpcore_django.accounts"):
        from ddpcore_django.accounts.install import install

        install(server)
