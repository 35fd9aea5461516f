"""What of the documentation is generated is what the code says now; links of the built site lead on.

`scripts/reference` makes the regions; here it is run as a process of its own, as CONTRIBUTING.md
says, but in the environment of the tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"


def reference(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-Werror", "-m", "_reference", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "scripts")])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The pages, to be broken."""
    ignored = shutil.ignore_patterns("_build", "*.png", "*.webp")
    return Path(shutil.copytree(DOCS, tmp_path / "docs", ignore=ignored))


def test_nothing_is_stale() -> None:
    done = reference("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout, done.stderr) == ("", "")


def test_what_is_stale_is_told_and_mended(copy: Path) -> None:
    page = copy / "reference" / "settings.md"
    good = page.read_text()
    page.write_text(good.replace("| `THREADS` | `8` |", "| `THREADS` | `9` |"))
    (copy / "reference" / "cli.md").write_text(
        (REFERENCE / "cli.md").read_text().replace("--workers N ", "--worker N ")
    )
    done = reference("--check", "--docs", copy)
    assert done.returncode == 1
    assert re.findall(r"(\w+\.md): (.*)", done.stdout) == [
        ("cli.md", "commands, manage.py-ddp"),
        ("settings.md", "settings-django"),
    ]
    assert "run python3 scripts/reference" in done.stdout
    assert "`THREADS` | `9`" in page.read_text()  # nothing was written

    assert reference("--docs", copy).returncode == 0
    assert page.read_text() == good
    assert reference("--check", "--docs", copy).returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("<!-- generated: metrics -->", "<!-- generated: metric -->", "nothing makes the region"),
        ("<!-- end -->", "", "does not end"),
        ("generated: metrics -->", "was: metrics -->", "No page has the region metrics."),
    ],
)
def test_marks_that_are_wrong_are_told(copy: Path, old: str, new: str, says: str) -> None:
    page = copy / "reference" / "metrics.md"
    page.write_text(page.read_text().replace(old, new, 1))
    done = reference("--docs", copy)
    assert done.returncode == 1
    assert says in done.stderr


def rows(page: str, region: str) -> list[list[str]]:
    """The cells of a generated table."""
    (found,) = re.findall(
        rf"<!-- generated: {region} -->\n(.*?)<!-- end -->",
        (REFERENCE / page).read_text(),
        re.DOTALL,
    )
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in found.splitlines()]
    return [[cell.strip() for cell in line] for line in lines[2:]]


def test_every_row_says_something() -> None:
    tables = 0
    for page in REFERENCE.glob("*.md"):
        for region in re.findall(
            r"<!-- generated: (settings-[\w-]+|metrics) -->", page.read_text()
        ):
            if region != "settings-server-keys":
                tables += 1
                table = rows(page.name, region)
                assert table
                assert [row[0] for row in table if len(row[-1]) < 5] == []
    assert tables > 10


def test_every_check_has_its_id_and_advice() -> None:
    for region, module in (
        ("system-checks", "checks.py"),
        ("system-checks-accounts", "accounts/checks.py"),
    ):
        source = (ROOT / "ddpcore_django" / module).read_text()
        table = rows("checks.md", region)
        assert {row[0].strip("`") for row in table} == set(
            re.findall(r'id="(ddpcore\.[EW]\d+)"', source)
        )
        assert all(meaning and advice for _, meaning, advice in table)


def test_every_line_of_check_has_a_row() -> None:
    from ddpcore.checks import ORDER

    page = (REFERENCE / "checks.md").read_text().partition("## `ddpcore check`")[2]
    named = re.findall(r"^\| `(\w+)` \|.* \| \S.* \|$", page, re.MULTILINE)
    assert named == ["options", *ORDER]


def test_every_variable_of_the_environment_is_there() -> None:
    used = set()
    for package in ("ddpcore", "ddpcore_django", "ddpcore_pg", "ddpcore_tornado"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            used |= set(
                re.findall(r'^[A-Z_]+ = "((?:DDPCORE|METEOR)_[A-Z_]+)"', text, re.MULTILINE)
            )
            assert not re.findall(r'environ(?:\.get\(|\[)"(?:DDPCORE|METEOR)_', text), path
    assert {row[0].strip("`") for row in rows("settings.md", "settings-environment")} == used | {
        "AUTOUPDATE_VERSION"
    }
    assert len(used) > 4


def test_every_setting_of_django_with_a_name_of_its_own_is_there() -> None:
    page = (REFERENCE / "settings.md").read_text()
    for path in (ROOT / "ddpcore_django").rglob("*.py"):
        for name in re.findall(r'getattr\(settings, "((?:DDP|METEOR)_\w+)"', path.read_text()):
            assert f"| `{name}` |" in page


def test_the_command_line_is_complete() -> None:
    page = (REFERENCE / "cli.md").read_text()
    sections = dict(re.findall(r"^## `(.*?)`\n\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    listed = re.findall(
        r"^    (\w[\w-]*) ", page.partition("\ncommands:\n")[2].partition("```")[0], re.MULTILINE
    )
    assert {f"ddpcore {each}" for each in listed} | {
        "manage.py ddp",
        "manage.py ddp_triggers",
    } == set(sections)
    assert len(listed) >= 8
    for name, text in sections.items():
        assert re.match(r"[A-Z`].*\.", text), name
        assert f"usage: {name} " in text
    for name in ("serve", "check", "demo", "explain", "plugins", "call", "sub", "load", "types"):
        assert f"\n    ddpcore {name} " in sections[f"ddpcore {name}"]  # an example


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["plugins"], 0),
        (["--version"], 0),
        (["serve"], 2),
        (["serve", "--workers", "many"], 2),
        (["check", "--settings", "no.such"], 2),
        (["call", "127.0.0.1:9", "echo"], 2),
    ],
)
def test_exit_codes(command: list[str], code: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ddpcore", *command],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert f"\n| {code} | " in (REFERENCE / "cli.md").read_text()


def test_examples_of_the_command_line_are_good() -> None:
    """They can be parsed: their options exist."""
    from ddpcore import cli

    page = (REFERENCE / "cli.md").read_text()
    examples = re.findall(r"^    ddpcore (.*)$", page, re.MULTILINE)
    assert len(examples) >= 8
    for example in examples:
        with pytest.raises(SystemExit) as ended:
            cli.main([*example.split(), "--help"])
        assert ended.value.code == 0, example
        for option in re.findall(r"--[\w-]+", example):
            assert option in page


def test_links_of_a_site_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from _links import dead_links

    (tmp_path / "inner").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="inner/a%20b.html#two">good</a> <a href="#here">good</a><p id="here">'
        '<a href="https://example.org/none">elsewhere</a> <img src="picture.png">'
        '<a href="inner/a%20b.html#three">no anchor</a> <a href="page.md">no page</a>'
        '<a href="../outside.html">outside</a>'
    )
    (tmp_path / "inner" / "a b.html").write_text('<h2 id="two">2</h2><a href="../index.html#here">')
    assert dead_links(tmp_path) == [
        "index.html: picture.png",
        "index.html: inner/a%20b.html#three",
        "index.html: page.md",
        "index.html: ../outside.html",
    ]
