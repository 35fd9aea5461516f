"""A project whose users are Django's own, for clients that log in.

SITE_DATABASE  PostgreSQL, as a URL
SITE_ROOT_URL  what the links in mails begin with
SITE_MAILS     the folder that mails are written to: servers are processes of their own, whose
               memory the tests cannot look into
"""

import os

from site_database import postgresql

SECRET_KEY = "tests"
USE_TZ = True
TIME_ZONE = "UTC"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "ddpcore_django",
    "ddpcore_django.accounts",
    "desk",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "desk.urls"

PASSWORD_HASHERS = [
    "desk.hashers.QuickDigestHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]

EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = os.environ["SITE_MAILS"]
DEFAULT_FROM_EMAIL = "desk@example.org"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

DDPCORE_ACCOUNTS = {
    "SIGNUP": True,
    "SEND_VERIFICATION": True,
    "ROOT_URL": os.environ["SITE_ROOT_URL"],
    "PROFILE": "desk.profiles.profile",
    "SIGNUP_PROFILE": ["first_name"],
    "HOOKS": ["desk.factors"],
}

# All that there is to log: no secret may be among it.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "DEBUG"},
}

DATABASES = {"default": postgresql(os.environ["SITE_DATABASE"])}
