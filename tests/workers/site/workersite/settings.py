"""A small project. TEST_DATABASE says where it lives."""

import os
from urllib.parse import parse_qsl, unquote, urlsplit

SECRET_KEY = "tests"
USE_TZ = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "workersite.urls"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "ddpcore_django",
    "workersite",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIGRATION_MODULES = {"auth": None, "contenttypes": None}

_url = os.environ["TEST_DATABASE"]
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
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": _url}}
