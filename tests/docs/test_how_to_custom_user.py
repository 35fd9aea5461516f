"""docs/how-to/custom-user.md, followed step by step; and what it says of links and of others."""

import asyncio
import hashlib
import re
from pathlib import Path

from reader import Reader, bookstore

from ddpcore_tornado.client import connect


async def look(reader: Reader) -> None:
    async with connect(reader.url()) as client:
        members = client.collection("members")
        await client.subscribe("AllMembers").ready()
        assert not members
        # What Meteor's client does when the link of the mail is opened. The server prints it.
        reader.hears("http://localhost:8000/#/reset-password/...\n")
        (token,) = re.findall(r"#/reset-password/(\S+)", reader.printed())
        digest = hashlib.sha256(b"hartfield").hexdigest()
        await client.call("resetPassword", token, {"digest": digest, "algorithm": "sha-256"})
        await client.logout()
        await client.login(user="jane@example.org", password="hartfield")
        assert dict(members) == {"1": {"name": "Jane A."}}
        assert client.collection("users")["1"]["emails"][0]["verified"]


def test_the_page(tmp_path: Path) -> None:
    with Reader(bookstore(tmp_path)) as reader:
        reader.read("how-to/custom-user.md")
        asyncio.run(look(reader))
