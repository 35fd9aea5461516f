"""Which names of a Python file stand for something of django-ddp, or of its successor."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ddpcore_django.porting.edits import Source

__all__ = ["Binding", "Bindings", "Import", "Use"]

_PACKAGES = ("dddp", "ddpcore_django")
_NAMED = (
    ast.FunctionDef
    | ast.AsyncFunctionDef
    | ast.ClassDef
    | ast.ExceptHandler
    | ast.MatchAs
    | ast.MatchStar
)


class Import(NamedTuple):
    """What gives a name: a statement, the part of it, and what of which module that is."""

    node: ast.Import | ast.ImportFrom
    alias: ast.alias
    module: str


@dataclass
class Use:
    """An attribute of a bound module, or the bound name itself, somewhere in the file."""

    node: ast.expr
    name: str
    """What it is, qualified: ``dddp.api.Collection``."""


@dataclass
class Binding:
    """A local name that an import gives, perhaps in several places."""

    name: str
    stands_for: str
    imports: list[Import] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    ambiguous: bool = False
    """Whether it is also something else somewhere."""


class Bindings:
    """The bindings of a file.

    Args:
        source: The file.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.all: dict[str, Binding] = {}
        self.stars: list[ast.ImportFrom] = []
        for node in ast.walk(source.tree):
            self._import(node)
        for name in _names_bound_otherwise(source.tree):
            if name in self.all:
                self.all[name].ambiguous = True
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Name) and node.id in self.all:
                binding = self.all[node.id]
                binding.uses.append(self._use(binding, node))

    def name_of(self, node: ast.expr) -> str | None:
        """What an expression stands for, qualified, if that is known."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        binding = self.all.get(node.id)
        if binding is None or binding.ambiguous:
            return None
        return ".".join([binding.stands_for, *parts])

    def _import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _of_interest(alias.name):
                    plain = alias.name.partition(".")[0]
                    stands_for = alias.name if alias.asname else plain
                    self._bind(alias.asname or plain, stands_for, node, alias)
        elif isinstance(node, ast.ImportFrom) and not node.level and _of_interest(node.module):
            for alias in node.names:
                if alias.name == "*":
                    self.stars.append(node)
                else:
                    name = f"{node.module}.{alias.name}"
                    self._bind(alias.asname or alias.name, name, node, alias)

    def _bind(
        self, name: str, stands_for: str, node: ast.Import | ast.ImportFrom, alias: ast.alias
    ) -> None:
        binding = self.all.setdefault(name, Binding(name, stands_for))
        binding.imports.append(Import(node, alias, stands_for))
        if binding.stands_for != stands_for:
            binding.ambiguous = True

    def _use(self, binding: Binding, name: ast.Name) -> Use:
        node: ast.expr = name
        qualified = binding.stands_for
        while isinstance(parent := self._source.parents[node], ast.Attribute):
            node = parent
            qualified += f".{parent.attr}"
        return Use(node, qualified)


def _of_interest(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] in _PACKAGES


def _names_bound_otherwise(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, _NAMED) and node.name:
            yield node.name
        elif isinstance(node, ast.MatchMapping) and node.rest:
            yield node.rest
        elif isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names
        elif isinstance(node, ast.Import | ast.ImportFrom):
            ours = isinstance(node, ast.Import) or not node.level
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                module = node.module if isinstance(node, ast.ImportFrom) else alias.name
                if not (ours and _of_interest(module)):
                    yield name
