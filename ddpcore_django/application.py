"""A Django project as something to serve."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.checks import run_checks

from ddpcore.application import Application
from ddpcore.errors import DDPError
from ddpcore_django.conf import conf
from ddpcore_django.server import make_server, postgres_dsn
from ddpcore_django.wsgi import site

__all__ = ["from_project", "from_settings"]


def from_settings(module: str) -> Application:
    """The project with this settings module, e.g. ``mysite.settings``.

    Raises:
        ddpcore.DDPError: There is no such module, or the project is set up wrongly.
    """
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = module
    try:
        django.setup()
    except ModuleNotFoundError as problem:
        if problem.name is not None and module.startswith(problem.name):
            raise DDPError(
                f"There are no settings {module!r} here (no module {problem.name!r}). Run the "
                "command in the directory of manage.py, or set PYTHONPATH."
            ) from problem
        raise
    return from_project(name=module)


def from_project(name: str | None = None) -> Application:
    """The project that Django has been set up for.

    Raises:
        ddpcore.DDPError: `ddpcore_django` is not installed in it, or a system check fails.
    """
    if "ddpcore_django" not in settings.INSTALLED_APPS and not any(
        app.startswith("ddpcore_django.apps") for app in settings.INSTALLED_APPS
    ):
        raise DDPError('Add "ddpcore_django" to INSTALLED_APPS, then try again.')
    errors = [each for each in run_checks(tags=["ddpcore"]) if each.is_serious()]
    if errors:
        raise DDPError("\n".join(str(each) for each in errors))
    dsn = postgres_dsn()
    chosen = conf().bus
    return Application(
        server=make_server(),
        wsgi=site(),
        bus=chosen if chosen != "auto" else "postgres:" if dsn else "memory:",
        postgres=dsn,
        name=name or settings.SETTINGS_MODULE or "the Django project",
    )
