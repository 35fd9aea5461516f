"""The documentation says what is true: its code runs, its tables are complete, its links lead on.

Every block of Python in README.md, CONTRIBUTING.md and docs/ is compiled. Beyond that:

- The blocks of docs/how-to/python.md are one program, which is run; then its `main()` is.
- The blocks of docs/how-to/testing.md are one test file, which is run; that for Django is run as the
  tests of the example.
- A block that begins with ``# bookstore/ddp.py`` is run in the place of that file of the example.
"""

from __future__ import annotations

import ast
import asyncio
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

import pytest

import ddpcore
from ddpcore import cli, hookspecs, testing

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


async def test_the_page_on_plain_python_runs() -> None:
    program: dict[str, Any] = {"__name__": "docs"}
    for block in blocks(DOCS / "how-to/python.md"):
        exec(block.code(), program)
    await program["main"]()

    # What the page shows, but its main() does not do.
    server, client_class = program["server"], program["Client"]
    await server.start()
    client = client_class(server)
    client.tell(msg="method", id="1", method="notes.count", params=[])
    assert (await client.get("result"))["result"] == 1
    client.tell(msg="method", id="2", method="half", params=["seven"])
    error = (await client.get("result"))["error"]
    assert (error["error"], error["details"]) == (400, {"got": "str"})
    client.tell(msg="method", id="3", method="add", params=[1])
    assert (await client.get("result"))["error"]["reason"] == "Match failed"
    client.tell(msg="sub", id="4", name="clock")
    assert (await client.get("ready"))["subs"] == ["4"]
    changed = await client.get("changed")
    assert (changed["fields"], changed["cleared"]) == ({"ticks": 1}, ["note"])
    client.tell(msg="sub", id="5", name="notesAbout", params=["emma", "tea"])
    assert (await client.get("ready"))["subs"] == ["5"]
    for text in ("coffee", "tea for two"):
        client.tell(msg="method", id=text, method="write", params=["emma", text])
    assert (await client.get("added"))["fields"] == {"author": "emma", "text": "tea for two"}
    await server.stop()


async def test_the_page_on_testing_runs() -> None:
    program: dict[str, Any] = {"__name__": "docs"}
    for block in blocks(DOCS / "how-to/testing.md"):
        if not block.text.startswith("# bookstore/"):
            exec(block.code(), program)
    tests = {key: value for key, value in program.items() if key.startswith("test_")}
    assert len(tests) >= 4
    for test in tests.values():
        if inspect.iscoroutinefunction(test):
            await test()
        else:
            await asyncio.to_thread(run_with_fixtures, test)


def run_with_fixtures(test: Any) -> None:
    with testing.Runner() as runner:
        fixtures = {"ddp": runner, "ddp_clock": testing.FakeClock()}
        test(**{each: fixtures[each] for each in inspect.signature(test).parameters})


