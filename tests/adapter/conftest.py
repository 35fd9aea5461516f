"""The test site on real databases."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import Project

SITE = Path(__file__).parent / "site"


def site(database: str) -> Project:
    return Project(SITE, "testsite.settings", database)


@pytest.fixture(scope="session")
def pg_template(pg_cluster) -> Iterator[str]:
    """A database with the tables of the test site, to be copied."""
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
    """The test site on a PostgreSQL database of its own."""
    project = site(pg_database)
    yield project
    project.end()


@pytest.fixture
def sqlite_project(tmp_path) -> Iterator[Project]:
    """The test site on SQLite."""
    project = site(str(tmp_path / "site.sqlite3"))
    project.migrate()
    yield project
    project.end()
