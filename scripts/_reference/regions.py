"""The marked regions of pages, and their replacement."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["Maker", "update"]

Maker = Callable[[], str]
"""Makes the text of a region, without a newline at its end."""

_REGION = re.compile(r"<!-- generated: ([\w.-]+) -->\n(.*?)<!-- end -->", re.DOTALL)
_BEGIN = re.compile(r"<!-- generated:")


def update(
    docs: Path, makers: Mapping[str, Maker], files: Mapping[str, Maker], *, write: bool
) -> dict[Path, list[str]]:
    """Put into the pages what the makers say.

    Args:
        docs: The directory of the pages.
        makers: By the names of regions.
        files: Those of whole files, by their paths in the directory.
        write: Whether to write; otherwise only to compare.

    Returns:
        The pages that were not as they should be, each with the names of the regions.
    """
    stale: dict[Path, list[str]] = {}
    for name, maker in files.items():
        file, made_anew = docs / name, maker()
        if not file.exists() or file.read_text() != made_anew:
            stale[file] = ["the whole file"]
            if write:
                file.write_text(made_anew)
    used: set[str] = set()
    for page in sorted(docs.rglob("*.md")):
        if "_build" in page.parts:
            continue
        text = page.read_text()
        if len(_BEGIN.findall(text)) != len(_REGION.findall(text)):
            sys.exit(f"{page}: a generated region does not end, or a marker is misspelt.")
        changed: list[str] = []

        def made(region: re.Match[str], page: Path = page, changed: list[str] = changed) -> str:
            name, old = region[1], region[2]
            if name not in makers:
                sys.exit(f"{page}: nothing makes the region {name!r}.")
            used.add(name)
            new = makers[name]() + "\n"
            if new != old:
                changed.append(name)
            return f"<!-- generated: {name} -->\n{new}<!-- end -->"

        new_text = _REGION.sub(made, text)
        if changed:
            stale[page] = changed
            if write:
                page.write_text(new_text)
    if unused := sorted(makers.keys() - used):
        sys.exit(f"No page has the region {', '.join(unused)}.")
    return stale
