"""The project that is ill-treated. TEST_DATABASE says where, TEST_DDPCORE how it is set."""

import json
import os
from urllib.parse import parse_qsl, unquote, urlsplit

SECRET_KEY = "tests"
USE_TZ = True
TIME_ZONE = "UTC"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "faultsite.urls"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "ddpcore_django",
    "faultsite",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DDPCORE = json.loads(os.environ.get("TEST_DDPCORE", "{}"))

_parts = urlsplit(os.environ["TEST_DATABASE"])
_query = dict(parse_qsl(_parts.query))
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(_parts.path.lstrip("/")),
        "USER": unquote(_parts.username or _query.get("user", "")),
        "PASSWORD": unquote(_parts.password or _query.get("password", "")),
        "HOST": unquote(_parts.hostname or _query.get("host", "")),
        "PORT": str(_parts.port or _query.get("port", "")),
        "OPTIONS": {"application_name": os.environ.get("TEST_APPLICATION", "writer")},
    }
}

# Tables are made straight from the models.
MIGRATION_MODULES = {"auth": None, "contenttypes": None}
