"""The project of tests/documents, which has what django-ddp had trouble with."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import Project

SITE = Path(__file__).parents[1] / "documents" / "site"


@pytest.fixture(scope="session")
def defects_template(pg_cluster) -> Iterator[str]:
    """A database with the tables of the site, to be copied."""
    name = f"ddpcore_{secrets.token_hex(6)}"
    Project(SITE, "docsite.settings", pg_cluster.createdb(name)).migrate()
    yield name
    pg_cluster.dropdb(name)


@pytest.fixture
def project(pg_cluster, defects_template) -> Iterator[Project]:
    """The site on a PostgreSQL database of its own."""
    name = f"ddpcore_{secrets.token_hex(6)}"
    pg_cluster.execute(f'CREATE DATABASE "{name}" TEMPLATE "{defects_template}"')
    project = Project(SITE, "docsite.settings", pg_cluster.dsn(name))
    yield project
    project.end()
    pg_cluster.dropdb(name)


@pytest.fixture
def other_database(project, tmp_path) -> None:
    """Another database beside it; ask for it before anything is started."""
    project.env["TEST_OTHER"] = str(tmp_path / "other.sqlite3")
    project.manage("migrate", "--run-syncdb", "--verbosity=0", "--database=other")


@pytest.fixture
def shell(project):
    shell = project.shell()
    shell(
        "ann, bob = [Author.objects.create(name=n, email='a@example.org') for n in ('ann', 'bob')]"
    )
    return shell


@pytest.fixture
def server(project):
    server = project.serve()
    yield server
    assert server.end() == 0, server.errors
