"""docs/how-to/monitoring.md, followed literally in a copy of the bookstore."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from deploying import free_port, get
from pages import Block
from reader import Reader, bookstore


@pytest.mark.timeout(300)
def test_every_command_says_what_the_page_says(tmp_path: Path) -> None:
    embedded: list[Block] = []
    with Reader(bookstore(tmp_path)) as reader:
        reader.read("how-to/monitoring.md", others={"python": embedded.append})
    asyncio.run(in_an_application_of_ones_own(*embedded))


async def in_an_application_of_ones_own(block: Block) -> None:
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
