"""The project that predicates are compared with the database in; TEST_DATABASE says where."""

import os

from site_database import postgresql

SECRET_KEY = "tests"
USE_TZ = os.environ.get("TEST_USE_TZ", "yes") == "yes"
TIME_ZONE = os.environ.get("TEST_TIME_ZONE", "UTC")
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "ddpcore_django",
    "shelves",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SILENCED_SYSTEM_CHECKS = ["models.W042"]

_url = os.environ.get("TEST_DATABASE", "")
if _url.startswith("postgres"):
    DATABASES = {"default": postgresql(_url)}
else:
    DATABASES = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": _url or ":memory:"},
    }

# Tables are made straight from the models.
MIGRATION_MODULES = {"auth": None, "contenttypes": None}
