"""Who may import whom: the packages of this distribution keep to their borders."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STDLIB = set(sys.stdlib_module_names)
ALLOWED = {
    "ddpcore": {"ddpcore", "pluggy", "ujson", "msgspec"},
    "ddpcore_tornado": {"ddpcore_tornado", "ddpcore", "pluggy", "ujson", "msgspec", "tornado"},
    "ddpcore_pg": {"ddpcore_pg", "ddpcore", "pluggy", "ujson", "msgspec", "psycopg2"},
    "ddpcore_django": {
        "ddpcore_django", "ddpcore_pg", "ddpcore_tornado", "ddpcore",
        "pluggy", "ujson", "msgspec", "django", "psycopg2", "tornado",
    },
}  # fmt: skip
# Tests that others may run on their own classes need what tests need.
TESTING = {"pytest", "hypothesis"}
# Each exporter is loaded by those who have what it exports to.
EXPORTED = {
    "ddpcore/exporters/prometheus.py": {"prometheus_client"},
    "ddpcore/exporters/otel.py": {"opentelemetry"},
}
# What stands for a whole package at its border.
OPEN = {"ddpcore_tornado": {"ddpcore_tornado.plugin"}}


def sources() -> Iterator[tuple[str, Path]]:
    for package in ALLOWED:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield package, path


def imported(path: Path) -> Iterator[str]:
    """The modules a file imports, anywhere in it, for type checkers or not."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    ("package", "path"), list(sources()), ids=lambda it: str(it).removeprefix(f"{ROOT}/")
)
def test_a_module_imports_only_what_its_package_may(package, path):
    allowed = ALLOWED[package] | STDLIB
    if (ROOT / "ddpcore/testing") in path.parents:
        allowed |= TESTING
    allowed |= EXPORTED.get(str(path.relative_to(ROOT)), set())
    for module in imported(path):
        top = module.partition(".")[0]
        assert top in allowed, f"{package} must not import {module}"
        if top != package and top in OPEN:
            modules = OPEN[top]
            assert any(f"{module}.".startswith(f"{each}.") for each in modules), module


@pytest.mark.parametrize(
    "module",
    ["ddpcore", "ddpcore.cli", "ddpcore_tornado.plugin", "ddpcore_pg.plugin", "ddpcore_django.plugin"],
)  # fmt: skip
def test_plugins_load_without_what_they_plug_in(module):
    code = f"import sys, {module}; print(*({{'tornado', 'psycopg2', 'django'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == []
