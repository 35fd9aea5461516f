"""The project that documents are tested with. TEST_DATABASE says where; an empty one is in memory."""

import os
from urllib.parse import parse_qsl, unquote, urlsplit

SECRET_KEY = "tests"
USE_TZ = True
TIME_ZONE = "UTC"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "docsite.urls"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "ddpcore_django",
    "docsite",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_url = os.environ.get("TEST_DATABASE", "")
if _url.startswith("postgres"):
    INSTALLED_APPS += ["django.contrib.postgres"]
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
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    }

# Tables are made straight from the models.
MIGRATION_MODULES = {"auth": None, "contenttypes": None}

if _other := os.environ.get("TEST_OTHER"):
    DATABASES["other"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": _other}
