"""The project with accounts. TEST_DATABASE says where, TEST_DDPCORE and TEST_ACCOUNTS how."""

import json
import os

from site_database import postgresql

SECRET_KEY = "tests"
USE_TZ = True
TIME_ZONE = "UTC"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "accountsite.urls"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "ddpcore_django",
    "ddpcore_django.accounts",
    "accountsite",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
EMAIL_BACKEND = "accountsite.mailbox.Backend"
DEFAULT_FROM_EMAIL = "site@example.org"
AUTH_PASSWORD_VALIDATORS = json.loads(os.environ.get("TEST_VALIDATORS", "[]"))
DDPCORE = json.loads(os.environ.get("TEST_DDPCORE", "{}")) | {
    "SERVER": json.loads(os.environ.get("TEST_SERVER", "{}"))
}
DDPCORE_ACCOUNTS = {"ROOT_URL": "http://localhost:3000/"} | json.loads(
    os.environ.get("TEST_ACCOUNTS", "{}")
)
# Fast ones: the strong ones are for those who attack, and have tests of their own.
PASSWORD_HASHERS = json.loads(os.environ.get("TEST_HASHERS", "null")) or [
    "accountsite.hashers.FastMeteorHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.MD5PasswordHasher",
]

if os.environ.get("TEST_PROXY_HEADER"):
    SECURE_PROXY_SSL_HEADER = tuple(json.loads(os.environ["TEST_PROXY_HEADER"]))
if os.environ.get("TEST_LOGGING"):
    LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"errors": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["errors"], "level": os.environ["TEST_LOGGING"]},
    }

DATABASES = {"default": postgresql(os.environ.get("TEST_DATABASE", "postgresql:///"))}

# Tables are made straight from the models; those of accounts by their migrations.
MIGRATION_MODULES = {"admin": None, "auth": None, "contenttypes": None, "sessions": None}
