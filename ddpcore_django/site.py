"""The Django site, ready to be served beside DDP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured
from django.core.servers.basehttp import get_internal_wsgi_application
from django.utils.module_loading import import_string

__all__ = ["asgi_site", "wsgi_site"]


def wsgi_site() -> Callable[..., Iterable[bytes]]:
    """The project's WSGI application; with `DEBUG` it serves static files as `runserver` does."""
    application: Any = get_internal_wsgi_application()
    if _serves_static_files():
        from django.contrib.staticfiles.handlers import StaticFilesHandler

        application = StaticFilesHandler(application)
    return application  # type: ignore[no-any-return]


def asgi_site() -> Callable[..., Awaitable[None]]:
    """The project's ASGI application, likewise: that of `ASGI_APPLICATION`, or Django's own.

    Raises:
        ImproperlyConfigured: `ASGI_APPLICATION` names none.
    """
    path: str | None = getattr(settings, "ASGI_APPLICATION", None)
    if path is None:
        application: Any = get_asgi_application()
    else:
        try:
            application = import_string(path)
        except ImportError as problem:
            raise ImproperlyConfigured(
                f"ASGI_APPLICATION {path!r} cannot be imported: {problem}"
            ) from problem
    if _serves_static_files():
        from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

        application = ASGIStaticFilesHandler(application)
    return application  # type: ignore[no-any-return]


def _serves_static_files() -> bool:
    return settings.DEBUG and "django.contrib.staticfiles" in settings.INSTALLED_APPS
