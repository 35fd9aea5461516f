"""The project that is measured. BENCH_DATABASE names the database, BENCH_CAPTURE the capture."""

import os

from psycopg2.extensions import parse_dsn

_dsn = parse_dsn(os.environ["BENCH_DATABASE"])

SECRET_KEY = "bench"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "ddpcore_django", "shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _dsn["dbname"],
        "USER": _dsn.get("user", ""),
        "PASSWORD": _dsn.get("password", ""),
        "HOST": _dsn.get("host", ""),
        "PORT": _dsn.get("port", ""),
    }
}
DDPCORE = {"CAPTURE": os.environ.get("BENCH_CAPTURE", "signals")}
MIGRATION_MODULES = {"auth": None, "contenttypes": None}

if "BENCH_ACCOUNTS" in os.environ:
    INSTALLED_APPS.append("ddpcore_django.accounts")
    PASSWORD_HASHERS = ["ddpcore_django.accounts.hashers.PBKDF2DigestHasher"]
