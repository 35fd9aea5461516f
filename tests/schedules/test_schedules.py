"""Whatever writers and clients do: once quiet, every client holds what its queries give.

scripts/long_schedules.py goes on for as long as one likes.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from schedules.play import play
from schedules.steps import schedules

pytestmark = pytest.mark.timeout(900)  # a failure is made smaller, which takes its time

bounded = settings(
    max_examples=40,
    print_blob=True,
    # Drawing takes long, but there are few.
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)


@pytest.mark.pg
@bounded
@given(schedule=schedules("signals"))
def test_what_signals_see(pg_worlds, schedule):
    play(pg_worlds["signals"], schedule)


@pytest.mark.pg
@bounded
@given(schedule=schedules("triggers"))
def test_what_anyone_does_to_the_tables(pg_worlds, schedule):
    play(pg_worlds["triggers"], schedule)


@bounded
@given(schedule=schedules("sqlite"))
def test_one_process_on_sqlite(sqlite_world, schedule):
    play(sqlite_world, schedule)
