"""A text with places: edits by the positions that `ast` gives, everything else as it was."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Source"]


_END = re.compile(rb"\r\n|\r|\n")


class _Edit(NamedTuple):
    start: int
    end: int
    text: bytes


class Source:
    """The text of a Python file, its tree, and the edits that are to be made.

    Args:
        text: The text, with whatever ends of lines it has.

    Raises:
        SyntaxError: It is no Python 3.
    """

    def __init__(self, text: str) -> None:
        self.tree = ast.parse(text)
        self.parents = {
            child: parent
            for parent in ast.walk(self.tree)
            for child in ast.iter_child_nodes(parent)
        }
        self._data = text.encode()
        # As Python counts lines; str.splitlines() knows more ends of lines.
        self._starts = [0, *(each.end() for each in _END.finditer(self._data))]
        self._edits: list[_Edit] = []
        self.comments = _comments(text)

    def start(self, node: ast.expr | ast.stmt | ast.alias) -> int:
        """Where a node begins, in bytes of UTF-8."""
        return self._starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt | ast.alias) -> int:
        """Where it ends."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def of(self, start: int, end: int | None = None) -> str:
        """A part of the text."""
        return self._data[start:end].decode()

    def text_of(self, node: ast.expr | ast.stmt | ast.alias) -> str:
        """The text of a node."""
        return self.of(self.start(node), self.end(node))

    def replace(self, start: int, end: int, text: str) -> None:
        """Have a part replaced; parts must not overlap."""
        self._edits.append(_Edit(start, end, text.encode()))

    def line(self, node: ast.stmt) -> tuple[int, int] | None:
        """The lines of a statement, with their end, if nothing else but a comment is on them."""
        assert node.end_lineno is not None
        start = self._starts[node.lineno - 1]
        starts = [*self._starts, len(self._data)]
        end = starts[node.end_lineno]
        before, after = self.of(start, self.start(node)), self.of(self.end(node), end)
        if before.strip() or not re.fullmatch(r"\s*(#[^\r\n]*)?\s*", after):
            return None
        return start, end

    def is_alone(self, node: ast.stmt) -> bool:
        """Whether no other statement is on the lines of this one."""
        return self.line(node) is not None

    def newline(self) -> str:
        """What its lines end with."""
        found = _END.search(self._data)
        return found[0].decode() if found else "\n"

    def remove(self, statements: list[ast.stmt]) -> None:
        """Have statements removed, with their lines; a body that would be empty gets `pass`."""
        for node in statements:
            body = _body_of(self.parents[node], node)
            kept = [each for each in body if each not in statements]
            line = self.line(node)
            is_module = isinstance(self.parents[node], ast.Module)
            if line is not None and (kept or is_module or body[0] is not node):
                self.replace(*line, "")
            else:
                self.replace(self.start(node), self.end(node), "pass")

    @property
    def edited(self) -> bool:
        """Whether there are edits."""
        return bool(self._edits)

    def result(self) -> str:
        """The text with the edits.

        Raises:
            ValueError: Two of them are about the same part.
        """
        parts, done = [], 0
        for edit in sorted(self._edits):
            if edit.start < done:
                raise ValueError("Two edits overlap.")
            parts += [self._data[done : edit.start], edit.text]
            done = edit.end
        return b"".join([*parts, self._data[done:]]).decode()

    def lines_after(self) -> Callable[[int], int]:
        """Which line of the result a line becomes."""
        changes = []
        for start, end, text in self._edits:
            line = bisect_right(self._starts, start)
            more = len(_END.findall(text)) - len(_END.findall(self._data[start:end]))
            changes.append((line, more))

        def after(line: int) -> int:
            return line + sum(more for at, more in changes if at < line)

        return after


def _body_of(parent: ast.AST, node: ast.stmt) -> list[ast.stmt]:
    for _, value in ast.iter_fields(parent):
        if isinstance(value, list) and node in value:
            return value
    raise ValueError("no child of it")


def _comments(text: str) -> dict[int, str]:
    """The comments, by line."""
    read = io.StringIO(text, newline=None).readline
    return {
        token.start[0]: token.string
        for token in tokenize.generate_tokens(read)
        if token.type == tokenize.COMMENT
    }