def test_the_tests_of_a_django_project_run(tmp_path: Path) -> None:
    (tests,) = (b for b in BLOCKS if b.text.startswith("# bookstore/tests.py\n"))
    project = tmp_path / "bookstore"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
    (project / "bookstore" / "tests.py").write_text(tests.text)
    done = subprocess.run(
        [sys.executable, "-Werror", "manage.py", "test", "bookstore"],
        cwd=project,
        env={name: text for name, text in os.environ.items() if not name.startswith("BOOKSTORE_")}
        | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 3 tests" in done.stderr
    assert "Exception" not in done.stderr


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


def test_every_setting_is_documented_with_its_default() -> None:
    from ddpcore_django.conf import Conf

    rows = table("reference/django.md", "| key | default | unit | meaning, and why |")
    documented = {bare(key): ast.literal_eval(bare(default)) for key, default, *_ in rows}
    there_are = {each.name.upper(): each.default for each in dataclasses.fields(Conf)}
    assert documented == there_are | {"SERVER": Conf().server}
    assert all(row[3] for row in rows)


def test_every_limit_is_documented_with_its_default() -> None:
    from ddpcore_django.conf import SERVER
    from ddpcore_tornado import Limits

    rows = table("reference/serving.md", "| limit | default | unit | why | what the client sees |")
    defaults = arguments(ddpcore.Server) | {"max_anonymous_message_size": 65_536}
    known = set()
    for named, written, *_ in rows:
        names = re.findall(r"`([a-z_]+)`", named)
        figures = [float(each.replace(",", "")) for each in written.split("; ") if each]
        if names and names[0] in SERVER:
            assert [defaults[name] for name in names] == figures
            known |= set(names)
        if limit := re.search(r"`Limits.(\w+)`", named):
            assert [getattr(Limits(), limit[1])] == figures
            known.add(limit[1])
    assert known == (SERVER - {"forwarded_count"}) | set(Limits.__slots__)


def test_every_setting_of_accounts_is_documented_with_its_default() -> None:
    from ddpcore_django.accounts.conf import AccountsConf

    rows = table("reference/accounts.md", "| setting | default | unit | what it is, and why |")
    documented = {bare(key): ast.literal_eval(bare(default)) for key, default, *_ in rows}
    there_are = {each.name.upper(): each.default for each in dataclasses.fields(AccountsConf)}
    assert documented == there_are
    assert all(row[3] for row in rows)


def arguments(function: Any) -> dict[str, Any]:
    return {
        each.name: each.default
        for each in inspect.signature(function).parameters.values()
        if each.kind is each.KEYWORD_ONLY
    }


def test_every_argument_of_a_server_is_documented_with_its_default() -> None:
    rows = table("how-to/python.md", "| argument | default | unit | meaning, and why |")
    documented = {bare(key): ast.literal_eval(bare(default)) for key, default, *_ in rows}
    assert documented == arguments(ddpcore.Server)


def test_every_argument_of_handlers_is_documented_with_its_default() -> None:
    from ddpcore_tornado import handlers

    rows = table("reference/serving.md", "| argument of `handlers` | default | meaning, and why |")
    documented = {bare(key): ast.literal_eval(bare(default)) for key, default, *_ in rows}
    assert documented == arguments(handlers)


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


def test_every_option_of_the_command_line_is_documented(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def options(*command: str) -> set[str]:
        with pytest.raises(SystemExit):
            cli.main([*command, "--help"])
        return set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out)) - {"--help"}

    header = "| option | meaning | default |"
    page = (DOCS / "reference/serving.md").read_text()
    first, second = (part.split("\n\n")[0] for part in page.split(header)[1:])
    general, of_serve = (
        set(re.findall(r"^\| `(--[a-z-]+)", part, re.MULTILINE)) for part in (first, second)
    )
    assert general == options()
    assert of_serve == options("serve") - options()
    not_of_demo = {"--settings", "--workers", "--meteor", "--root-url", "--wsgi", "--asgi"}
    assert of_serve - not_of_demo == options("demo") - options()


def test_every_command_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    commands = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    page = (DOCS / "reference/serving.md").read_text()
    assert commands
    assert [command for command in commands if f"ddpcore {command}" not in page] == []


@pytest.mark.parametrize(
    ("page", "module"),
    [("reference/django.md", "checks.py"), ("reference/accounts.md", "accounts/checks.py")],
)
def test_every_system_check_is_documented(page: str, module: str) -> None:
    source = (ROOT / "ddpcore_django" / module).read_text()
    there_are = set(re.findall(r'id="(ddpcore\.[EW]\d+)"', source))
    rows = table(page, "| id | meaning |")
    assert {bare(row[0]) for row in rows} == there_are
    assert there_are


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


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_paths_that_are_named_exist(page: Path) -> None:
    tops = "ddpcore|ddpcore_tornado|ddpcore_pg|ddpcore_django|examples|tests|scripts|docs"
    named = set(re.findall(rf"(?<![\w/.-])(?:{tops})/[\w./-]*\w", page.read_text()))
    named = {path for path in named if not path.startswith("docs/ddpcore")}
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
