"""Pages of the documentation as what a reader makes of them: files, and commands with outputs.

A block whose first line is a comment with nothing but a path is that file: ``# shop/models.py``,
``// web/main.ts``, ``<!-- shop/templates/shop.html -->``. With ``, at the end`` behind the path it is
added to that file. In a block of ``console``, lines with ``$ `` are commands, and those below one
are what it prints.

A test opens its page with `reading`, takes each block and does with it what a reader would. A block
that was not taken fails the test, and a page of docs/how-to or docs/tutorial that no test opens
fails test_claims.py::

    with reading("how-to/nginx.md") as page:
        write(page.files(), tmp_path)
        for block in page.take("console"):
            for command, output in block.commands: ...
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_PATH = re.compile(r"(?:#|//|/\*|<!--)\s+(\S*[\w-](?:\.\w+|/)?[\w.-]*)\s*(?:\*/|-->)?\n")
_AT_THE_END = re.compile(r"(?:#|//)\s+(\S+), at the end\n")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of code; `line` is that of its first line in the page, from 1."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        page = self.page
        return f"{page.relative_to(ROOT) if page.is_relative_to(ROOT) else page}:{self.line}"

    @property
    def path(self) -> str | None:
        """That of the file, if the block is one."""
        found = _PATH.match(self.text)
        if not found or not re.search(r"[./]", found[1]):
            return None
        return found[1].removeprefix("./")

    @property
    def end_of(self) -> str | None:
        """The path of the file that the block is to be added to, if it is such a block."""
        found = _AT_THE_END.match(self.text)
        return found[1] if found else None

    @property
    def body(self) -> str:
        """The file without the line of its path."""
        return self.text.partition("\n")[2] if self.path or self.end_of else self.text

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Each command with what it prints."""
        return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", self.text, re.MULTILINE)

    def code(self) -> Any:
        """Compiled Python, with the page's own line numbers, for tracebacks."""
        return compile("\n" * (self.line - 1) + self.text, str(self.page), "exec")


def blocks(page: Path | str, language: str | None = None) -> list[Block]:
    """The blocks of a page (a path, or one below docs/), of one language or of all."""
    page = DOCS / page
    text = page.read_text()
    found = [
        Block(page, text[: each.start()].count("\n") + 2, each[1], each[2])
        for each in re.finditer(r"^```(\S*)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        if not each[1].startswith("{")  # what indices have for Sphinx
    ]
    return [each for each in found if language in (None, each.language)]


def files(page: Path | str) -> dict[str, str]:
    """The files of a page, path and text; a file that is shown twice is what it was at last."""
    return {each.path: each.body for each in blocks(page) if each.path}


def write(files: dict[str, str], directory: Path) -> None:
    """Put files into a directory."""
    for path, text in files.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


class Reading:
    """A page in the hands of a test, which has to take each block of it.

    Args:
        page: Its path, or that below docs/.
        languages: Those that this test is for, if others see to the other blocks.
    """

    def __init__(self, page: Path | str, *languages: str) -> None:
        self.blocks = [each for each in blocks(page) if not languages or each.language in languages]
        self._left = list(self.blocks)

    def take(self, *languages: str) -> list[Block]:
        """The blocks of these languages, or all."""
        taken = [each for each in self.blocks if not languages or each.language in languages]
        self._left = [each for each in self._left if each not in taken]
        return taken

    def files(self) -> dict[str, str]:
        """The blocks that are files, path and text."""
        found = [each for each in self.blocks if each.path]
        self._left = [each for each in self._left if each not in found]
        return {str(each.path): each.body for each in found}

    @property
    def left(self) -> list[str]:
        """What nobody has taken."""
        return [str(each) for each in self._left]


@contextmanager
def reading(page: Path | str, *languages: str) -> Iterator[Reading]:
    """Open a page; in the end, no block of it may be left."""
    it = Reading(page, *languages)
    yield it
    assert it.left == [], "Blocks that no test runs"
