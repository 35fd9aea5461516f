"""The project that is ill-treated. TEST_DATABASE says where, TEST_DDPCORE how it is set."""

import json
import os

from site_database import postgresql

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

DATABASES = {
    "default": postgresql(os.environ["TEST_DATABASE"])
    | {"OPTIONS": {"application_name": os.environ.get("TEST_APPLICATION", "writer")}}
}

# Tables are made straight from the models.
MIGRATION_MODULES = {"auth": None, "contenttypes": None}
