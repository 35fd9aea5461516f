"""The documentation says what is true: its code runs, its tables are complete, its links lead on.

Every block of Python in README.md, CONTRIBUTING.md and docs/ is compiled, and one that begins with
``# bookstore/ddp.py`` is run in the place of that file of the example. The pages of docs/how-to and
docs/tutorial have tests of their own (test_claims.py).
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import ddpcore
from ddpcore import hookspecs, testing

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOP = ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")
PAGES = [*(ROOT / f"{each}.md" for each in TOP), *DOCS.rglob("*.md")]
EXAMPLE = ROOT / "examples" / "bookstore"
LINKED = [*PAGES, *(ROOT / "examples").glob("*/README.md")]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@dataclasses.dataclass
class Block:
    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{name(self.page)}:{self.line}"

    def code(self) -> Any:
        # With the page's own line numbers, for tracebacks.
        return compile("\n" * self.line + self.text, str(self.page), "exec")


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text[: found.start()].count("\n") + 1, found[1])
        for found in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


BLOCKS = [block for page in PAGES for block in blocks(page)]
DDP_PY = [block for block in BLOCKS if block.text.startswith("# bookstore/ddp.py\n")]


def table(page: str, header: str) -> list[list[str]]:
    """The rows of the table that has this header row; cells as they stand."""
    lines = (DOCS / page).read_text().splitlines()
    rows = []
    for line in lines[lines.index(header) + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def bare(cell: str) -> str:
    assert cell.startswith("`"), cell
    assert cell.endswith("`"), cell
    return cell.strip("`")


# --- code ---------------------------------------------------------------------------------------


def test_there_is_code() -> None:
    assert len(BLOCKS) > 10
    assert len(DDP_PY) >= 4


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_python_is_python(block: Block) -> None:
    block.code()


def test_every_name_of_the_client_for_tests_is_documented() -> None:
    rows = table("how-to/testing.md", "| name | meaning |")
    documented = {word for row in rows for word in re.findall(r"`(?:await )?(\w+)[^`]*`", row[0])}
    public = {each for each in dir(testing.Client) if not each.startswith("_")}
    # These are set in __init__, where dir() does not see them.
    assert documented == public | {"transport", "store", "session"}


def test_every_argument_of_the_client_for_tests_is_documented_with_its_default() -> None:
    rows = table("how-to/testing.md", "| argument | default | meaning |")
    documented = {bare(key): ast.literal_eval(bare(default)) for key, default, *_ in rows}
    assert documented == arguments(testing.connect) == arguments(testing.Client)


RUN_PROJECT = """
import django
django.setup()
from ddpcore_django.application import from_project
server = from_project().server
assert server.methods
"""


# On a new database, with the rows that the README speaks of: what a client gets that sends the
# messages of the first argument, and then what it gets when the rows change.
RUN_README = """
import asyncio, json, sys
import django
django.setup()
from bookstore.models import Author, Book
from ddpcore.transport import MemoryTransport
from ddpcore_django.application import from_project
from django.core.management import call_command

call_command("migrate", verbosity=0)
author = Author.objects.create(pk=3, name="Jane Austen", email="jane@example.org")
book = Book.objects.create(pk=7, title="Emma", author=author)

def rename():
    book.title = "Persuasion"
    book.save()

def move():
    author.email = "austen@example.org"
    author.save()

class Client(MemoryTransport):
    def __init__(self):
        super().__init__()
        self.inbox = asyncio.Queue()

    def send(self, frames):
        for frame in frames:
            self.inbox.put_nowait(json.loads(frame.data))

async def main():
    server = from_project().server
    await server.start()
    client = Client()
    session = server.accept(client)
    session.receive('{"msg":"connect","version":"1","support":["1"]}')
    for message in sys.argv[1:]:
        session.receive(message)
    while (message := await client.inbox.get())["msg"] != "ready":
        if message["msg"] != "connected":
            print(json.dumps(message))
    print(json.dumps(message))
    for change in (rename, move):
        await server.in_thread(change)
        print(json.dumps(await client.inbox.get()))

