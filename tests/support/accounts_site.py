"""Fixtures: a site with accounts, with Django's users or with its own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from project import Project

SITE = Path(__file__).parent.parent / "accounts" / "site"

__all__ = [
    "accounts", "capture", "env", "other", "pg_name", "pg_templates", "project", "server", "shell",
    "users",
]  # fmt: skip

SETTINGS = {"django": "accountsite.settings", "custom": "accountsite.settings_custom"}


def site(
    database: str,
    users: str = "django",
    capture: str = "triggers",
    accounts: dict[str, Any] | None = None,
    **env: str,
) -> Project:
    return Project(
        SITE,
        SETTINGS[users],
        database,
        TEST_DDPCORE=json.dumps({"CAPTURE": capture}),
        TEST_ACCOUNTS=json.dumps(accounts or {}),
        **env,
    )


@pytest.fixture(scope="session")
def pg_templates(pg_cluster) -> Iterator[dict[tuple[str, str], str]]:
    """Databases with the tables of the site, to be copied, by users and capture."""

    class Templates(dict[tuple[str, str], str]):
        def __missing__(self, key: tuple[str, str]) -> str:
            name = f"ddpcore_{secrets.token_hex(6)}"
            site(pg_cluster.createdb(name), *key).migrate()
            self[key] = name
            return name

    templates = Templates()
    yield templates
    for name in templates.values():
        pg_cluster.dropdb(name)


@pytest.fixture
def users() -> str:
    """Whose users: ``"django"`` or ``"custom"``; tests may parametrize it."""
    return "django"


@pytest.fixture
def capture() -> str:
    """How changes are noticed; tests may parametrize it."""
    return "triggers"


@pytest.fixture
def accounts() -> dict[str, Any]:
    """`DDPCORE_ACCOUNTS` of the site; tests may parametrize it."""
    return {}


@pytest.fixture
def env() -> dict[str, str]:
    """Further environment variables of the site's processes; tests may parametrize it."""
    return {}


@pytest.fixture
def pg_name(pg_cluster, pg_templates, users, capture) -> Iterator[str]:
    """The name of a database of the test's own."""
    name = f"ddpcore_{secrets.token_hex(6)}"
    template = pg_templates[users, capture]
    pg_cluster.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield name
    pg_cluster.start()
    pg_cluster.dropdb(name)


@pytest.fixture
def project(pg_cluster, pg_name, users, capture, accounts, env) -> Iterator[Project]:
    """The site on that database."""
    project = site(pg_cluster.dsn(pg_name), users, capture, accounts, **env)
    yield project
    project.end()


@pytest.fixture
def server(project):
    """A server that has to live until the end, whatever happens to it."""
    server = project.serve()
    yield server
    assert server.end() == 0, server.errors


@pytest.fixture
def other(project):
    """A second one, on the same database."""
    server = project.serve()
    yield server
    assert server.end() == 0, server.errors


@pytest.fixture
def shell(project):
    """A Django process that is no server, with everything of the site's models imported."""
    return project.shell()
