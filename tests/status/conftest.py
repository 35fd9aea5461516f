"""Servers that are looked at, in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from workers import Commands


@pytest.fixture
def commands(tmp_path) -> Iterator[Commands]:
    commands = Commands(tmp_path)
    yield commands
    commands.kill()
