"""From docstrings to Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

__all__ = ["UNITS", "fenced", "first_line", "link", "section", "table", "with_unit"]

UNITS = (
    "bytes",
    "connections",
    "days",
    "frames",
    "labels",
    "messages",
    "names",
    "paths",
    "proxies",
    "requests",
    "seconds",
    "sessions",
    "subscriptions",
    "threads",
)
"""The text of a quantity begins with its unit: "Seconds between two pings"."""


def section(documented: object, title: str) -> dict[str, str]:
    """The entries of a section of a docstring in Google's style, ``Args:`` or another; in Markdown.

    Args:
        documented: Whose docstring; or the docstring.
        title: Of the section, without its colon.
    """
    text = documented if isinstance(documented, str) else inspect.getdoc(documented) or ""
    found = re.search(
        rf"^{title}:\n((?:[ ]+.*\n|\n)*)", f"{inspect.cleandoc(text)}\n", re.MULTILINE
    )
    if found is None:
        return {}
    entries: dict[str, list[str]] = {}
    entry: list[str] = []
    for line in found[1].splitlines():
        if begins := re.match(r" {4}([\w.*-]+): (.*)", line):
            entry = entries.setdefault(begins[1], [])
            entry.append(begins[2])
        elif line.strip():
            entry.append(line.strip())
    return {name: markdown(" ".join(lines)) for name, lines in entries.items()}


def markdown(text: str) -> str:
    """What docstrings mark as reStructuredText does, as Markdown does."""
    return text.replace("``", "`")


def first_line(documented: object) -> str:
    """The first sentence of a docstring, without its full stop."""
    text = documented if isinstance(documented, str) else inspect.getdoc(documented) or ""
    return markdown(" ".join(text.split("\n\n")[0].split())).removesuffix(".")


def with_unit(text: str) -> tuple[str, str]:
    """The unit of a quantity, and the rest of its text; no unit if there is none."""
    word, space, rest = text.partition(" ")
    for unit in UNITS:
        if space and word.lower() == unit:
            return unit, rest
    return "", text


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = ["|" + "---|" * len(heads)]
    for cells in (heads, *rows):
        escaped = (each.replace("|", "\\|") for each in cells)
        lines.append("|" + "".join(f" {each} |" if each else " |" for each in escaped))
    lines[:2] = reversed(lines[:2])
    return "\n".join(lines)


def fenced(text: str, language: str = "text") -> str:
    """A block of text as it is."""
    return f"```{language}\n{text.rstrip()}\n```"


def link(text: str, target: str) -> str:
    """A link."""
    return f"[{text}]({target})"
