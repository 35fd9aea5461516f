"""docs/explanation: its transcripts are what a server says; `>` is the client's part, `<` ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import DOCS, ROOT, Block, blocks

BOOKSTORE = ROOT / "examples" / "bookstore"
TRANSCRIPTS = [
    block
    for page in sorted((DOCS / "explanation").glob("*.md"))
    for block in blocks(page, "text")
    if block.text.startswith(("> ", "< "))
]

# What the pages speak of: a book, and two publications that overlap. A part of the story is what
# the client says, or null for what somebody else does, and how many answers that has.
PLAY = """
import asyncio, json, sys
import django
django.setup()
from django.core.management import call_command
from bookstore.models import Author, Book
from ddpcore.testing import connect, running
from ddpcore_django import API, Publication
from ddpcore_django.application import from_project

class Titles(Publication):
    queries = [Book.objects.only("title")]

class Details(Publication):
    queries = [Book.objects.only("title", "author")]

API.register([Titles, Details])
call_command("migrate", verbosity=0)
author = Author.objects.create(pk=3, name="Jane Austen", email="jane@example.org")
book = Book.objects.create(pk=7, title="Emma", author=author)

def in_the_admin():
    book.title = "Persuasion"
    book.save()

async def main():
    async with running(from_project().server) as server, connect(server) as client:
        client.messages.clear()
        for message, answers in json.load(sys.stdin):
            if message is None:
                await server.in_thread(in_the_admin)
            else:
                client.send(message)
            await client.until(lambda: len(client.messages) >= answers)
            print(json.dumps(client.messages))
            client.messages.clear()

asyncio.run(main())
"""


def story(block: Block) -> list[tuple[dict | None, list[dict]]]:
    """What happens, and what the client is told then."""
    parts: list[tuple[dict | None, list[dict]]] = []
    for line in block.text.splitlines():
        if line.startswith("> "):
            parts.append((json.loads(line[2:]), []))
        elif line.startswith("< "):
            parts[-1][1].append(json.loads(line[2:]))
        else:
            assert re.fullmatch(r" +\.\.\. .* \.\.\.", line), line
            parts.append((None, []))
    return parts


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) == 3


@pytest.mark.parametrize("block", TRANSCRIPTS, ids=str)
def test_a_server_says_so(block: Block, tmp_path: Path) -> None:
    told = story(block)
    done = subprocess.run(
        [sys.executable, "-Werror", "-c", PLAY],
        input=json.dumps([(message, len(answers)) for message, answers in told]),
        env={name: text for name, text in os.environ.items() if not name.startswith("BOOKSTORE_")}
        | {
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "BOOKSTORE_DB": str(tmp_path / "bookstore.sqlite3"),
            "PYTHONPATH": os.pathsep.join([str(BOOKSTORE), str(ROOT)]),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    came = [json.loads(line) for line in done.stdout.splitlines()]
    assert list(map(in_order, came)) == [in_order(answers) for _, answers in told]


def in_order(answers: list[dict]) -> list[dict]:
    """With results first, which may come before the data or after, as the page says."""
    return sorted(answers, key=lambda each: each["msg"] != "result")
