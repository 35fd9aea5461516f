"""A served site whose collections let clients write, for all tests of a module."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from project import Project, ServerProcess, Shell

SITE = Path(__file__).parent.parent / "accounts" / "site"

USERS = """
from django.contrib.auth.models import Permission, User
from tasks.models import *
for name, permissions in {
    "ann": "task card shelf everything", "bob": "task", "nobody": "", "gone": "task card shelf"
}.items():
    user = User.objects.create_user(name)
    for model in permissions.split():
        user.user_permissions.add(*Permission.objects.filter(content_type__model=model))
User.objects.filter(username="gone").update(is_active=False)
User.objects.filter(username="bob").update(is_staff=True)
"""


class TasksSite:
    """`server` serves it; `shell` is another process of it."""

    def __init__(self, server: ServerProcess, shell: Shell) -> None:
        self.server = server
        self.shell = shell
        self.address = server.address


@contextmanager
def tasks_site(pg_cluster: Any) -> Iterator[TasksSite]:
    """The site, on a database of its own, with users of few and of many permissions."""
    name = f"ddpcore_{secrets.token_hex(6)}"
    names = ["first_name", "last_name"]
    accounts = json.dumps({"SIGNUP_PROFILE": names, "PROFILE": names})
    project = Project(SITE, "tasks.settings", pg_cluster.createdb(name), TEST_ACCOUNTS=accounts)
    try:
        project.migrate()
        shell = project.shell()
        shell(USERS)
        server = project.serve()
        yield TasksSite(server, shell)
        assert server.end() == 0, server.errors
    finally:
        project.end()
        pg_cluster.dropdb(name)
