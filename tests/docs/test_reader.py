"""The reader of tests/support/reader.py notices what a page says and is not so."""

from __future__ import annotations

from pathlib import Path

import pytest
from reader import Reader

BEGUN = "ddpcore 1, bus memory:. Ctrl-C stops."


def read(place: Path, text: str, **options: object) -> Reader:
    """Read a page of this text, to its end and without any complaint."""
    page = place / "page.md"
    page.write_text(text)
    (place / "project").mkdir()
    with Reader(place / "project", stays={"bash stays.sh": ""}, **options) as reader:
        reader.read(str(page))
    return reader


def console(text: str) -> str:
    return f"```console\n{text}\n```\n"


def stays(script: str, shown: str) -> str:
    return f"```bash\n# stays.sh\n{script}\n```\n\n" + console(f"$ bash stays.sh\n{shown}")


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("echo a; echo b; echo c", "a\nb\nc"),
        ("echo a; echo b; echo c", "a\n...\nc"),
        ("echo a; echo c", "a\n...\nc"),
        ("echo a; echo b; echo c", "a\n..."),
        ("echo one two three", "one ... three"),
        ("echo one two three", "one … three"),
        ("echo a \\\n    b", "a b"),
        ("printf a", "a"),
        ("echo localhost:8000", "localhost:8000"),
    ],
)
def test_what_is_so(tmp_path: Path, command: str, shown: str) -> None:
    read(tmp_path, console(f"$ {command}\n{shown}"))


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("echo a; echo b", "a"),
        ("echo a", "a\nb"),
        ("echo a; echo b", "a…"),
        ("echo a; echo b", "a..."),
        ("echo 1x2", "1.2"),
        ("echo a; echo d", "a\n...\nc"),
        ("echo a", ""),
    ],
)
def test_what_is_not_so(tmp_path: Path, command: str, shown: str) -> None:
    with pytest.raises(AssertionError):
        read(tmp_path, console(f"$ {command}\n{shown}".rstrip()))


@pytest.mark.parametrize("block", ["echo a\na", "# a comment\n$ echo a\na"])
def test_every_line_belongs_to_a_command(tmp_path: Path, block: str) -> None:
    with pytest.raises(AssertionError, match="no command"):
        read(tmp_path, console(block))


def test_a_block_that_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="neither a file nor commands"):
        read(tmp_path, "```python\nprint()\n```\n")


def test_files_are_made_and_added_to(tmp_path: Path) -> None:
    page = (
        "```python\n# a/b.py\none = 8000\n```\n\n```python\n# a/b.py, at the end\ntwo = 2\n```\n\n"
    )
    reader = read(tmp_path, page)
    text = (tmp_path / "project" / "a" / "b.py").read_text()
    assert text == f"one = {reader.ports['8000']}\n\n\ntwo = 2\n"


def test_what_a_server_says_later(tmp_path: Path) -> None:
    read(
        tmp_path, stays(f"echo '{BEGUN}'; sleep 0.1; echo later; exec sleep 60", f"{BEGUN}\nlater")
    )


@pytest.mark.parametrize("late", ["other", r"later\nERROR: no", r"later\nTraceback"])
def test_what_a_server_should_not_say(tmp_path: Path, late: str) -> None:
    # It says all of that, though it may be ended as soon as what the page shows is there.
    script = rf"trap '' TERM; echo '{BEGUN}'; printf '{late}\nthe last\n'"
    with pytest.raises(AssertionError, match="the last"):
        read(tmp_path, stays(script, f"{BEGUN}\nlater"))


def test_a_server_that_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Address in use"):
        read(tmp_path, stays("echo Address in use", BEGUN))


READY = '{"msg":"ready"}'
# A command of this name, so that it is taken as one that goes on.
SUBSCRIPTION = "ddpcore() {{ shift; printf '%s\\n' {}; }}; ddpcore sub AllBooks"


@pytest.mark.parametrize(
    ("told", "good"),
    [
        (f"'{READY}' b a", True),
        (f"'{READY}' a b", True),
        (f"'{READY}' c a b", False),
        (f"'{READY}' a c", False),
    ],
)
def test_what_a_subscription_is_told(tmp_path: Path, told: str, good: bool) -> None:
    page = console(f"$ {SUBSCRIPTION.format(told)}\n{READY}\na\nb")
    if good:
        read(tmp_path, page)
    else:
        with pytest.raises(AssertionError, match="AllBooks"):
            read(tmp_path, page)


def test_text_is_what_a_command_has_printed(tmp_path: Path) -> None:
    command = SUBSCRIPTION.format(f"'{READY}' a")
    read(tmp_path, console(f"$ {command}\n{READY}") + "\n```text\na\n```\n")
