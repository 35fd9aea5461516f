"""docs/how-to/shell.md, followed literally in a copy of the bookstore."""

from __future__ import annotations

from pathlib import Path

import pytest
from reader import Reader, bookstore


@pytest.mark.timeout(300)
def test_every_command_says_what_the_page_says(tmp_path: Path) -> None:
    # Who has not subscribed yet would miss what the next command changes.
    stays = {"ddpcore sub localhost:8000 AllBooks --lines": "call=AllBooks"}
    with Reader(bookstore(tmp_path), stays=stays) as reader:
        reader.read("how-to/shell.md")
        # What the page says does not arrive does not, and what comes after it does.
        reader.type("ddpcore call localhost:8000 bookstore.renameBook '\"2\"' 'Found'")
        reader.hears('{"msg":"changed",...{"title":"Found"}}\n')
