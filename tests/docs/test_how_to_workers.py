"""docs/how-to/workers.md, followed literally: two commands with two workers each, on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from deploying import free_port
from pages import Block
from reader import Reader, bookstore


@pytest.mark.timeout(300)
def test_every_step_is_as_the_page_says(tmp_path: Path, pg_dsn: str) -> None:
    place = bookstore(tmp_path)
    instead = {"postgres://me:secret@localhost:5432/bookstore": pg_dsn}
    instead |= {port: str(free_port()) for port in ("8000", "8001", "9000", "9001")}
    stays = {"ddpcore sub localhost:8001 AllBooks --lines": ""}
    with Reader(place, instead, stays=stays) as reader:

        def other(block: Block) -> None:
            if block.language == "python":
                with (place / "mysite" / "settings.py").open("a") as settings:
                    settings.write(block.text)
            else:
                reader.hears(block)

        reader.read("how-to/workers.md", other)
        first, *_ = reader.terminals
        assert "Traceback" not in first.text
