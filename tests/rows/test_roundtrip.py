"""From any row to its image and back: the very values that the ORM reads."""

from __future__ import annotations

import pytest


@pytest.fixture
def shell(project):
    shell = project.shell()
    shell("import roundtrip")
    return shell


def test_rows_written_by_the_orm(shell):
    shell("roundtrip.written_by_the_orm()")


def test_rows_written_by_sql(shell):
    shell("roundtrip.written_by_sql()")


def test_what_python_cannot_say_is_left_to_the_database(shell):
    shell("roundtrip.never_guessed()")
    shell("roundtrip.twice_the_same_local_time()")


def test_nonsense_is_left_to_the_database(shell):
    shell("roundtrip.nonsense_is_undecided()")


def test_rows_are_read_by_their_keys(shell):
    shell("roundtrip.read_by_key()")
