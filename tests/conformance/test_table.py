"""The table of docs/reference/conformance.md is complete, and names tests that exist."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NUMBERS = list(range(1, 157))


def rows():
    page = (ROOT / "docs" / "reference" / "conformance.md").read_text()
    cells = [
        re.split(r" *\| *", line)[1:-1] for line in re.findall(r"^\| *\d.*\|$", page, re.MULTILINE)
    ]
    return {int(number): rest for number, *rest in cells}, len(cells)


TABLE, LINES = rows()


def functions(path):
    return re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)


HERE = [name for path in Path(__file__).parent.glob("test_*.py") for name in functions(path)]
NUMBERED = {name for name in HERE if re.match(r"test_\d{3}_", name)}


def named(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_every_number_has_a_row():
    assert list(TABLE) == NUMBERS
    assert len(NUMBERS) == LINES


@pytest.mark.parametrize("number", NUMBERS)
def test_every_row_has_a_behaviour_and_tests_that_exist(number):
    behaviour, tests, _difference = TABLE[number]
    assert behaviour
    own = [name for name in named(tests) if "::" not in name]
    assert own
    assert all(name.startswith(f"test_{number:03}_") for name in own)
    assert NUMBERED.issuperset(own)
    for elsewhere in set(named(tests)) - set(own):
        path, _, name = elsewhere.partition("::")
        assert name in functions(ROOT / path)


def test_every_numbered_test_is_in_the_table():
    assert {
        name for _, tests, _ in TABLE.values() for name in named(tests) if "::" not in name
    } == NUMBERED
    assert [name for name, count in Counter(HERE).items() if count > 1] == []
