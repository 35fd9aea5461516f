"""The project that lives through schedules.

TEST_DATABASE says where; SCHEDULES_CAPTURE how changes are captured: "signals" or "triggers".
"""

import os
from urllib.parse import parse_qsl, unquote, urlsplit

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
    _parts = urlsplit(_url)
    _query = dict(parse_qsl(_parts.query))
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(_parts.path.lstrip("/")),
            "USER": unquote(_parts.username or _query.get("user", "")),
            "PASSWORD": unquote(_parts.password or _query.get("password", "")),
            "HOST": unquote(_parts.hostname or _query.get("host", "")),
            "PORT": str(_parts.port or _query.get("port", "")),
        }
    }
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
