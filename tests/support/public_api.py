"""What is public: the names that the pages of docs/reference/api document, read from these pages.

A page names modules, and where a module has more than is public, names. Whatever autodoc makes of
``automodule`` and ``autoclass`` with their ``:members:`` and ``:exclude-members:`` is public, and
nothing else is.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference" / "api"
PACKAGES = ("ddpcore", "ddpcore_tornado", "ddpcore_pg", "ddpcore_django")

_DIRECTIVE = re.compile(
    r"^\.\. (auto\w+|currentmodule):: (\S+)\n((?:   :.*\n(?:       .*\n)*)*)", re.MULTILINE
)
_OPTION = re.compile(r"^   :([\w-]+):((?:.*\n)(?:       .*\n)*)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Directive:
    """One of autodoc's in a page."""

    page: Path
    kind: str
    target: str
    options: dict[str, tuple[str, ...]]

    def __str__(self) -> str:
        return f"{self.page.name}: {self.kind}:: {self.target}"


@cache
def directives() -> tuple[Directive, ...]:
    """All directives of all pages; targets are whole paths."""
    found = []
    for page in sorted(PAGES.glob("*.md")):
        for kind, target, rest in _DIRECTIVE.findall(page.read_text()):
            options = {
                name: tuple(each.strip() for each in text.split(",") if each.strip())
                for name, text in _OPTION.findall(rest)
            }
            found.append(Directive(page, kind, target, options))
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class Name:
    """A public name of a module.

    `excluded` are names of members that the page leaves out; `members` those that it names, None
    for all.
    """

    path: str
    value: Any
    excluded: frozenset[str]
    members: frozenset[str] | None


def load(path: str) -> Any:
    """The object at a dotted path.

    Raises:
        AttributeError: There is none.
    """
    names = path.split(".")
    for count in range(len(names), 0, -1):
        try:
            value = importlib.import_module(".".join(names[:count]))
        except ModuleNotFoundError as problem:
            if not f"{'.'.join(names)}.".startswith(f"{problem.name}."):
                raise
            continue
        for each in names[count:]:
            value = getattr(value, each)
        return value
    raise AttributeError(path)


@cache
def modules() -> frozenset[str]:
    """The public modules."""
    return frozenset(each.target for each in directives() if each.kind == "automodule")


@cache
def names() -> dict[str, Name]:
    """The public names by path, such as ``ddpcore.Server``."""
    found: dict[str, Name] = {}
    for each in directives():
        excluded = frozenset(each.options.get("exclude-members", ()))
        if each.kind == "automodule":
            if "members" not in each.options:
                continue
            module = importlib.import_module(each.target)
            for name in each.options["members"] or module.__all__:
                if name not in excluded:
                    path = f"{each.target}.{name}"
                    assert path not in found, f"{each}: {path} is documented twice"
                    found[path] = Name(path, getattr(module, name), excluded, None)
        elif each.kind != "currentmodule":
            assert each.target not in found, f"{each}: it is documented twice"
            members: tuple[str, ...] | None = each.options.get("members", ("-",))
            found[each.target] = Name(
                each.target, load(each.target), excluded, frozenset(members or ()) or None
            )
    return found


def is_public(path: str) -> bool:
    """Whether a path leads to what is public: a name, a module or a package with such, or a name of
    a public module that is documented at another place.
    """
    if path in names() or any(f"{each}.".startswith(f"{path}.") for each in modules()):
        return True
    parent, _, name = path.rpartition(".")
    holder = load(parent)
    if not inspect.ismodule(holder):  # a class, whatever module it is taken from
        known = [each for each in names().values() if each.value is holder]
        return not name.startswith("_") and any(name not in each.excluded for each in known)
    module = holder.__name__  # `ddpcore.ejson` is called otherwise
    if f"{module}.{name}" in names():
        return True
    if module not in modules() or name not in holder.__all__:
        return False
    value = load(path)
    if inspect.ismodule(value):
        return value.__name__ in modules()
    return any(value is each.value for each in names().values())


# --- sources ------------------------------------------------------------------------------------


@cache
def tree_of(module: str) -> ast.Module:
    source = sys.modules.get(module) or importlib.import_module(module)
    assert source.__file__ is not None
    return ast.parse(Path(source.__file__).read_text())


def _is_true_of_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Those of a module, also under conditions."""
    for each in tree.body:
        if isinstance(each, ast.If):
            yield from (*each.body, *each.orelse)
        yield each


def targets(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Assign):
        return [each.id for each in node.targets if isinstance(each, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


@cache
def source_of(path: str) -> tuple[str, ast.stmt, str | None]:
    """The module where a name is defined, the statement, and the text below it if it is data."""
    module, _, name = path.rpartition(".")
    body = list(statements(tree_of(module)))
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = [ast.unparse(each) for each in node.decorator_list]
            if node.name == name and "overload" not in decorators:
                return module, node, ast.get_docstring(node)
        elif name in targets(node):
            return module, node, text_below(after)
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return source_of(f"{node.module}.{alias.name}")
    raise AssertionError(f"{module} does not define {name}")


def text_below(node: ast.stmt | None) -> str | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return inspect.cleandoc(str(node.value.value))
    return None


def is_made_by_others(text: str) -> bool:
    """Whether a class says in its docstring who makes its instances, and has no `Args:`.

    Then nobody else does, and its constructor is not public.
    """
    return re.search(r"\bmakes? one\b", text) is not None and "Args:\n" not in text


def set_django_up() -> None:
    """Some of the modules are Django's models: let them be imported."""
    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "ddpcore_django",
            "ddpcore_django.accounts",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    )
    django.setup()


def import_for_types() -> None:
    """Give modules also what they import for type checkers alone, so that annotations resolve."""
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] not in PACKAGES or not getattr(module, "__file__", None):
            continue
        for node in tree_of(name).body:
            if not (isinstance(node, ast.If) and _is_true_of_types(node.test)):
                continue
            for each in node.body:
                if isinstance(each, ast.ImportFrom) and each.module:
                    for alias in each.names:
                        value = getattr(importlib.import_module(each.module), alias.name)
                        setattr(module, alias.asname or alias.name, value)
