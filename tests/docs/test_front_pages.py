"""README.md and docs/index.md, which somebody reads who decides: what they say of us is so.

That their `ddp.py`, their messages and their links are right is for test_docs.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pages import DOCS, ROOT, blocks

import ddpcore

README, INDEX = ROOT / "README.md", DOCS / "index.md"
INTEROP = ROOT / "tests" / "interop"
EXAMPLE = ROOT / "examples" / "bookstore"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def table() -> dict[str, list[str]]:
    """Rows of the comparison, by their first cell; its header is "" there."""
    lines = re.findall(r"^\|(.*)\|$", README.read_text(), re.MULTILINE)
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {first: rest for first, *rest in rows if not first.startswith("---")}


def test_both_begin_with_the_same_sentence() -> None:
    first, second = (
        " ".join(page.read_text().split("\n\n")[1].split()) for page in (README, INDEX)
    )
    assert first.strip("*") == second
    assert second.startswith("ddpcore makes ")


def test_both_show_the_same_code() -> None:
    for language in ("python", "js"):
        first, second = (blocks(page, language)[0].text for page in (README, INDEX))
        assert first == second
    code = [line for line in blocks(README, "python")[0].text.splitlines() if line.strip()]
    assert len(code) <= 12  # with the path


def test_the_first_screen_has_it_all() -> None:
    first_screen = README.read_text().split("\n## ")[0]
    assert len(first_screen.splitlines()) < 45
    assert "two-windows.webp)" in first_screen
    assert "```python" in first_screen


def test_the_picture_is_small() -> None:
    assert (DOCS / "images" / "two-windows.webp").stat().st_size < 400_000


def test_images_and_links_work_at_the_package_index() -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", README.read_text())
    assert [each for each in links if not each.startswith("https://")] == []
    assert len(links) > 20


def test_the_table_says_what_versions_these_are() -> None:
    rows = table()
    ours, _, _, channels = rows[""]
    assert ours == f"ddpcore {ddpcore.__version__}"
    python = PROJECT["requires-python"].removeprefix(">=")
    (django,) = re.findall(r"Django>=([\d.]+)", str(PROJECT["optional-dependencies"]["django"]))
    assert rows["runs on"][0] == f"Python {python}, Django {django} and newer"
    # That which the page about it is tested with.
    assert (
        f"{channels.removeprefix('Django ')} under Daphne"
        in (DOCS / "coming-from" / "channels.md").read_text()
    )
    assert all(len(row) == 4 for row in rows.values())
    assert all(all(row) for row in rows.values())


def test_the_number_of_behaviours() -> None:
    numbered = re.findall(
        r"^\| (\d+) \|", (DOCS / "reference" / "conformance.md").read_text(), re.MULTILINE
    )
    for page in (README, DOCS / "coming-from" / "meteor.md"):
        assert re.findall(r"\[(\d+) behaviours\]", page.read_text()) == [str(len(numbered))]


# The page's program in node, in place of a browser; `draw` prints.
RUN = """
import SimpleDDP from "simpleddp";
import WebSocket from "ws";

process.on("unhandledRejection", () => {}); // of promises of simpleddp that nobody can get hold of
const draw = (books) => console.log(JSON.stringify(books));
%s
"""
PREPARE = """
import django
django.setup()
from bookstore.models import Author, Book
from django.core.management import call_command
call_command("migrate", verbosity=0)
author = Author.objects.create(pk=3, name="Jane Austen", email="jane@example.org")
Book.objects.create(pk=7, title="Emma", author=author)
other = Author.objects.create(pk=4, name="Jules Verne", email="jules@example.org")
Book.objects.create(pk=8, title="Michael Strogoff", author=other)
"""
# It is the server that renames the book: with SQLite no other process is seen.
RENAME = """

from ddpcore_django import APIMixin, api_endpoint


class Rename(APIMixin):
    api_path_prefix = ""

    @api_endpoint
    def rename(self):
        Book(pk=7, title="Persuasion", author_id=3).save()


API.register(Rename)
"""


def until(page: subprocess.Popen[str], book: dict[str, str]) -> None:
    """Wait until it draws this book alone; it may draw an empty list between two connections."""
    for line in page.stdout:
        if json.loads(line) == [book]:
            return
    pytest.fail(f"It never drew {book}")


def said(command: str, address: str, *more: str, env: dict[str, str]) -> str:
    """What a command of the README prints, with another address and further arguments."""
    (line,) = re.findall(rf"\bddpcore ({command} [^`\n]+)", README.read_text())
    arguments = [*line.replace("127.0.0.1:8000", address).split(), *more]
    return subprocess.run(
        [sys.executable, "-m", "ddpcore", *arguments],
        env=env, capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip


@pytest.mark.node
def test_the_page_shows_what_is_published(tmp_path: Path) -> None:
    if shutil.which("node") is None or not (INTEROP / "node_modules").is_dir():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "no node, or: npm ci --ignore-scripts --prefix tests/interop"
        )
    site = tmp_path / "bookstore"
    shutil.copytree(EXAMPLE, site, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
    (site / "bookstore" / "ddp.py").write_text(blocks(README, "python")[0].text + RENAME)
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
        "BOOKSTORE_DB": str(tmp_path / "db.sqlite3"),
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
    }
    subprocess.run([sys.executable, "-c", PREPARE], env=env, check=True, timeout=60)
    server = subprocess.Popen(
        [sys.executable, "-m", "ddpcore", "serve", "--settings", "mysite.settings",
         "--bind", "127.0.0.1:0"],
        env=env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        address = re.search(r"http://([^/]+)", server.stdout.readline())[1]
        program = blocks(README, "js")[0].text
        assert "127.0.0.1:8000" in program
        (tmp_path / "node_modules").symlink_to(INTEROP / "node_modules")
        (tmp_path / "page.mjs").write_text(RUN % program.replace("127.0.0.1:8000", address))
        page = subprocess.Popen(
            ["node", "page.mjs"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        try:
            until(page, {"id": "7", "title": "Emma", "author_id": "3"})
            # What the README has us type in a project of our own.
            assert '"title":"Emma"' in said("sub", address, "--ready", env=env)
            assert "All is well." in said("check", address, "--bind", "127.0.0.1:0", env=env)
            call = [sys.executable, "-m", "ddpcore", "call", f"http://{address}", "rename"]
            subprocess.run(call, env=env, check=True, timeout=60)
            until(page, {"id": "7", "title": "Persuasion", "author_id": "3"})
        finally:
            page.kill()
            page.wait()
            page.stdout.close()
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
        server.stdout.close()
