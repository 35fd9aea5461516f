"""`ddpcore port-django-ddp`, as it is run."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pages

PAGE = "coming-from/django-ddp.md"
OLD = "from dddp.api import API\n"
NEW = "from ddpcore_django import API\n"


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What its user runs; standard error is within the output, as in a terminal."""
    return subprocess.run(
        [sys.executable, "-Werror", "-m", "ddpcore", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(pages.ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )


def port(*arguments: object, cwd: Path) -> tuple[int, str]:
    done = run("port-django-ddp", *arguments, cwd=cwd)
    return done.returncode, done.stdout


def test_the_page_shows_what_it_prints(tmp_path: Path) -> None:
    pages.write(pages.files(PAGE), tmp_path)
    (block,) = pages.blocks(PAGE, "console")
    for command, output in block.commands:
        program, *arguments = shlex.split(command)
        assert program == "ddpcore"
        # The file on the page has its path in its first line.
        assert run(*arguments, cwd=tmp_path).stdout == output


def test_it_writes_when_told_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(OLD)
    (tmp_path / "a.py").chmod(0o750)
    (tmp_path / "b.py").write_text("x = 1\n")
    code, said = port(".", cwd=tmp_path)
    assert (code, said.splitlines()[-1]) == (
        1,
        "1 file to rewrite (--write does it), 0 left to you",
    )
    assert (tmp_path / "a.py").read_text() == OLD
    assert port("--write", ".", cwd=tmp_path) == (
        0,
        "rewritten: a.py\n1 file rewritten, 0 left to you\n",
    )
    assert (tmp_path / "a.py").read_text() == NEW
    assert (tmp_path / "a.py").stat().st_mode & 0o777 == 0o750
    assert port(tmp_path, cwd=tmp_path) == (
        0,
        "0 files to rewrite (--write does it), 0 left to you\n",
    )
    assert {each.name for each in tmp_path.iterdir()} == {"a.py", "b.py"}


def test_bytes_that_are_not_rewritten_stay(tmp_path: Path) -> None:
    sources = {
        "latin.py": b"# coding: latin-1\r\nx = '\xe9'\r\nfrom dddp.api import API\r\n",
        "bom.py": b"\xef\xbb\xbffrom dddp.api import API  # \xc3\xa9\n",
        "end.py": b"\ffrom dddp.api import API",
    }
    for name, data in sources.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "link.py").symlink_to("end.py")
    assert port("--write", ".", cwd=tmp_path)[0] == 0
    for name, data in sources.items():
        assert (tmp_path / name).read_bytes() == data.replace(b"dddp.api", b"ddpcore_django")
    assert (tmp_path / "link.py").is_symlink()


def test_lines_are_those_of_the_file_that_it_has_written(tmp_path: Path) -> None:
    text = "import dddp\ndddp.greenify()\nfrom dddp import this\nprint(this.request)\n"
    (tmp_path / "a.py").write_text(text)
    assert "a.py:4: this.request: " in port("a.py", cwd=tmp_path)[1]
    code, said = port("--write", "a.py", cwd=tmp_path)
    assert (code, "a.py:2: this.request: " in said) == (1, True)
    assert "a.py:2: this.request: " in port("a.py", cwd=tmp_path)[1]


def test_other_files_are_only_read(tmp_path: Path) -> None:
    files = {
        "Procfile": "web: dddp 0.0.0.0:8000\n",
        "requirements.txt": "Django\ndjango-ddp==0.19.1\n",
        "deploy/app.service": "\nEnvironment=AID_MIGRATE_STEP=1\n",
        "client/.meteor/packages": "tysonclugg:accounts-secure\n",
        "old.py": "import dddp\nprint 'x'\n",
        "other.py": "print 'x'\n",
        "data.csv": "dddp\n",
        ".venv/pyvenv.cfg": "",
        "venv2/pyvenv.cfg": "",
        "venv2/a.py": OLD,
        ".git/a.py": OLD,
        "node_modules/a.py": OLD,
    }
    pages.write(files, tmp_path)
    code, said = port("--write", ".", cwd=tmp_path)
    assert code == 1
    assert [line.split(": ")[0] for line in said.splitlines()[:-1]] == [
        "Procfile:1",
        "old.py:2",
        "requirements.txt:2",
        "client/.meteor/packages:1",
        "deploy/app.service:2",
    ]
    assert said.endswith("0 files rewritten, 5 left to you\n")
    for name, text in files.items():
        assert (tmp_path / name).read_text() == text


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    code, said = port("no.py", cwd=tmp_path)
    assert code not in (0, 1)
    assert "no.py cannot be read: No such file or directory." in said
    assert "Traceback" not in said


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    # There is no room in the name for what is written beside it first; root is stopped, too.
    name = f"{'a' * 247}.py"
    (tmp_path / name).write_text(OLD)
    code, said = port("--write", name, cwd=tmp_path)
    assert code == 2
    assert f"{name} cannot be written: File name too long." in said
    assert (tmp_path / name).read_text() == OLD


def test_it_needs_neither_django_nor_settings(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(OLD)
    code = (
        "import sys\nfrom ddpcore import cli\n"
        "assert cli.main(['port-django-ddp', '--write', 'a.py']) == 0\n"
        "assert not {'django', 'tornado', 'psycopg2'} & set(sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(pages.ROOT)},
        check=True,
        timeout=60,
    )
    assert (tmp_path / "a.py").read_text() == NEW
