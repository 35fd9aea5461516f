"""Pieces of TypeScript's syntax, as text. Types of several lines are written at the left margin."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

__all__ = [
    "WIDTH",
    "array",
    "comment",
    "function",
    "identifier",
    "indented",
    "key",
    "literal",
    "member",
    "type_name",
    "union",
]

WIDTH = 100
"""Columns of a line; what is longer is broken."""

_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)

# What no parameter can be called in strict code (ECMA-262, 12.7.2 and 13.1.1), as far as Python
# lets a parameter be called so; and `this`, which means something else there.
_RESERVED = frozenset((
    "arguments", "await", "case", "catch", "const", "debugger", "default", "delete", "do", "enum",
    "eval", "export", "extends", "false", "function", "implements", "instanceof", "interface",
    "let", "new", "null", "package", "private", "protected", "public", "static", "super", "switch",
    "this", "throw", "true", "typeof", "var", "void", "yield",
))  # fmt: skip

# What no interface can be called, and what declarations use themselves.
_TYPES = frozenset((
    "any", "bigint", "boolean", "never", "null", "number", "object", "string", "symbol",
    "undefined", "unknown", "void",
    "Array", "Collections", "Date", "Methods", "Partial", "Publications", "Record", "RegExp",
    "Uint8Array",
))  # fmt: skip


def literal(value: str | float | bool | None) -> str:
    """The type of just this value. JSON is also JavaScript, line separators included (ES2019)."""
    return json.dumps(value)


def key(name: str) -> str:
    """The name of a member of an object type; quoted if it has to be."""
    return name if _IDENTIFIER.fullmatch(name) else literal(name)


def identifier(name: str, taken: Iterable[str] = ()) -> str:
    """A parameter's name, like `name` and none of those that are taken."""
    made = re.sub(r"[^\w$]", "_", name) or "_"
    while made in _RESERVED or made in taken:
        made += "_"
    return made


def type_name(wanted: str, taken: Iterable[str]) -> str:
    """A type's name, like `wanted` and none of those that are taken."""
    made = base = re.sub(r"[^\w$]", "", wanted).lstrip("0123456789") or "Type"
    number = 1
    while made in _TYPES or made in _RESERVED or made in taken:
        number += 1
        made = f"{base}{number}"
    return made


def union(alternatives: Sequence[str]) -> str:
    """A type that is one of these; `null` and `undefined` stand last."""
    if not alternatives:
        return "never"
    if "unknown" in alternatives:
        return "unknown"
    last = ("null", "undefined")
    ordered = sorted(dict.fromkeys(alternatives), key=lambda each: each in last)
    return " | ".join(ordered)


def array(alternatives: Sequence[str]) -> str:
    """A list whose items are one of these."""
    item = union(alternatives)
    return f"({item})[]" if " | " in item else f"{item}[]"


def member(name: str, type: str, *, optional: bool = False) -> str:  # noqa: A002
    """A member of an object type."""
    mark = "?" if optional else ""
    line = f"{key(name)}{mark}: {type};"
    parts = type.split(" | ")
    if len(line) + 4 <= WIDTH or "\n" in type or any(part.count('"') == 1 for part in parts):
        return line
    return f"{key(name)}{mark}:{''.join(f'{chr(10)}  | {part}' for part in parts)};"


def function(parameters: Sequence[str], result: str, *, used: int = 0) -> str:
    """A function type; `used` columns of its first line are."""
    line = f"({', '.join(parameters)}) => {result}"
    if not parameters or (used + len(line.partition("\n")[0]) < WIDTH):
        return line
    lines = "".join(f"\n  {indented(each)}," for each in parameters)
    return f"({lines}\n) => {result}"


def comment(text: str) -> str:
    """A comment for editors to show, with the line's end; nothing if there is no text."""
    words = " ".join(text.replace("*/", "*\\/").split())
    if not words:
        return ""
    if len(words) + 12 <= WIDTH:
        return f"/** {words} */\n"
    lines, line = [], ""
    for word in words.split(" "):
        if line and len(line) + len(word) + 8 > WIDTH:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".lstrip()
    return "/**\n" + "".join(f" * {each}\n" for each in [*lines, line]) + " */\n"


def indented(text: str) -> str:
    """The same two columns to the right, but for the first line."""
    return text.replace("\n", "\n  ")
