"""Dynamic imports: what ``import()`` fetches, many modules with one request."""

from __future__ import annotations

import json
from typing import Any

from ddpcore.meteor.bundle import Item, Program

__all__ = ["MAX_BODY", "PATH", "BadTree", "fetch"]

PATH = "/__meteor__/dynamic-import/fetch"

MAX_BODY = 1024 * 1024
"""Bytes a request may have: the names of some twenty thousand modules, more than any app has."""

MAX_DEPTH = 100
"""Directories within directories. Paths of files end sooner."""


class BadTree(Exception):
    """What was asked for is no tree of modules."""


def fetch(program: Program, body: bytes) -> bytes:
    """The modules that a request names, as JSON.

    Args:
        program: Where they come from.
        body: A tree in JSON: objects for directories, and 1 for each module that is wanted.

    Returns:
        The same tree with the texts of the modules. Those that there are not are left out, and so
        is each that comes a second time (`:` and `_` mean the same), so that an answer is never
        larger than the program (form: Meteor 3.0.4, `dynamic-import/server.js`).

    Raises:
        BadTree: It is too large, too deep, or something else.
    """
    if len(body) > MAX_BODY:
        raise BadTree("Too large")
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        raise BadTree("Not JSON") from None
    if not isinstance(tree, dict):
        raise BadTree("Not a tree")
    return json.dumps(_found(tree, "dynamic", dict(program.dynamic), MAX_DEPTH)).encode()


def _found(tree: dict[str, Any], path: str, left: dict[str, Item], depth: int) -> dict[str, Any]:
    if depth == 0:
        raise BadTree("Too deep")
    found: dict[str, Any] = {}
    for name, inner in tree.items():
        where = f"{path}/{name.replace(':', '_')}"
        if isinstance(inner, dict):
            found[name] = _found(inner, where, left, depth - 1)
        elif inner != 1:
            raise BadTree("Neither a directory nor 1")
        elif (item := left.pop(where, None)) is not None and (text := _read(item)) is not None:
            found[name] = text
    return found


def _read(item: Item) -> str | None:
    try:
        content = item.file.read_bytes()
    except OSError:  # the bundle has been replaced
        return None
    return content.decode("utf-8", "replace") if len(content) == item.size else None
