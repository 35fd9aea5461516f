"""docs/how-to/publications.md, followed step by step."""

from pathlib import Path

from follow import Follower, bookstore


def test_the_page(tmp_path: Path) -> None:
    Follower(bookstore(tmp_path)).follow("how-to/publications.md")
