"""The example in TypeScript: it compiles against the declarations of the bookstore, and is live."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typescript import EXAMPLE, TSC, need_typescript

from .conftest import BOOKSTORE, PATIENCE, ROOT, Site

pytestmark = pytest.mark.node


@pytest.fixture(autouse=True)
def typescript():
    need_typescript()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the example, with the packages of this one."""
    copy = tmp_path / "typescript"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("node_modules", "main.js"))
    (copy / "node_modules").symlink_to(EXAMPLE / "node_modules")
    return copy


def compile(project: Path) -> list[str]:
    """What the compiler has against it, each with its code."""
    done = subprocess.run(
        [str(TSC), "--strict", "--noEmit", "--pretty", "false"],
        cwd=project, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert bool(done.returncode) == bool(done.stdout), done.stderr
    return done.stdout.splitlines()


def test_its_declarations_are_current():
    done = subprocess.run(
        [sys.executable, "-m", "ddpcore", "types", "--settings", "mysite.settings",
         "--output", str(EXAMPLE / "src" / "bookstore.d.ts"), "--check"],
        cwd=BOOKSTORE, env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_it_compiles(project):
    assert compile(project) == []


# What stands in main.ts, a mistake in its place, and what the compiler says to it.
MISTAKES = [
    ("book.author_id", "book.auhtor_id", "TS2551.*Did you mean 'author_id'"),
    ('"bookstore.addBook"', '"bookstore.addBok"', r'TS2345.*"bookstore\.addBok"'),
    ("title.value, select.value)", "title.value)", "TS2345|TS2554"),
    ("title.value, select.value)", "title.value, 7)", "TS2345.*'number'.*'string'"),
    ('subscribe("AllBooks")', 'subscribe("AllBooks", 1)', "TS2345|TS2554"),
    ('subscribe("AllBooks")', 'subscribe("AllBoks")', 'TS2345.*"AllBoks"'),
    ('watch("bookstore.book"', 'watch("bookstore.boook"', r'TS2345.*"bookstore\.boook"'),
    ("(book) => book.title", "(book) => book.pages", "TS2339.*'pages'"),
    ("title.defaultValue = book.title", "title.disabled = book.title", "TS2322"),
    ("say(`added as number ${id}`)", "say(id.toFixed())", "TS2551|TS2339"),
]


def test_mistakes_do_not_compile(project):
    main = (project / "src" / "main.ts").read_text()
    for number, (right, wrong, _) in enumerate(MISTAKES):
        assert main.count(right) == 1, right
        (project / "src" / f"mistake{number}.ts").write_text(main.replace(right, wrong))
    found = compile(project)
    for number, (_, wrong, error) in enumerate(MISTAKES):
        said = [line for line in found if f"mistake{number}.ts" in line]
        assert any(re.search(error, line) for line in said), (wrong, said)


@pytest.fixture
def page(project: Path) -> Iterator[str]:
    """The URL of the page, bundled, at an origin of its own."""
    subprocess.run(
        ["node_modules/.bin/esbuild", "src/main.ts", "--bundle", "--outdir=public",
         "--log-level=error"],
        cwd=project, check=True, timeout=60,
    )  # fmt: skip

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = partial(Handler, directory=project / "public")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.browser
def test_two_windows(page, start, tmp_path):
    site = Site(
        "mysite.settings", [BOOKSTORE], tmp_path / "server.log", "--origin", page,
        BOOKSTORE_DB=str(tmp_path / "bookstore.sqlite3"),
    )  # fmt: skip
    site.migrate()
    assert site.run("django", "seed_bookstore").wait(PATIENCE) == 0
    site.start()
    try:
        windows = start("windows", page, str(tmp_path))
        for window in ("left", "right"):
            windows.do("open", window, f"/?server={site.address}")
            windows.do("has", window, "li:has(span:text('Jane Austen')) input[value='Emma']")

        windows.do("fill", "left", "input[value='Emma']", "Emma, revised")
        windows.do("press", "left", "input[value='Emma']", "Enter")
        windows.do("has", "right", "input[value='Emma, revised']")

        # What somebody is typing stays.
        windows.do("fill", "left", "input[value='Persuasion']", "Persuaded")

        windows.do("fill", "right", "#title", "Sanditon")
        windows.do("press", "right", "#title", "Enter")
        windows.do("has", "left", "input[value='Sanditon']")
        windows.do("see", "right", "#status", "added as number")
        windows.do("press", "left", "input[value='Persuasion']", "Enter")
        windows.do("has", "right", "input[value='Persuaded']")

        windows.do("fill", "left", "input[value='Sanditon']", " ")
        windows.do("press", "left", "input[value='Sanditon']", "Enter")
        windows.do("see", "left", "#status", "A title, please.")
        windows.do("has", "left", "input[value='Sanditon']")
    finally:
        site.stop(signal.SIGTERM)
    assert "Traceback" not in site.log.read_text()
