"""docs/how-to/meteor-app.md, followed literally, with a bundle as `meteor build` makes it.

What curl says of each class of URLs is compared in tests/meteor/test_transcript.py.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from meteor_bundle import build, fragment, script
from pages import Block
from reader import Reader, bookstore
from served import fetch, listening

FILES = [fragment("head", "<title>Books</title>"), script("console.log('books');", "app/app")]


def test_every_command_says_what_the_page_says(tmp_path: Path) -> None:
    place = bookstore(tmp_path)
    star = build(place / "bundle", {"web.browser": FILES})
    tornado: list[Block] = []
    with Reader(place) as reader:
        reader.read("how-to/meteor-app.md", "python", "console", others={"python": tornado.append})
    asyncio.run(in_a_tornado_application(*tornado, star))


async def in_a_tornado_application(block: Block, star: Path) -> None:
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
