"""Documents as tables of text, as wide and as high as there is room. It knows no terminal."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ddpcore.wire import ejson
from ddpcore_tornado.shell.output import printable

__all__ = ["cell", "cut", "render", "width_of"]

WIDEST = 40
"""Columns of text that a value may take: more is seldom read, and hides other fields."""

NARROWEST = 8
"""A column is not squeezed further: rather fewer fields, of which one can see something."""

GAP = "  "
BOLD, DIM, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"

Documents = Mapping[str, Mapping[str, Any]]


def render(
    collections: Mapping[str, Documents], width: int, height: int | None, *, colour: bool = False
) -> list[str]:
    """The lines of a picture.

    Args:
        collections: Collection → id → fields.
        width: Columns of the terminal.
        height: Lines there are; None: as many as it takes.
        colour: Whether bold and dim text is understood.
    """
    shown = {name: documents for name, documents in collections.items() if documents}
    rows = _shares([len(documents) for documents in shown.values()], height)
    lines: list[str] = []
    for (name, documents), count in zip(shown.items(), rows, strict=True):
        if count is None:
            continue
        if lines:
            lines.append("")
        lines += _table(name, documents, width, count, colour=colour)
    left = sum(count is None for count in rows)
    if left:
        lines.append(
            _styled(cut(f"… {left} more collection{'s' if left != 1 else ''}", width), DIM, colour)
        )
    return lines if height is None else lines[:height]


def _shares(counts: Sequence[int], height: int | None) -> list[int | None]:
    """How many documents of each collection are shown; None: not even its heading."""
    if height is None:
        return list(counts)
    # A collection takes a heading, the names of its fields, and an empty line above.
    whole = min(len(counts), max(1, (height + 1) // 4))
    room = height + 1 - 3 * whole - (len(counts) > whole)
    shares: list[int | None] = [None] * len(counts)
    # The smallest first: what they leave, the others get.
    for done, at in enumerate(sorted(range(whole), key=lambda at: counts[at])):
        fair = max(0, room // (whole - done))
        # Where not all fit, one line is for saying how many more there are.
        shares[at] = counts[at] if counts[at] <= fair else max(0, fair - 1)
        room -= min(counts[at], fair)
    return shares


def _table(name: str, documents: Documents, width: int, count: int, *, colour: bool) -> list[str]:
    shown = list(documents.items())[:count]
    fields = _fields(documents)
    rows = [["id", *map(printable, fields)]]
    for key, document in shown:
        values = (cell(document[each]) if each in document else "" for each in fields)
        rows.append([printable(key), *values])
    widths = _widths(rows, width - len(GAP))
    number = f"{len(documents):,} document{'s' if len(documents) != 1 else ''}"
    hidden = len(fields) + 1 - len(widths)
    more = f", {hidden} more field{'s' if hidden != 1 else ''}" if hidden else ""
    heading = cut(f"{printable(name)} · {number}{more}", width)
    lines = [_styled(heading, BOLD, colour)]
    for at, row in enumerate(rows):
        texts = [_padded(text, wide) for text, wide in zip(row, widths, strict=False)]
        line = GAP + GAP.join(texts).rstrip()
        lines.append(_styled(line, DIM, colour) if at == 0 else line)
    if len(documents) > len(shown):
        rest = cut(f"{GAP}… {len(documents) - len(shown):,} more", width)
        lines.append(_styled(rest, DIM, colour))
    return lines


def _fields(documents: Documents) -> list[str]:
    """The fields, first those that most documents have."""
    held = Counter(field for document in documents.values() for field in document)
    return [field for field, _ in held.most_common()]


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """How wide the columns are; fewer than there are fields, if there is no room for all."""
    natural = [min(WIDEST, max(map(width_of, column))) for column in zip(*rows, strict=True)]
    while len(natural) > 1 and _least(natural) > width:
        natural.pop()
    while _total(natural) > width and max(natural) > 1:
        widest = natural.index(max(natural))
        natural[widest] -= 1
    return natural


def _least(widths: Sequence[int]) -> int:
    return _total([min(each, NARROWEST) for each in widths])


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def cell(value: Any) -> str:
    """A value in one line: text as it is, all else as JSON, times as ISO 8601 has them."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, datetime):
        text = value.isoformat(" ", "milliseconds" if value.microsecond else "seconds")
        return text.replace("+00:00", "Z")
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    return printable(json.dumps(ejson.encode(value), ensure_ascii=False))


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int) -> str:
    """As much of a text as fits, and an ellipsis where it is not all."""
    if width_of(text) <= width:
        return text
    taken, room = [], width - 1
    for char in text:
        room -= _width(char)
        if room < 0:
            break
        taken.append(char)
    return "".join(taken) + "…" if width > 0 else ""


def _padded(text: str, width: int) -> str:
    text = cut(text, width)
    return text + " " * (width - width_of(text))


def _styled(text: str, style: str, colour: bool) -> str:
    return f"{style}{text}{PLAIN}" if colour else text
