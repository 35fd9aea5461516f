"""The same project with an app whose collections let clients write."""

from accountsite.settings import *  # noqa: F403
from accountsite.settings import INSTALLED_APPS, MIGRATION_MODULES

INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.postgres", "tasks"]
MIGRATION_MODULES = MIGRATION_MODULES | {"tasks": None}
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "tasks.backends.OwnTasks",
]
