"""The page on django-ddp names all that it had, and what it names here exists."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import DOCS

from ddpcore_django.porting import names, python
from ddpcore_django.porting.names import MODULES, MOVED, PAGE, THIS, Advice

TEXT = (DOCS / "coming-from/django-ddp.md").read_text()
TABLES = TEXT.partition("## Every name")[2]


def section(title: str) -> str:
    (text,) = re.findall(
        rf"^### {re.escape(title)}\n(.*?)(?=^### |\Z)", TABLES, re.MULTILINE | re.DOTALL
    )
    return text


def rows(title: str) -> dict[str, str]:
    """What is said of each name of a section."""
    found: dict[str, str] = {}
    for first, rest in re.findall(r"^\| ([^|]*`[^|]*) \| (.*) \|$", section(title), re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", first):
            assert name not in found, name
            found[name] = rest
    return found


# --- what there was -------------------------------------------------------------------------------


def of_body(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """The public names that a body binds, but for imports."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name
            if isinstance(node, ast.ClassDef) and node.name != "Meta":
                yield from of_body(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign):
            for name in (each for target in node.targets for each in ast.walk(target)):
                if isinstance(name, ast.Name) and not name.id.startswith("_"):
                    yield prefix + name.id
        elif isinstance(node, ast.If | ast.Try | ast.With):
            inner = [*node.body, *getattr(node, "orelse", []), *getattr(node, "finalbody", [])]
            for handler in getattr(node, "handlers", []):
                inner += handler.body
            yield from of_body(inner, prefix)


def sources(predecessor: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((predecessor / "dddp").rglob("*.py")):
        parts = path.relative_to(predecessor).with_suffix("").parts
        if not re.match(r"\d{4}_", parts[-1]):  # its own migrations
            # A word of Python since 3.7.
            text = re.sub(r"\basync=", "async_=", path.read_text())
            yield ".".join(parts).removesuffix(".__init__"), text


@pytest.mark.index
def test_every_name_is_there_and_no_other(predecessor: Path) -> None:
    modules = dict(sources(predecessor))
    assert set(modules) == set(MODULES)
    for module, text in modules.items():
        there_are = set(of_body(ast.parse(text).body)) - {"os"}
        if there_are:
            assert set(rows(module)) == there_are, module
    assert sum(len(rows(module)) for module in modules if f"\n### {module}\n" in TABLES) > 250


@pytest.mark.index
def test_the_tool_breaks_none_of_its_files(predecessor: Path) -> None:
    for path in predecessor.rglob("*.py"):
        try:
            once, _ = python.port(path.read_text())
        except SyntaxError:
            assert path.name == "postgres.py"
            continue
        ast.parse(once)
        assert python.port(once)[0] == once


@pytest.mark.index
def test_every_attribute_of_this_is_there(predecessor: Path) -> None:
    used = {
        name
        for _, text in sources(predecessor)
        for name in re.findall(r"\b(?:this|THREAD_LOCAL)\.([a-z_]+)", text)
    }
    assert set(rows("this")) == used
    assert used - set(THIS) == {"user", "user_id"}


@pytest.mark.index
def test_every_setting_is_there(predecessor: Path) -> None:
    used = {
        name
        for _, text in sources(predecessor)
        for name in re.findall(r"settings(?:\.|,\s*')([A-Z_]{4,})", text)
        + re.findall(r"environ(?:\.get\(|\[)'([A-Z_]+)'", text)
    }
    assert set(rows("Settings")) == used


@pytest.mark.index
def test_every_option_and_command_is_there(predecessor: Path) -> None:
    main = (predecessor / "dddp" / "main.py").read_text()
    options = set(re.findall(r"add_argument\(\s*'(--[a-z-]+)", main))
    setup = (predecessor / "setup.py").read_text()
    scripts = set(re.findall(r"'(\w+)=dddp\.main:main'", setup))
    commands = set(re.findall(r"class (build_meteor)\(", setup))
    assert set(rows("Command line")) == options | scripts | commands | {"address[:port]"}
    assert not list((predecessor / "dddp").rglob("management"))


@pytest.mark.index
def test_every_method_and_publication_is_there(predecessor: Path) -> None:
    page = set(rows("What clients call"))
    accounts = (predecessor / "dddp" / "accounts" / "ddp.py").read_text()
    named = set(re.findall(r"@api_endpoint\('(\w+)'\)", accounts))
    assert named | {"login", "logout", "/users/update"} <= page
    assert len(re.findall("@api_endpoint", accounts)) == len(named) + 3
    api = (predecessor / "dddp" / "api.py").read_text().partition("class DDP(")[2]
    own = set(re.findall(r"@api_endpoint(?:\(.*\))?\n    def (\w+)", api))
    assert {f"/{name}" for name in own} <= page
    for _, text in sources(predecessor):
        for name, body in re.findall(
            r"^class (\w+)\(Publication\):\n(.*?)(?=^\S)", text, re.MULTILINE | re.DOTALL
        ):
            given = re.search(r"^    name = '?([\w.]+)", body, re.MULTILINE)
            assert (given[1].replace("LOGS_NAME", "dddp.logs") if given else name) in page


# --- what there is --------------------------------------------------------------------------------


def test_what_is_named_here_exists() -> None:
    named = set(re.findall(r"`((?:ddpcore\w*|django)(?:\.\w+)+)`", TABLES))
    assert len(named) > 20
    # Its own process: models need settings, which no other test should get.
    code = (
        "import pkgutil, sys\nfrom django.conf import settings\nimport django\n"
        "apps = ['django.contrib.auth', 'django.contrib.contenttypes']\n"
        "settings.configure(INSTALLED_APPS=[*apps, 'ddpcore_django', 'ddpcore_django.accounts'])\n"
        "django.setup()\n"
        "for path in sys.argv[1:]: pkgutil.resolve_name(path)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *sorted(named)],
        env=os.environ | {"PYTHONPATH": str(DOCS.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_the_tool_says_what_the_page_says() -> None:
    for old, new in MOVED.items():
        module, _, name = old.rpartition(".")
        if f"\n### {module}\n" in TABLES and name in rows(
            module
        ):  # else it was only imported there
            assert f"`{new}`" in rows(module)[name], old
    for old, advice in THIS.items():
        word = re.search(r"this\.\w+", advice.text)
        if "nothing" in advice.text or "without" in advice.text:
            assert rows("this")[old].startswith("gone"), old
        elif word:
            assert f"`{word[0]}`" in rows("this")[old], old


def test_where_the_tool_sends_people_there_is_something() -> None:
    headings = re.findall(
        r"^#+ (.*)$",
        re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL),
        re.MULTILINE,
    )
    anchors = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
    advice = [each for module in (names, python) for each in vars(module).values()]
    advice += [each for table in advice if isinstance(table, dict) for each in table.values()]
    sections = {each.section for each in advice if isinstance(each, Advice)}
    assert len(sections) > 15
    assert sections <= anchors
    for module in MODULES:
        assert names.advice_for(f"{module}.anything").section in anchors
    assert (DOCS.parent / PAGE).exists()
