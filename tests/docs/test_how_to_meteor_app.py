"""docs/how-to/meteor-app.md, followed literally, with a bundle as `meteor build` makes it.

What curl says of each class of URLs is compared in tests/meteor/test_transcript.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploying import free_port
from meteor_bundle import build, fragment, script
from pages import Block, blocks
from reader import Reader, bookstore
from served import fetch, listening

PAGE = "how-to/meteor-app.md"
FILES = [fragment("head", "<title>Books</title>"), script("console.log('books');", "app/app")]


def of_the_transcript(block: Block) -> bool:
    return block.text.startswith("# Any path that is no file has the page.")


def of_tornado(block: Block) -> bool:
    return block.language == "python" and "def make_app" in block.text


def test_every_command_says_what_the_page_says(tmp_path: Path) -> None:
    place = bookstore(tmp_path)
    build(place / "bundle", {"web.browser": FILES})
    with Reader(place, {"8000": free_port(), "8001": free_port()}) as reader:
        reader.read(PAGE, leave=lambda block: of_the_transcript(block) or of_tornado(block))
        assert all("Traceback" not in each.text for each in reader.terminals)


async def test_the_tornado_application(tmp_path: Path) -> None:
    star = build(tmp_path, {"web.browser": FILES})
    (block,) = [each for each in blocks(PAGE) if of_tornado(each)]
    program: dict[str, Any] = {}
    exec(block.code(), program)
    app = program["make_app"](str(star))
    app.settings["log_function"] = lambda _: None
    async with listening(app, program["server"]) as address:
        answer = await fetch(address, "/any/path")
        assert answer.code == 200
        assert b"<title>Books</title>" in answer.body
        assert b"town%22%3A%22Bath" in answer.body
        assert (await fetch(address, "/sockjs/info")).code == 200
