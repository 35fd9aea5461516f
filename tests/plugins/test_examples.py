"""The examples of plugins are what others could have written: small, public names only, installed.

Each is a package with a `pyproject.toml` (built by hatchling, with an extra `test`), a `README.md`
and `tests/`. Their own tests run where nothing but wheels is installed.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from example_plugins import EXAMPLES, Installed

MOST_LINES = 200
MOST_LINES_OF_COMMANDS = 50  # what adds commands to the command line is counted apart

SOURCES = sorted(path.parent for path in EXAMPLES.glob("*/pyproject.toml"))
each_example = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)


def project(source: Path) -> dict:
    return tomllib.loads((source / "pyproject.toml").read_text())["project"]


def modules(source: Path) -> Iterator[Path]:
    """The files of its package, without those of its tests."""
    for path in source.rglob("*.py"):
        if path.relative_to(source).parts[0] != "tests":
            yield path


def lines_of_code(path: Path) -> int:
    """Lines that are neither empty nor a comment nor of a docstring."""
    text = path.read_text()
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                lines[number - 1] = ""
    return len([line for line in lines if line.strip() and not line.strip().startswith("#")])


@each_example
def test_it_is_small_and_explained(source: Path) -> None:
    sizes = {path.name: lines_of_code(path) for path in modules(source)}
    assert sizes
    assert sizes.pop("plugin.py", 0) < MOST_LINES_OF_COMMANDS
    assert sum(sizes.values()) < MOST_LINES, sizes
    assert (source / "README.md").read_text().startswith(f"# {project(source)['name']}\n")


def imports_of_ours(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Modules of ddpcore that are imported, and the names that are taken of them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.name, "") for each in node.names if each.name.startswith("ddpcore"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ddpcore"):
            yield from ((str(node.module), each.name) for each in node.names)


@each_example
def test_it_uses_public_names_only(source: Path) -> None:
    own = {path.stem for path in modules(source)} | {path.parent.name for path in modules(source)}
    for path in source.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for module, name in imports_of_ours(tree):
            if module.partition(".")[0] in own:  # that of the example, which may be so called
                continue
            assert not any(part.startswith("_") for part in module.split(".")), f"{path}: {module}"
            public = importlib.import_module(module).__all__ if name else [name]
            assert name in public, f"{path}: {module}.{name} is not in __all__"
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                whose = ast.unparse(node.value)
                dunder = node.attr.startswith("__") and node.attr.endswith("__")
                assert dunder or whose in ("self", "cls"), f"{path}: {whose}.{node.attr}"


LIST_PLUGINS = """
import importlib.util, json, sys
from ddpcore.plugins import plugin_manager
print(json.dumps([[name for name, _ in plugin_manager(()).list_name_plugin()],
                  importlib.util.find_spec("ddpcore").origin]))
"""


@pytest.mark.index
@pytest.mark.timeout(600)
@each_example
def test_it_is_found_by_its_entry_point(
    source: Path, installed: Callable[[Path], Installed]
) -> None:
    example = installed(source)
    names, origin = json.loads(example.run("-c", LIST_PLUGINS))
    announced = project(source)["entry-points"]["ddpcore"]
    assert announced
    assert set(announced) <= set(names)
    assert Path(origin).is_relative_to(example.python.parents[1])


@pytest.mark.index
@pytest.mark.timeout(600)
@each_example
def test_its_own_tests_pass(source: Path, installed: Callable[[Path], Installed]) -> None:
    told = installed(source).run("-m", "pytest", "-q", "-ra", "tests", seconds=300)
    assert " passed" in told, told
    lacks = re.findall(r"^SKIPPED .*", told, re.MULTILINE)
    if lacks and not os.environ.get("CI"):  # a program that is not installed, such as redis-server
        pytest.skip("; ".join(sorted(set(lacks))))
    assert not lacks
