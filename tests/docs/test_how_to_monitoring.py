"""docs/how-to/monitoring.md, followed literally in a copy of the bookstore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deploying import free_port, get
from pages import Block, blocks
from reader import Reader, bookstore

PAGE = "how-to/monitoring.md"
EMBEDDED = "status_handlers"  # the block for applications of one's own


@pytest.mark.timeout(300)
def test_every_command_says_what_the_page_says(tmp_path: Path) -> None:
    place = bookstore(tmp_path)
    ports = {port: free_port() for port in ("8000", "8001", "9000")}
    with Reader(place, ports) as reader:

        def other(block: Block) -> None:
            if block.language == "text":
                reader.hears(block)
            elif EMBEDDED not in block.text:
                with (place / "mysite" / "settings.py").open("a") as settings:
                    settings.write(block.text)

        reader.read(PAGE, other)
        assert all("Traceback" not in each.text for each in reader.terminals)


async def test_the_page_in_an_application_of_ones_own() -> None:
    (block,) = [each for each in blocks(PAGE, "python") if EMBEDDED in each.text]
    port = free_port()
    program: dict[str, Any] = {}
    text = block.text.replace("9000", str(port)).replace("inside.listen", "http = inside.listen")
    exec(text, program)
    status, headers, body = await get(f"127.0.0.1:{port}", "/status/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<html" in body
    program["http"].stop()
    await program["http"].close_all_connections()
    await program["server"].stop()
