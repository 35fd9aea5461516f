"""What the docstring of something public must say, in Google's style.

- There is one: of every module, class, function, method, property, attribute and constant.
- Every argument is described: in `Args:`, which is complete where there is one; or, of at most two,
  in backticks in the text. Those of a constructor stand in the docstring of the class. What hooks
  have in common stands in the docstring of their module.
- What is given is described: in `Returns:` or `Yields:`, or by a first sentence that is its name
  ("The rows that …", "Whether …") or says that it is made ("Make …").
- What the function itself raises is in `Raises:`.
- A number of seconds, bytes or anything is said to be one.
- What overrides a described method need not say again what the other says.
- Nothing is described that is not there.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import enum
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from public_api import (
    PACKAGES,
    ROOT,
    Name,
    is_made_by_others,
    load,
    names,
    set_django_up,
    source_of,
    targets,
    text_below,
    tree_of,
)

Function = ast.FunctionDef | ast.AsyncFunctionDef

_SECTION = re.compile(
    r"^(Args|Attributes|Returns|Yields|Raises):\n((?:(?:    .*)?\n)*)", re.MULTILINE
)
_ITEM = re.compile(r"^    (\*{0,2}[\w.]+): ?((?:.*\n)(?:(?:      .*)?\n)*)", re.MULTILINE)

# A first sentence, or a part of it behind a colon or a semicolon, that says what is given.
_GIVES = re.compile(
    r"(?:^|[;:] )(?:The|Its|Their|An?|All|Any|Each|Those|One|Some|So many|Whether|What|Which|How"
    r"|Who|Where|When|Why|Text|Seconds|Bytes|Row key|Word|None|None of|Entries|Checks|Keys"
    r"|Return|Give|Make|Read|Copy|Ask (?:the database )?for|Decorate)\b",
    re.IGNORECASE,
)
_UNITS = (
    (
        re.compile(r"timeout|interval|period|delay|patience|seconds|spread|drain|^(when|now)$"),
        re.compile(r"seconds?\b|\bms\b|\btime\b", re.IGNORECASE),
        "seconds",
    ),
    (
        re.compile(r"size|bytes|high_water|upload"),
        re.compile(r"\b(?:bytes?|characters?|messages)\b", re.IGNORECASE),
        "bytes",
    ),
    (
        re.compile(r"limit|max_|count|threads|number|^n$"),
        re.compile(r"how (?:many|often)|number|\b\w+s\b", re.IGNORECASE),
        "what is counted",
    ),
)


class Docstring:
    """A docstring, taken apart."""

    def __init__(self, text: str | None) -> None:
        self.text = inspect.cleandoc(text or "")
        self._sections = dict(_SECTION.findall(f"{self.text}\n"))
        self._prose = _SECTION.sub("", f"{self.text}\n")

    def has(self, section: str) -> bool:
        return section in self._sections

    def items(self, section: str) -> dict[str, str]:
        """The names of a section with their texts."""
        return {
            name.lstrip("*"): textwrap.dedent(text).strip()
            for name, text in _ITEM.findall(self._sections.get(section, ""))
        }

    def speaks_of(self, name: str) -> bool:
        return f"`{name}`" in self._prose

    def says_what_is_given(self) -> bool:
        first = self.text.split("\n\n")[0].replace("\n", " ")
        return self.has("Returns") or self.has("Yields") or _GIVES.search(first) is not None


def is_no_member(name: str) -> bool:
    """Whether what is so called in a class is left out of its page: the tests of a contract, and
    a plugin's implementations of hooks, which are described where the hooks are.
    """
    return name.startswith(("test_", "ddpcore_"))


def complaints(name: Name) -> Iterator[str]:
    """What is missing in the docstrings of a public name and of its members, or wrong."""
    module, node, below = source_of(name.path)
    found: Iterator[tuple[ast.AST, str, str]]
    if isinstance(node, ast.ClassDef):
        found = _Class(name, node, module).complaints()
    elif isinstance(node, Function):
        shared = _words(importlib.import_module(module).__doc__) if is_no_member(node.name) else ()
        found = ((node, node.name, each) for each in _of_function(node, module, None, shared))
    else:
        own = name.path.rpartition(".")[2]
        found = iter(() if below else [(node, own, "there is no docstring below it")])
    path = module.replace(".", "/")
    file = f"{path}.py" if (ROOT / f"{path}.py").exists() else f"{path}/__init__.py"
    for at, what, problem in found:
        yield f"{file}:{getattr(at, 'lineno', 0)}: {what}: {problem}"


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(re.findall(r"`(\w+)`", text or ""))


class _Class:
    def __init__(self, name: Name, node: ast.ClassDef, module: str) -> None:
        self.name = name
        self.cls: type = name.value
        self.node = node
        self.module = module
        self.doc = Docstring(self.cls.__dict__.get("__doc__"))
        self.constructor = _constructor(node) or _inherited_constructor(self.cls)
        # Fields of plain data are its arguments and its attributes.
        self.is_plain_data = (
            dataclasses.is_dataclass(self.cls)
            or hasattr(self.cls, "_fields")
            or issubclass(self.cls, enum.Enum)
        )

    def complaints(self) -> Iterator[tuple[ast.AST, str, str]]:
        if not self.doc.text:
            yield self.node, self.node.name, "there is no docstring"
        for problem in self._of_constructor():
            yield self.constructor or self.node, self.node.name, problem
        for at, problem in self._of_attributes():
            yield at, self.node.name, problem
        for each in self.node.body:
            if isinstance(each, Function) and self._is_public(each.name):
                if _has_decorator(each, "overload", "setter"):
                    continue
                contract = _contract(self.cls, each.name)
                for problem in _of_function(each, self.module, contract):
                    yield each, f"{self.node.name}.{each.name}", problem

    def _is_public(self, member: str) -> bool:
        if is_no_member(member) or (member.startswith("_") and member != "__call__"):
            return False
        named = self.name.members
        return member not in self.name.excluded and (named is None or member in named)

    def _of_constructor(self) -> Iterator[str]:
        params: dict[str, str] = {}
        hidden = self.is_plain_data or is_made_by_others(self.doc.text)
        if self.constructor is not None and not hidden:
            params = _params(self.constructor)
            attributes = self.doc.items("Attributes").keys()
            yield from _of_arguments(params, self.doc, attributes)
        if self.constructor is not None and not is_made_by_others(self.doc.text):
            for each in _raised(self.constructor, self.module):
                if not _is_told(each, self.doc, self.module):
                    yield f"it raises {each.__name__}, which is not in Raises"

    def _of_attributes(self) -> Iterator[tuple[ast.AST, str]]:
        attributes = _attributes(self.cls, self.node)
        described = self.doc.items("Attributes")
        for each in described:
            if each in self.name.excluded:
                yield self.node, f"it describes `{each}`, which its page leaves out"
            if each not in attributes and not _inherits(self.cls, each):
                yield self.node, f"it describes an attribute `{each}` that it does not have"
        for each, (at, annotation, below) in attributes.items():
            if not self._is_public(each):
                continue
            text = described.get(each) or self.doc.items("Args").get(each) or below
            if text and (problem := _unit(each, annotation, text)):
                yield at, problem
            if not text and not self.doc.speaks_of(each) and _contract(self.cls, each) is None:
                yield at, f"the attribute `{each}` is not described"


def _of_function(
    node: Function, module: str, contract: Any, shared: tuple[str, ...] = ()
) -> Iterator[str]:
    doc = Docstring(ast.get_docstring(node))
    if not doc.text:
        yield "there is no docstring"
        return
    if contract is None or doc.has("Args"):
        yield from _of_arguments(_params(node), doc, shared)
    returns = ast.unparse(node.returns) if node.returns else "None"
    needless = contract is not None or shared or _has_decorator(node, "property")
    if returns not in ("None", "NoReturn") and not needless and not doc.says_what_is_given():
        yield f"it gives {returns}; neither Returns: nor the first sentence says what that is"
    told = Docstring(getattr(contract, "__doc__", None))
    for each in _raised(node, module):
        if not _is_told(each, doc, module) and not _is_told(each, told, module):
            yield f"it raises {each.__name__}, which is not in Raises"
    for each in doc.items("Raises"):
        if _exception(each, module) is None:
            yield f"Raises names {each}, and there is no such exception"


def _of_arguments(params: dict[str, str], doc: Docstring, told: Any) -> Iterator[str]:
    described = doc.items("Args")
    may_be_in_prose = not described and len(params.keys() - set(told)) <= 2
    for each, annotation in params.items():
        if each in described:
            if problem := _unit(each, annotation, described[each]):
                yield problem
        elif each not in told and not (may_be_in_prose and doc.speaks_of(each)):
            yield f"the argument `{each}` is not described"
    for each in described:
        if each not in params:
            yield f"it describes an argument `{each}` that it does not have"


def _unit(name: str, annotation: str, text: str) -> str | None:
    if re.search(r"\b(?:int|float)\b", annotation):
        for kind, said, unit in _UNITS:
            if kind.search(name):
                return None if said.search(text) else f"`{name}` is a number: say of {unit}"
    return None


# --- what there is -------------------------------------------------------------------------------


def _params(node: Function) -> dict[str, str]:
    """Name → annotation."""
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    receiver = "cls" if _has_decorator(node, "classmethod") else "self"
    return {
        each.arg: ast.unparse(each.annotation) if each.annotation else ""
        for each in every
        if not each.arg.startswith("_") and each.arg != receiver
    }


def _constructor(node: ast.ClassDef) -> Function | None:
    own = {each.name: each for each in node.body if isinstance(each, Function)}
    return own.get("__init__") or own.get("initialize") or own.get("__post_init__")


def _inherited_constructor(cls: type) -> Function | None:
    for base in cls.__mro__[1:]:
        if base.__name__.startswith("_") and base.__module__.startswith(PACKAGES):
            node = source_of(f"{base.__module__}.{base.__name__}")[1]
            if isinstance(node, ast.ClassDef) and (found := _constructor(node)):
                return found
    return None


def _attributes(cls: type, node: ast.ClassDef) -> dict[str, tuple[ast.AST, str, str | None]]:
    """Name → where it is, its annotation, and the text below it."""
    found: dict[str, tuple[ast.AST, str, str | None]] = {}
    for each, after in zip(node.body, [*node.body[1:], None], strict=True):
        for target in targets(each):
            found[target] = (each, _annotation(each), text_below(after))
        if isinstance(each, Function) and _has_decorator(each, "property"):
            found[each.name] = (each, "", ast.get_docstring(each))
    constructor = _constructor(node)
    for each in ast.walk(constructor) if constructor is not None else ():
        if isinstance(each, ast.Assign | ast.AnnAssign):
            for name in re.findall(r"(?<![\w.])self\.(\w+)(?=[,)= ]|$)", _left_side(each)):
                found.setdefault(name, (each, _annotation(each), None))
    for slot in cls.__dict__.get("__slots__", ()):
        found.setdefault(slot, (node, "", None))
    return {key: value for key, value in found.items() if not key.startswith("_")}


def _left_side(node: ast.Assign | ast.AnnAssign) -> str:
    left = node.targets if isinstance(node, ast.Assign) else [node.target]
    return ", ".join(map(ast.unparse, left))


def _annotation(node: ast.AST) -> str:
    return ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""


def _inherits(cls: type, name: str) -> bool:
    return any(
        name in vars(base)
        or name in inspect.get_annotations(base)
        or name in Docstring(base.__doc__).items("Attributes")
        for base in cls.__mro__[1:]
    )


def _contract(cls: type, name: str) -> Any:
    """What it overrides, if that has a text, or is another library's."""
    for base in cls.__mro__[1:-1]:
        if not base.__module__.startswith(PACKAGES) and hasattr(base, name):
            return getattr(base, name)
        if name in Docstring(base.__doc__).items("Attributes"):
            return base
        if getattr(value := vars(base).get(name), "__doc__", None):
            return value
    return None


