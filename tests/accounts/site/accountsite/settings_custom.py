"""The same with users of the project's own: an e-mail address is their name, a UUID their key."""

from accountsite.settings import *  # noqa: F403
from accountsite.settings import INSTALLED_APPS, MIGRATION_MODULES

INSTALLED_APPS = ["customuser", *INSTALLED_APPS]
AUTH_USER_MODEL = "customuser.Member"
MIGRATION_MODULES = MIGRATION_MODULES | {"customuser": None}
