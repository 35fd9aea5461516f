"""Whether the links within a built site lead somewhere: to a file that is there, and its anchor."""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["dead_links"]


class _Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {"", "top"}
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what leads on, and what can be led to."""
        for name, value in attrs:
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value or "")
            elif name in ("href", "src") and value is not None:
                self.links.append(value)


_read = cache(_Page)


def dead_links(site: Path) -> list[str]:
    """The links that lead nowhere, each with its page.

    Args:
        site: The directory of the HTML. Links to other sites are not looked at.
    """
    dead = []
    for path in sorted(site.rglob("*.html")):
        for link in _read(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path
            if parts.path:
                target = (path.parent / unquote(parts.path)).resolve()
            there = target.is_relative_to(site.resolve()) and target.is_file()
            if there and parts.fragment and target.suffix == ".html":
                there = unquote(parts.fragment) in _read(target.resolve()).anchors
            if not there:
                dead.append(f"{path.relative_to(site)}: {link}")
    return dead
