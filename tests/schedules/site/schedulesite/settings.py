"""The project that lives through schedules.

TEST_DATABASE says where; SCHEDULES_CAPTURE how changes are captured: "signals" or "triggers".
"""

import os

from site_database import postgresql

SECRET_KEY = "tests"
USE_TZ = True
TIME_ZONE = "UTC"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "schedulesite.urls"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "ddpcore_django",
    "schedulesite",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIGRATION_MODULES = {"auth": None, "contenttypes": None}

TRIGGERS = os.environ.get("SCHEDULES_CAPTURE") == "triggers"
if TRIGGERS:
    DDPCORE = {"CAPTURE": "triggers"}

_url = os.environ.get("TEST_DATABASE", "")
if _url.startswith("postgres"):
    DATABASES = {"default": postgresql(_url)}
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": _url or ":memory:",
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
            },
        }
    }
