"""The Django site, ready to be served beside DDP."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.servers.basehttp import get_internal_wsgi_application

__all__ = ["site"]

StartResponse = Callable[..., Any]
WSGI = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


def site() -> WSGI:
    """The project's WSGI application; with `DEBUG` it serves static files as `runserver` does."""
    application: Any = get_internal_wsgi_application()
    if settings.DEBUG and "django.contrib.staticfiles" in settings.INSTALLED_APPS:
        from django.contrib.staticfiles.handlers import StaticFilesHandler

        application = StaticFilesHandler(application)

    def whole(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        # Tornado would close the response on the event loop. But closing ends Django's request,
        # connections included, and these belong to the thread that is here now.
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            # Django writes cookies with a leading blank, which Tornado rightly refuses.
            stripped = [(name, value.strip()) for name, value in headers]
            return start_response(status, stripped, *exc_info)

        response = application(environ, start)
        try:
            return [b"".join(response)]
        finally:
            if hasattr(response, "close"):
                response.close()

    return whole
