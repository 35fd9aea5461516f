"""docs/reference/errors.md names all that a client can be told: what the code says is searched for.

A call with a code and a text beside it (`MeteorError(404, "…")`, `close(1001, "…")`,
`_refuse(503, "…")`) tells a client something, whatever the function is called.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text()
PACKAGES = ("ddpcore", "ddpcore_django", "ddpcore_pg", "ddpcore_tornado")

# What is for tests, or for servers that we are the client of; and demo and bookstore.
NOT_SERVED = (
    "ddpcore/testing/",
    "ddpcore/client/",
    "ddpcore_tornado/shell/",
    "ddpcore_tornado/client.py",
)

# Reasons that the code takes from elsewhere, with where that is.
ELSEWHERE = {
    (403, "Must be logged in"),  # guards.Refused
    (403, "Access denied"),
    (403, "Username already exists."),  # signup._unique
    (403, "Email already exists."),
    (403, "Something went wrong. Please check your credentials."),  # attempts.ambiguous
    (1008, "Too slow: nothing was taken for … s"),  # machine._give_up
    (404, "Nothing here. DDP clients connect to /websocket or, with SockJS, /sockjs."),  # serve
    (405, ""),  # set_status, without a text
}
MADE_AT_RUN_TIME = {(1008, "…"), (500, "")}
"""What the search finds for some of these."""


@cache
def trees() -> list[ast.Module]:
    return [
        ast.parse(path.read_text())
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if not str(path.relative_to(ROOT)).startswith(NOT_SERVED)
    ]


def called(call: ast.Call) -> str:
    """The last part of the name of what is called; to write all of it out takes seconds."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def constants(tree: ast.Module) -> dict[str, Any]:
    found = {}
    for each in tree.body:
        if isinstance(each, ast.Assign | ast.AnnAssign) and isinstance(each.value, ast.Constant):
            target = each.targets[0] if isinstance(each, ast.Assign) else each.target
            found[ast.unparse(target)] = each.value.value
    return found


def text(node: ast.expr, known: dict[str, Any]) -> str | None:
    """A text as far as it is known before the program runs; None if it is none."""
    match node:
        case ast.Constant(value=str() as value):
            return value.strip("\n")
        case ast.Constant(value=bytes() as value):
            return value.decode().strip("\n")
        case ast.Constant():
            return None
        case ast.JoinedStr(values=values):
            return "".join(
                each.value if isinstance(each, ast.Constant) else "…" for each in values
            ).strip("\n")
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return str(known.get(name, "…")).strip("\n")
    return "…"


def told() -> set[tuple[int | str, str]]:
    """All codes, each with its text."""
    modules = trees()
    everywhere = {key: value for tree in modules for key, value in constants(tree).items()}
    found: set[tuple[int | str, str]] = set()
    for tree in modules:
        known = everywhere | constants(tree)
        for call in (each for each in ast.walk(tree) if isinstance(each, ast.Call)):
            name = called(call)
            for place, argument in enumerate(call.args[:-1]):
                code = argument.value if isinstance(argument, ast.Constant) else None
                if isinstance(argument, ast.Name):
                    code = known.get(argument.id)
                if type(code) is int and 400 <= code < 5000 and name not in ("range", "datetime"):
                    said = [text(each, known) for each in call.args[place + 1 :]]
                    # In an answer that is written by hand the status line's phrase comes first.
                    said = said[1:] if len(said) == 2 and name == "_refuse" else said
                    if said[0] is not None:
                        found.add((code, said[0]))
            if name == "MeteorError" and call.args:
                code = text(call.args[0], known)
                if code not in (None, "…"):
                    found.add((code, "…" if call.args[1:] else ""))
            if name == "ambiguous":
                reason, *codes = (text(each, known) for each in call.args)
                if reason != "…":
                    found.add((codes[0] if codes else 403, reason))
    return found


def rows() -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if line.startswith("| ") and not line.startswith(("| code", "| reason"))
    ]


def named() -> set[tuple[int | str, str]]:
    found: set[tuple[int | str, str]] = set()
    for code, reason, *_ in (row for row in rows() if len(row) > 2):
        found.add((int(code) if code.isdecimal() else code.strip("`"), reason.strip("`")))
    return found


def test_every_code_and_reason_is_there() -> None:
    page, code = named(), told() | ELSEWHERE
    code -= MADE_AT_RUN_TIME
    assert sorted(map(str, code - page)) == []
    assert sorted(map(str, page - code)) == []
    assert len(code) > 60


def test_every_message_that_is_not_understood_is_there() -> None:
    said = set()
    for tree in trees():
        for call in (each for each in ast.walk(tree) if isinstance(each, ast.Call)):
            if called(call) in ("error", "Malformed") and ast.unparse(call.func) in (
                "messages.error",
                "Malformed",
            ):
                said.add(text(call.args[0], {}))
    page = {reason.strip("`") for reason, *more in rows() if len(more) == 1}
    assert page == said


def test_every_row_says_when() -> None:
    for row in rows():
        assert len(row[0]) > 2
        assert len(row) in (2, 3, 4)
    assert not re.findall(r"^\| \d+ \| [^`|\s]", PAGE, re.MULTILINE)
