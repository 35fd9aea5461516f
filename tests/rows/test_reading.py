"""Live reads: one snapshot, no locks, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from project import Project


@pytest.fixture
def use_tz() -> str:
    return "yes"


@pytest.fixture
def shell(project):
    shell = project.shell()
    shell("import reads; from django.db import connections")
    return shell


def test_all_is_read_as_of_one_moment(shell):
    shell("reads.one_moment(connections['foreign'])")


def test_a_read_writes_nothing(shell):
    shell("reads.nothing_is_written()")


def test_within_a_transaction_there_is_no_snapshot(shell):
    shell("reads.within_a_transaction()")


def test_it_takes_two_statements_more(shell):
    shell("reads.few_statements()")


def test_sqlite_writers_do_not_wait_for_readers(tmp_path):
    path = str(tmp_path / "rows.sqlite3")
    project = Project(Path(__file__).parent / "site", "rowsite.settings", path)
    project.migrate()
    shell = project.shell()
    shell(f"import reads; reads.nobody_is_kept_waiting({path!r})")
    project.end()
