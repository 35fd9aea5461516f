"""docs/how-to/workers.md, followed literally: two commands with two workers each, on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from reader import Reader, bookstore


@pytest.mark.timeout(300)
def test_every_step_is_as_the_page_says(tmp_path: Path, pg_dsn: str) -> None:
    instead = {"postgres://me:secret@localhost:5432/bookstore": pg_dsn}
    with Reader(bookstore(tmp_path), instead) as reader:
        reader.read("how-to/workers.md")
