"""A Django project as something to serve."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from ddpcore.application import Application
from ddpcore.errors import DDPError
from ddpcore_django.checks import before_serving
from ddpcore_django.conf import conf
from ddpcore_django.server import make_server, postgres_dsn
from ddpcore_django.site import asgi_site, wsgi_site
from ddpcore_django.views import apps_in_urls

__all__ = ["from_project", "from_settings", "set_up"]

logger = logging.getLogger(__name__)


def from_settings(module: str) -> Application:
    """The project with this settings module, e.g. ``mysite.settings``.

    Raises:
        ddpcore.DDPError: There is no such module, or the project is set up wrongly.
    """
    set_up(module)
    with _explained(module):
        application = from_project(name=module)
    if not application.server.publications and not application.server.methods:
        logger.warning(
            "Clients will find nothing: no ddp.py of an installed app registers a publication or "
            "a method. Is the app in INSTALLED_APPS, and does its ddp.py call API.register?"
        )
    return application


def set_up(module: str) -> None:
    """Set Django up for a settings module.

    Raises:
        ddpcore.DDPError: There is no such module, or the project is set up wrongly.
    """
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = module
    with _explained(module):
        django.setup()
        _enable_loggers()


@contextmanager
def _explained(module: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as problem:
        if not f"{module}.".startswith(f"{problem.name}."):
            raise  # the settings are there, but something that they name is not
        raise DDPError(
            f"There are no settings {module!r} here (no module {problem.name!r}). Run the "
            "command in the directory of manage.py, or set PYTHONPATH."
        ) from problem
    except ImproperlyConfigured as problem:
        raise DDPError(f"The settings {module!r} are wrong: {problem}") from problem


def _enable_loggers() -> None:
    # By default a LOGGING setting silences all loggers that exist already. Where Django comes
    # first, as in `manage.py`, these are not ours; here they would be.
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("ddpcore") and isinstance(logger, logging.Logger):
            logger.disabled = False


def from_project(name: str | None = None) -> Application:
    """The project that Django has been set up for.

    Raises:
        ddpcore.DDPError: `ddpcore_django` is not installed in it, a system check fails, or the
            bundle of a `MeteorView` is damaged.
    """
    if "ddpcore_django" not in settings.INSTALLED_APPS and not any(
        app.startswith("ddpcore_django.apps") for app in settings.INSTALLED_APPS
    ):
        raise DDPError('Add "ddpcore_django" to INSTALLED_APPS, then try again.')
    if obstacles := before_serving():
        raise DDPError("\n".join(str(each) for each in obstacles))
    dsn = postgres_dsn()
    chosen, kind = conf().bus, conf().site
    wsgi = wsgi_site() if kind == "wsgi" else None
    asgi = asgi_site() if kind == "asgi" else None
    _enable_loggers()  # making the site has set Django up once more
    _load_meteor_apps()
    return Application(
        server=make_server(),
        wsgi=wsgi,
        asgi=asgi,
        bus=chosen if chosen != "auto" else "postgres:" if dsn else "memory:",
        postgres=dsn,
        name=name or settings.SETTINGS_MODULE or "the Django project",
    )


def _load_meteor_apps() -> None:
    try:
        apps = apps_in_urls()
    except ImproperlyConfigured:
        raise
    except Exception:
        # A site whose URLs are broken can be mended while DDP is served, as before it had a view.
        logger.exception("The URLs of the project cannot be loaded")
        return
    for app in apps:
        _ = app.edition
