"""Settings of the example: SQLite unless told otherwise, nothing to set up.

BOOKSTORE_DB        the SQLite file (default: bookstore.sqlite3 beside manage.py)
BOOKSTORE_DATABASE  PostgreSQL instead, as postgres://user:password@host:port/name
BOOKSTORE_HOSTS     more host names to answer to, separated by commas
BOOKSTORE_DEBUG     0 turns DEBUG off
"""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = "demo-only: anybody can read this key, so never put it on a real site"
DEBUG = os.environ.get("BOOKSTORE_DEBUG", "1") != "0"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS += filter(None, os.environ.get("BOOKSTORE_HOSTS", "").split(","))

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.admin",
    "django.contrib.staticfiles",
    "ddpcore_django",  # finds bookstore/ddp.py
    "bookstore",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
            ],
        },
    },
]

ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"
STATIC_URL = "/static/"
USE_TZ = True
TIME_ZONE = "UTC"

if url := os.environ.get("BOOKSTORE_DATABASE"):
    postgres = urlsplit(url)
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(postgres.path.lstrip("/")),
            "USER": unquote(postgres.username or ""),
            "PASSWORD": unquote(postgres.password or ""),
            "HOST": unquote(postgres.hostname or ""),
            "PORT": postgres.port or "",
        },
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("BOOKSTORE_DB", BASE_DIR / "bookstore.sqlite3"),
            "OPTIONS": {
                # Readers beside a writer, and a writer who waits its turn.
                "init_command": "PRAGMA journal_mode=WAL;",
                "transaction_mode": "IMMEDIATE",
                "timeout": 10,
            },
        },
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
