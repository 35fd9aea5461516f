"""docs/how-to/publications.md, followed step by step."""

from pathlib import Path

from reader import Reader, bookstore


def test_the_page(tmp_path: Path) -> None:
    with Reader(bookstore(tmp_path)) as reader:
        reader.read("how-to/publications.md")
