"""The project that types are tested with. TEST_DATABASE says where; an empty one is nowhere."""

import os

from site_database import postgresql

SECRET_KEY = "tests"
USE_TZ = True
TIME_ZONE = "UTC"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "typedsite.urls"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "ddpcore_django",
    "ddpcore_django.accounts",
    "typedsite",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["ddpcore_django.accounts.hashers.PBKDF2DigestHasher"]
DDPCORE_ACCOUNTS = {"ROOT_URL": "http://localhost/", "PROFILE": ("first_name", "last_login")}

_url = os.environ.get("TEST_DATABASE", "")
if _url.startswith("postgres"):
    INSTALLED_APPS += ["django.contrib.postgres"]
    DATABASES = {"default": postgresql(_url)}
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": _url or "/nowhere/at/all.sqlite3",
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    }

# Tables are made straight from the models.
MIGRATION_MODULES = {"auth": None, "contenttypes": None, "ddpcore_accounts": None}
