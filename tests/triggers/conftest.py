"""A site that is captured by triggers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from project import Project

SITE = Path(__file__).parent / "site"


def site(database: str, **ddpcore: Any) -> Project:
    """The site; its settings are triggers, unless others are given."""
    given = json.dumps(ddpcore or {"CAPTURE": "triggers"})
    return Project(SITE, "triggersite.settings", database, TEST_DDPCORE=given)


@pytest.fixture(scope="session")
def pg_template(pg_cluster) -> Iterator[str]:
    """A database with the tables and triggers of the site, to be copied."""
    name = f"ddpcore_{secrets.token_hex(6)}"
    site(pg_cluster.createdb(name)).migrate()
    yield name
    pg_cluster.dropdb(name)


@pytest.fixture
def pg_database(pg_cluster, pg_template) -> Iterator[str]:
    name = f"ddpcore_{secrets.token_hex(6)}"
    pg_cluster.execute(f'CREATE DATABASE "{name}" TEMPLATE "{pg_template}"')
    yield pg_cluster.dsn(name)
    pg_cluster.start()
    pg_cluster.dropdb(name)


@pytest.fixture
def project(pg_database) -> Iterator[Project]:
    """The site on a database of its own, migrated."""
    project = site(pg_database)
    yield project
    project.end()
