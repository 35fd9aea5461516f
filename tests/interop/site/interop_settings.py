"""The bookstore example, plus what only these tests need."""

from mysite.settings import *  # noqa: F403

INSTALLED_APPS += ["interop"]  # noqa: F405