def _has_decorator(node: ast.stmt, *names: str) -> bool:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    told = [ast.unparse(each).split("(")[0].rpartition(".")[2] for each in decorators]
    return any(each in names for each in told)


# --- exceptions ----------------------------------------------------------------------------------


def _raised(node: Function, module: str) -> list[type]:
    """The exceptions that its own statements raise and do not catch."""
    found: list[type] = []

    def look(node: ast.AST, caught: tuple[type, ...]) -> None:
        if isinstance(node, Function | ast.Lambda):
            return
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            for each in _classes(raised, module):
                if not issubclass(each, (NotImplementedError, *caught)) and each not in found:
                    found.append(each)
        here = caught
        if isinstance(node, ast.Try):
            kinds = [each.type for each in node.handlers if each.type is not None]
            here += tuple(each for kind in kinds for each in _classes(kind, module))
        for each in ast.iter_child_nodes(node):
            look(each, here if isinstance(node, ast.Try) and each in node.body else caught)

    for each in node.body:
        look(each, ())
    return found


def _classes(node: ast.expr, module: str) -> list[type]:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    found = [_exception(ast.unparse(each), module) for each in parts]
    return [each for each in found if each is not None]


def _exception(name: str, module: str) -> type | None:
    scope = {**vars(builtins), **vars(importlib.import_module(module)), **_late_imports(module)}
    value = scope.get(name)
    if value is None and re.fullmatch(r"\w+(\.\w+)+", name):
        try:
            value = load(name)
        except (AttributeError, ImportError):
            return None
    return value if inspect.isclass(value) and issubclass(value, BaseException) else None


def _late_imports(module: str) -> dict[str, Any]:
    """What functions import when they are called."""
    return {
        alias.name: getattr(importlib.import_module(node.module), alias.name)
        for function in ast.walk(tree_of(module))
        if isinstance(function, Function)
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def _is_told(problem: type, doc: Docstring, module: str) -> bool:
    told = [_exception(each, module) for each in doc.items("Raises")]
    return any(each is not None and issubclass(problem, each) for each in told)


if __name__ == "__main__":
    set_django_up()
    for public in names().values():
        for complaint in complaints(public):
            print(complaint)
