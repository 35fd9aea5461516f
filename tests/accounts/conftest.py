"""A site with accounts, with Django's users or with its own."""

from accounts_site import *  # noqa: F403
