"""Sites of their own, so that they can have other settings."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from project import Project

SITE = Path(__file__).parent / "site"


@pytest.fixture(params=["yes", "no"], ids=["USE_TZ", "local time"])
def use_tz(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def rows_template(pg_cluster):
    """A database with the tables of this site, to be copied."""
    name = f"ddpcore_{secrets.token_hex(6)}"
    Project(SITE, "rowsite.settings", pg_cluster.createdb(name)).migrate()
    yield name
    pg_cluster.dropdb(name)


@pytest.fixture
def rows_dsn(pg_cluster, rows_template):
    name = f"ddpcore_{secrets.token_hex(6)}"
    pg_cluster.execute(f'CREATE DATABASE "{name}" TEMPLATE "{rows_template}"')
    yield pg_cluster.dsn(name)
    pg_cluster.dropdb(name)


@pytest.fixture
def project(rows_dsn, use_tz):
    project = Project(SITE, "rowsite.settings", rows_dsn, TEST_USE_TZ=use_tz)
    yield project
    project.end()
