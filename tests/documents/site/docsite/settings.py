"""The project that documents are tested with. TEST_DATABASE says where; an empty one is in memory."""

import os

from site_database import postgresql

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
    DATABASES = {"default": postgresql(_url)}
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