asyncio.run(main())
"""


def run_in_project(script: str, ddp_py: Block, directory: Path, *arguments: str) -> str:
    """Run a script in a copy of the example that has another `ddp.py`; what it prints."""
    project = directory / "bookstore"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
    (project / "bookstore" / "ddp.py").write_text(ddp_py.text)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={name: text for name, text in os.environ.items() if not name.startswith("BOOKSTORE_")}
        | {
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "PYTHONPATH": os.pathsep.join([str(project), str(ROOT)]),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("block", DDP_PY, ids=str)
def test_ddp_modules_run(block: Block, tmp_path: Path) -> None:
    run_in_project(RUN_PROJECT, block, tmp_path)


def test_the_wire_is_as_the_readme_says(tmp_path: Path) -> None:
    page = ROOT / "README.md"
    wire = re.findall(r"^([<>]) (.*)$", page.read_text(), re.MULTILINE)
    sent = [message for way, message in wire if way == ">"]
    received = [json.loads(message) for way, message in wire if way == "<"]
    output = run_in_project(RUN_README, blocks(page)[0], tmp_path, *sent)
    assert [json.loads(line) for line in output.splitlines()] == received
    assert len(received) == 4


# --- tables and headings --------------------------------------------------------------------------


def test_every_hook_is_documented_as_it_is() -> None:
    def signature(function: ast.FunctionDef) -> str:
        returns = ast.unparse(function.returns) if function.returns else "None"
        return f"{function.name}({ast.unparse(function.args)}) -> {returns}"

    source = ast.parse(inspect.getsource(hookspecs))
    hooks = [
        signature(each)
        for each in source.body
        if isinstance(each, ast.FunctionDef) and each.name.startswith("ddpcore_")
    ]
    page = (DOCS / "reference/hooks.md").read_text()
    assert re.findall(r"^### `(.*)`$", page, re.MULTILINE) == hooks
    assert len(hooks) > 5


def test_every_limit_says_what_a_client_sees() -> None:
    from ddpcore_django.conf import SERVER
    from ddpcore_tornado import Limits

    rows = table("reference/serving.md", "| limit | what a client sees that goes beyond it |")
    named = [re.findall(r"`(?:Limits\.)?([a-z_]+)`", row[0]) for row in rows]
    known = {each for names in named for each in names}
    assert known == (SERVER - {"forwarded_count"}) | set(Limits.__slots__) | {"max_waiting"}
    assert all(row[1] for row in rows)


def arguments(function: Any) -> dict[str, Any]:
    return {
        each.name: each.default
        for each in inspect.signature(function).parameters.values()
        if each.kind is each.KEYWORD_ONLY
    }


def test_every_name_of_a_context_is_documented() -> None:
    rows = table("how-to/python.md", "| name | in methods | in publications | meaning |")
    for column, context in ((1, ddpcore.MethodContext), (2, ddpcore.PublicationContext)):
        documented = {
            word
            for row in rows
            if row[column] == "yes"
            for word in re.findall(r"`(\w+)[(\w, *)]*`", row[0])
        }
        public = {each for each in dir(context) if not each.startswith("_")}
        # These are set in __init__, where dir() does not see them.
        assert documented == public | {"connection", "name", "random"}


def test_every_attribute_of_a_collection_is_documented() -> None:
    source = ast.parse((ROOT / "ddpcore_django" / "collection.py").read_text())
    (collection,) = (each for each in source.body if isinstance(each, ast.ClassDef))
    attributes = {
        each.target.id
        for each in collection.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    rows = table("reference/django.md", "| attribute | meaning | default |")
    assert {bare(row[0]) for row in rows} == (attributes | {"name"}) - {"api_path_prefix_format"}


# --- links and paths ------------------------------------------------------------------------------

OUR_OWN = re.compile(
    r"https://(github\.com/ddpcore/ddpcore/(blob|tree)|raw\.githubusercontent\.com/ddpcore/ddpcore)/main/"
)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        # The README is shown by the package index as well, so its links say where they lead.
        path = OUR_OWN.sub(f"{ROOT}/", path)
        if re.match(r"[a-z]+:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_links_to_elsewhere_are_links(page: Path) -> None:
    """Nobody is asked whether they are there: a test must not depend on what others serve."""
    wrong = []
    for link in re.findall(r"\]\(<?([a-z]+:[^)\s>]*)", page.read_text()):
        parts = urlsplit(link)
        if parts.scheme != "https" or not re.fullmatch(r"[a-z0-9.-]+\.[a-z]+", parts.netloc):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_paths_that_are_named_exist(page: Path) -> None:
    tops = "ddpcore|ddpcore_tornado|ddpcore_pg|ddpcore_django|examples|tests|scripts|docs"
    named = set(re.findall(rf"(?<![\w/.-])(?:{tops})/[\w./-]*\w", page.read_text()))
    named = {path for path in named if not path.startswith(("docs/ddpcore", "docs/_build"))}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_architecture_names_its_modules() -> None:
    named = re.findall(
        r"\b(?:ddpcore\w*)/[\w/]+\.py", (DOCS / "explanation/architecture.md").read_text()
    )
    assert len(set(named)) > 20


@pytest.mark.parametrize("index", sorted(DOCS.rglob("index.md")), ids=name)
def test_an_index_lists_every_page_beside_it(index: Path) -> None:
    text = index.read_text()
    pages = {page.name for page in index.parent.glob("*.md")} - {"index.md"}
    pages |= {f"{page.parent.name}/index.md" for page in index.parent.glob("*/index.md")}
    assert [page for page in pages if f"({page})" not in text] == []


def test_the_changelog_knows_the_version() -> None:
    assert ddpcore.__version__ in (ROOT / "CHANGELOG.md").read_text()


def test_the_readme_begins_with_its_two_commands() -> None:
    first_screen = (ROOT / "README.md").read_text().split("\n## ")[0]
    commands = re.findall(r"^    (python3 (scripts/\w+))$", first_screen, re.MULTILINE)
    assert [command for command, _ in commands] == ["python3 scripts/demo", "python3 scripts/test"]
    assert all(os.access(ROOT / script, os.X_OK) for _, script in commands)
