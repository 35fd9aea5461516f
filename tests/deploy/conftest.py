"""Servers among what surrounds them in production."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from project import Project
from workers import SITE, Commands


@pytest.fixture
def commands(tmp_path) -> Iterator[Commands]:
    commands = Commands(tmp_path)
    yield commands
    commands.kill()


@pytest.fixture
def pg_project(pg_dsn) -> Iterator[Project]:
    """The test site of several workers on a PostgreSQL database of its own."""
    project = Project(SITE, "workersite.settings", pg_dsn)
    project.migrate()
    yield project
    project.end()
