"""The public names are those of docs/reference/api, and each says what a reader needs.

`tests/support/docstrings.py` has the rules, and prints what is missing if it is run by itself.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pages
import public_api
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = public_api.PACKAGES
SUPPORT = ROOT / "tests" / "support"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("README.md")),
]
# What is part of the commands, of migrations and of `python -m` is found by its place.
NOT_MODULES = ("migrations", "management", "__main__.py")
MODULES = [
    path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if not any(each in path.parts for each in NOT_MODULES)
]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- docstrings -----------------------------------------------------------------------------------


def run(*command: str, path: str = "", **options: object) -> subprocess.CompletedProcess[str]:
    """In a process of its own: Django has to be set up, in another way than elsewhere."""
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(SUPPORT), path])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        **options,
    )


def test_the_docstrings_of_all_that_is_public_are_complete() -> None:
    done = run(str(SUPPORT / "docstrings.py"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "", done.stdout


# A module with a mistake of each kind, and what is said of it.
FAULTY = '''
from __future__ import annotations

LIMIT = 3
"""Said."""

SILENT = 4


class Bus:
    """A bus.

    Args:
        topic: Which.
        wrong: There is no such thing.
        timeout: How long it takes.

    Attributes:
        gone: It is not there.
    """

    def __init__(self, topic: str, timeout: float, more: int) -> None:
        if not topic:
            raise ValueError(topic)
        self.topic = topic
        self.unsaid = more

    def get(self, key: str) -> str:
        """Look it up."""
        raise KeyError(key)

    def find(self, key: str) -> str:
        """The value of `key`.

        Raises:
            NoSuchError: Never.
        """
        try:
            return self.get(key)
        except KeyError:
            return ""

    def many(self, one: int, two: int, three: int) -> None:
        """Do with `one`, `two` and `three`."""

    def silent(self) -> None:
        pass


class Made:
    """`Bus.get` makes one."""

    def __init__(self, anything: int) -> None:
        self._anything = anything


class Loud(Bus):
    """Louder.

    Args:
        topic: Which.
        timeout: Seconds.
        more: More.
    """

    def get(self, key: str) -> str:
        """Louder: the contract is that of the other."""
        return key
'''
COMPLAINTS = """\
SILENT: there is no docstring below it
Bus: `timeout` is a number: say of seconds
Bus: the argument `more` is not described
Bus: it describes an argument `wrong` that it does not have
Bus: it raises ValueError, which is not in Raises
Bus: it describes an attribute `gone` that it does not have
Bus: the attribute `unsaid` is not described
Bus.get: the argument `key` is not described
Bus.get: it gives str; neither Returns: nor the first sentence says what that is
Bus.get: it raises KeyError, which is not in Raises
Bus.find: Raises names NoSuchError, and there is no such exception
Bus.many: the argument `one` is not described
Bus.many: the argument `two` is not described
Bus.many: the argument `three` is not described
Bus.silent: there is no docstring
"""
EXAMINE = """
import docstrings, faulty, public_api
for each in ("LIMIT", "SILENT", "Bus", "Made", "Loud"):
    name = public_api.Name(f"faulty.{each}", getattr(faulty, each), frozenset(), None)
    for complaint in docstrings.complaints(name):
        print(complaint.partition(": ")[2])
"""


def test_what_is_missing_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    done = run("-c", EXAMINE, path=str(tmp_path))
    assert done.stderr == ""
    assert done.stdout == COMPLAINTS


# --- names ----------------------------------------------------------------------------------------


def test_there_are_public_names_of_all_packages() -> None:
    assert {each.partition(".")[0] for each in public_api.modules()} == set(PACKAGES)
    assert len(public_api.modules()) > 30


NAMES = """
import importlib, sys
from inspect import ismodule
import public_api
public_api.set_django_up()
names = public_api.names()
print("public names", len(names))
for module in ("ddpcore", "ddpcore.bus", "ddpcore_tornado", "ddpcore_pg", "ddpcore_django",
               "ddpcore_django.api"):
    for each in importlib.import_module(module).__all__:
        if not public_api.is_public(f"{module}.{each}"):
            print(f"{module}.{each} is on no page of docs/reference/api")
for path in names:
    module, _, each = path.rpartition(".")
    if each not in importlib.import_module(module).__all__:
        print(f"{path} is not in __all__ of {module}")
for line in sys.stdin.read().split():
    where, path = line.rsplit("=", 1)
    try:
        value = public_api.load(path)
    except (AttributeError, ImportError):
        if where.startswith("import:"):
            print(f"{where}: there is no {path}")
        continue
    # In the text the name of a module is that of its logger, or says where something is.
    if not public_api.is_public(path) and (where.startswith("import:") or not ismodule(value)):
        print(f"{where}: {path} is not public")
"""


def test_the_public_names_are_those_of_the_pages_and_no_page_tells_of_others() -> None:
    told = {f"import:{where}={path}" for where, path in imported()}
    told |= {f"{where}={path}" for where, path in spoken_of()}
    assert len(told) > 100
    done = subprocess.run(
        [sys.executable, "-c", NAMES],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(SUPPORT)])},
        input="\n".join(sorted(told)),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, *problems = done.stdout.splitlines()
    assert first.startswith("public names ")
    assert problems == [], "\n".join(problems)


def imported() -> Iterator[tuple[str, str]]:
    """What the code of the documentation and of the examples takes from our packages: each place
    with a dotted path.
    """
    for page in PAGES:
        for block in pages.blocks(page, "python"):
            for path in _taken(ast.parse(block.text)):
                yield str(block), path
    for file in sorted((ROOT / "examples").rglob("*.py")):
        for path in _taken(ast.parse(file.read_text())):
            yield name(file), path


def _taken(tree: ast.Module) -> Iterator[str]:
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _is_ours(alias.name):
                    top = alias.name.partition(".")[0]
                    known[alias.asname or top] = alias.name if alias.asname else top
                    yield alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and _is_ours(node.module):
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            if first in known and re.fullmatch(r"[\w.]+", rest):
                yield f"{known[first]}.{rest}"


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def spoken_of() -> Iterator[tuple[str, str]]:
    """What pages name in backticks, as a path."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for path in re.findall(rf"`[^`\n]*?\b((?:{'|'.join(PACKAGES)})(?:\.\w+)+)[^`\n]*`", text):
            yield name(page), path


# --- __all__ --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_says_what_it_offers(path: Path) -> None:
    tree = ast.parse(path.read_text())
    offered = next(
        (
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            and "__all__" in public_api.targets(node)
            and node.value is not None
        ),
        None,
    )
    assert offered is not None, "it has no __all__"
    # Constants, then classes, then functions, as ruff has it (RUF022).
    assert offered == sorted(
        offered, key=lambda each: (not each.isupper(), each[0].islower(), each)
    )
    defined, bound = set(), set()
    for node in public_api.statements(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            defined.add(node.name)
        bound.update(public_api.targets(node))
        if isinstance(node, ast.ImportFrom):
            bound.update(alias.asname or alias.name for alias in node.names)
    assert set(offered) - defined - bound == set(), "it offers what it does not have"
    hidden = {each for each in defined - set(offered) if not each.startswith("_")}
    assert hidden == set(), "put these into __all__, or an underscore before them"


@pytest.mark.parametrize("package", PACKAGES)
def test_names_that_are_imported_late_are_seen_by_dir(package: str) -> None:
    module = __import__(package)
    assert set(module.__all__) <= set(dir(module))


def test_all_packages_are_typed() -> None:
    assert [each for each in PACKAGES if not (ROOT / each / "py.typed").exists()] == []
