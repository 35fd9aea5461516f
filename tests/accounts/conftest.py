"""The fixtures of the site with accounts; see tests/support."""

from accounts_site import *  # noqa: F403
