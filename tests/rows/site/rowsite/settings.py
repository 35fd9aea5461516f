"""A project with every kind of column. TEST_DATABASE says where, TEST_USE_TZ how it tells time."""

import os

from site_database import postgresql

SECRET_KEY = "tests"
USE_TZ = os.environ.get("TEST_USE_TZ", "yes") == "yes"
TIME_ZONE = "Europe/Paris"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "ddpcore_django",
    "rowsite",
]
AUTH_USER_MODEL = "rowsite.Person"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIGRATION_MODULES = {"auth": None, "contenttypes": None}

_url = os.environ["TEST_DATABASE"]
if _url.startswith("postgres"):
    INSTALLED_APPS += ["django.contrib.postgres"]
    _postgres = postgresql(_url)
    # The same database in the sessions of somebody with other habits.
    _foreign = (
        "-c DateStyle=SQL,DMY -c IntervalStyle=iso_8601 -c bytea_output=escape"
        " -c extra_float_digits=-15 -c xmlbinary=hex"
    )
    DATABASES = {"default": _postgres, "foreign": _postgres | {"OPTIONS": {"options": _foreign}}}
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": _url,
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    }

DDPCORE = {"CAPTURE": os.environ.get("TEST_CAPTURE", "signals")}
