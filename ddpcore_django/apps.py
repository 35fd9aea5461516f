"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["DDPCoreConfig"]


class DDPCoreConfig(AppConfig):
    """Finds the `ddp.py` modules and starts to watch what they publish."""

    name = "ddpcore_django"
    label = "ddpcore"
    verbose_name = "ddpcore"

    def ready(self) -> None:
        """Import every app's `ddp.py`, then connect the signals or see to the triggers."""
        from ddpcore_django import capture, checks, registry, triggers

        checks.register()
        registry.autodiscover()
        capture.connect(registry.API)
        triggers.connect()
