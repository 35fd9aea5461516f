"""docs/tutorial: `scripts/tutorial` does it as it is printed; and this can fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import CHROMIUM
from pages import blocks
from terminal import Mismatch, Terminal, matches

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial"
PAGES = sorted(TUTORIAL.glob("*.md"))
PICTURES = sorted((ROOT / "docs" / "images").glob("tutorial-*.png"))
NEEDED = ["openssl", "createdb", "psql", "/usr/sbin/nginx", str(CHROMIUM)]


@pytest.mark.index
@pytest.mark.browser
@pytest.mark.pg
@pytest.mark.timeout(500)
def test_it_is_done_as_printed() -> None:
    if lacking := [each for each in NEEDED if shutil.which(each) is None]:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"not found: {', '.join(lacking)}")
    done, output = run("scripts/tutorial", timeout=450)
    if done and re.search(r"\$ pip install (.*\n)+ERROR: ", output) and not os.environ.get("CI"):
        pytest.skip(f"pip finds not all that is needed: {output}")
    assert done == 0, output
    told = re.search(r"^Done as printed: (.*), in \d+ s\.$", output, re.MULTILINE)
    assert told, output
    counts = dict(reversed(each.split()) for each in told[1].split(", "))
    assert int(counts["files"]) == sum(each.language != "console" for each in of_pages())
    assert int(counts["commands"]) == sum(
        not command.startswith("sudo ")
        for each in of_pages()
        if each.language == "console"
        for command, _ in each.commands
    )
    assert int(counts["pictures"]) == len(PICTURES)


def of_pages() -> list:
    return [each for page in PAGES if page.name != "index.md" for each in blocks(page)]


def run(*command: str, timeout: float) -> tuple[int, str]:
    """The exit code and the output. A script that takes too long may still clean up."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except BaseException:
            process.terminate()
            print(process.communicate(timeout=40)[0])
            raise
    return process.returncode, output


def test_every_picture_is_shown_and_small() -> None:
    shown = {
        name
        for page in PAGES
        for name in re.findall(
            r"^!\[[^]]+\]\(\.\./images/([\w-]+\.png)\)$", page.read_text(), re.MULTILINE
        )
    }
    assert shown == {each.name for each in PICTURES}
    assert shown
    assert [each.name for each in PICTURES if each.stat().st_size > 80_000] == []


def test_it_takes_less_than_an_hour() -> None:
    minutes = re.findall(r"(\d+) minutes$", (TUTORIAL / "index.md").read_text(), re.MULTILINE)
    assert len(minutes) == len(PAGES) - 1
    assert sum(map(int, minutes)) <= 60


# --- what prints is compared ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "printed", "same"),
    [
        ("one\n", "one\n", True),
        ("one\n", "two\n", False),
        ("", "one\n", False),
        ("one\n", "one\ntwo\n", False),
        ("one\n...\n", "one\n", True),
        ("one\n...\n", "one\ntwo\nthree\n", True),
        ("...\nthree\n", "one\ntwo\nthree\n", True),
        ("Python 3...\n", "Python 3.11.7\n", True),
        ("Python 3...\n", "Python 2.7\n", False),
        ("in ... s\n", "in 3 s", True),
    ],
)
def test_dots_stand_for_anything(page: str, printed: str, same: bool) -> None:
    assert matches(page, printed) is same


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, os.environ)
    yield terminal
    terminal.close()


def test_a_terminal_remembers_where_it_is(terminal: Terminal, tmp_path: Path) -> None:
    terminal.run("mkdir below", "")
    terminal.run("cd below", "")
    terminal.run("pwd", f"{tmp_path}/below\n")


def test_other_output_than_the_page_has_is_told(terminal: Terminal) -> None:
    with pytest.raises(Mismatch, match=r"two\n\n.*is not what the page has:\none"):
        terminal.run("echo two", "one\n")


def test_a_command_that_should_print_nothing_and_fails_is_told(terminal: Terminal) -> None:
    with pytest.raises(Mismatch, match="ended with 3"):
        terminal.run("(exit 3)", "")


def test_a_command_goes_on_until_ctrl_c(terminal: Terminal) -> None:
    terminal.start("cat <(echo one) -", "one\n")
    terminal.interrupt()
    terminal.run("echo two", "two\n")


def test_pieces_of_lines_and_of_characters_are_put_together(terminal: Terminal) -> None:
    # It is cat that prints: a shell told by Ctrl-C between two commands may start the next one.
    pieces = r"printf '\342'; sleep 0.2; printf '\234\223 o'; sleep 0.2; echo ne"
    terminal.start(f"cat <({pieces}) -", "✓ o...\n")
    terminal.interrupt()
    terminal.run("echo two", "two\n")


def test_a_command_that_should_go_on_and_ends_is_told(terminal: Terminal) -> None:
    with pytest.raises(Mismatch, match="The command ended"):
        terminal.start("echo one", "two\n")
