"""The Django site, ready to be served beside DDP."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.servers.basehttp import get_internal_wsgi_application

__all__ = ["site"]


def site() -> Callable[..., Iterable[bytes]]:
    """The project's WSGI application; with `DEBUG` it serves static files as `runserver` does."""
    application: Any = get_internal_wsgi_application()
    if settings.DEBUG and "django.contrib.staticfiles" in settings.INSTALLED_APPS:
        from django.contrib.staticfiles.handlers import StaticFilesHandler

        application = StaticFilesHandler(application)
    return application  # type: ignore[no-any-return]
