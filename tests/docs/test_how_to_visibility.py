"""docs/how-to/visibility.md, followed step by step; and what it says of permissions that change."""

import asyncio
from pathlib import Path

from reader import Reader, bookstore

from ddpcore_tornado.client import connect

READERS = """echo "box hill" | ddpcore call localhost:8000 $EMMA notes.setCircles '["readers"]'"""
STAFF = (
    "python manage.py shell --no-imports -c '"
    "from django.contrib.auth.models import User; "
    'User.objects.filter(username="jane").update(is_staff={})'
    "'"
)


async def look(reader: Reader) -> None:
    async with connect(reader.url()) as client:
        every, notes = client.collection("notes.every"), client.collection("notes")
        await client.subscribe("Moderation").ready()
        await client.subscribe("NotesSeen").ready()
        assert not every
        assert await asyncio.to_thread(reader.type, STAFF.format(True)) == ""
        await client.login(user="jane", password="box hill")
        assert set(every) == set(notes) == {"1"}
        # It is decided anew when somebody logs in, and not before.
        assert await asyncio.to_thread(reader.type, STAFF.format(False)) == ""
        await client.call("notes.edit", 1, "Read it again.")
        assert every["1"]["text"] == notes["1"]["text"] == "Read it again."
        await client.logout()
        await client.login(user="jane", password="box hill")
        assert (set(every), set(notes)) == (set(), {"1"})


def test_the_page(tmp_path: Path) -> None:
    # She is to see the note before she is out of the circle again.
    heard = {READERS: '"msg":"added","collection":"notes"'}
    with Reader(bookstore(tmp_path), heard=heard) as reader:
        reader.read("how-to/visibility.md")
        asyncio.run(look(reader))
