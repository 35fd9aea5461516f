"""A project that is captured by triggers. TEST_DATABASE says where, TEST_DDPCORE what is set."""

import json
import os

from site_database import postgresql

SECRET_KEY = "tests"
USE_TZ = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "triggersite.urls"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "ddpcore_django",
    "triggersite",
    "shop",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DDPCORE = json.loads(os.environ.get("TEST_DDPCORE", '{"CAPTURE": "triggers"}'))

_url = os.environ["TEST_DATABASE"]
if _url.startswith("postgres"):
    DATABASES = {"default": postgresql(_url)}
else:
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": _url}}

# Tables are made straight from the models, but for those of the shop.
MIGRATION_MODULES = {"auth": None, "contenttypes": None, "triggersite": None}
