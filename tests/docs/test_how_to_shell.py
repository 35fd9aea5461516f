"""docs/how-to/shell.md, followed literally in a copy of the bookstore."""

from __future__ import annotations

from pathlib import Path

import pytest
from deploying import free_port
from pages import Block
from reader import Reader, bookstore


@pytest.mark.timeout(300)
def test_every_command_says_what_the_page_says(tmp_path: Path) -> None:
    place = bookstore(tmp_path)
    ports = {"8000": free_port(), "9000": free_port()}
    # Who has not subscribed yet would miss what the next command changes.
    stays = {"ddpcore sub localhost:8000 AllBooks --lines": "call=AllBooks"}
    with Reader(place, ports, stays=stays) as reader:

        def other(block: Block) -> None:
            assert block.language == "text", block
            reader.hears(block)

        reader.read("how-to/shell.md", other)
        server, watcher = reader.terminals
        # What the page says does not arrive does not, and what comes after it does.
        reader.type("ddpcore call localhost:8000 bookstore.renameBook '\"2\"' 'Found'")
        assert watcher.until(lambda text: "Found" in text)
        assert "Lost" not in watcher.text
        assert "Traceback" not in server.text
