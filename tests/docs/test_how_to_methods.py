"""docs/how-to/methods.md, followed step by step; and what it says of `updated` and of mistakes."""

import asyncio
from pathlib import Path

import pytest
from reader import Reader, bookstore

from ddpcore import MeteorError
from ddpcore_tornado.client import connect


async def look(url: str) -> None:
    async with connect(url) as client:
        books = client.collection("bookstore.book")
        await client.subscribe("AllBooks").ready()
        # The catalog's title is written by a thread of its own, and shown when the call is over.
        await client.call("bookstore.renameBook", "2", "Emma")
        assert books["2"]["title"] == "Emma"
        assert await client.call("catalog.takeTitle", "2", 9780141439587) == "Emma: A Novel"
        assert books["2"]["title"] == "Emma: A Novel"
        with pytest.raises(MeteorError, match=r"Method 'desk.addBook' not found \[404\]"):
            await client.call("desk.addBook")


def test_the_page(tmp_path: Path) -> None:
    with Reader(bookstore(tmp_path)) as reader:
        reader.read("how-to/methods.md")
        asyncio.run(look(reader.url()))
