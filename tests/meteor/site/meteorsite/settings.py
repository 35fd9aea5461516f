"""A project with a Meteor app beside its own pages. TEST_BUNDLE says where the app is."""

import os

SECRET_KEY = "tests"
USE_TZ = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "meteorsite.urls"
INSTALLED_APPS = ["ddpcore_django", "meteorsite"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["TEST_DATABASE"],
    }
}
METEOR_SETTINGS = {"public": {"where": "settings", "deep": {"a": 1}}, "private": "secret"}
METEOR_PUBLIC_ENVS = ["TEST_PUBLIC"]
BUNDLE = os.environ["TEST_BUNDLE"]
DDPCORE = {"SITE": os.environ.get("TEST_SITE", "wsgi")}
