"""The wheel holds what it should and nothing else, and says the truth about it."""

from __future__ import annotations

import configparser
import email.parser
import email.policy
import os
import re
import shutil
import site
import subprocess
import sys
import urllib.request
import venv
import zipfile
from email.message import Message
from pathlib import Path

import pytest

import ddpcore

ROOT = Path(__file__).parents[1]
PACKAGES = ["ddpcore", "ddpcore_tornado", "ddpcore_pg", "ddpcore_django"]
EXAMPLE = "ddpcore_django/bookstore_example"
# Never wanted, wherever they lie: what is left behind by those who ran the example.
JUNK = [
    "examples/bookstore/bookstore.sqlite3",
    "examples/bookstore/bookstore.sqlite3-wal",
    "examples/bookstore/bookstore/__pycache__/views.cpython-311.pyc",
    "ddpcore/__pycache__/bus.cpython-311.pyc",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel of a copy of this clone, in which somebody has run the example."""
    clone = tmp_path_factory.mktemp("clone")
    ignore = shutil.ignore_patterns("__pycache__", "*.sqlite3*", "node_modules")
    for folder in [*PACKAGES, "examples"]:
        shutil.copytree(ROOT / folder, clone / folder, ignore=ignore)
    for file in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        if (ROOT / file).exists():
            shutil.copy(ROOT / file, clone)
    for junk in JUNK:
        (clone / junk).parent.mkdir(exist_ok=True)
        (clone / junk).write_bytes(b"junk")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"],
        cwd=clone,
        # Reproducible, and proof that nothing is read from this clone by way of the import path.
        env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000", "PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (clone / "dist").glob("*.whl")
    assert wheel.name == f"ddpcore-{ddpcore.__version__}-py3-none-any.whl"
    return zipfile.ZipFile(wheel)


@pytest.fixture(scope="module")
def names(built: zipfile.ZipFile) -> set[str]:
    return set(built.namelist())


def read(built: zipfile.ZipFile, file: str) -> str:
    return built.read(f"ddpcore-{ddpcore.__version__}.dist-info/{file}").decode()


@pytest.fixture(scope="module")
def metadata(built: zipfile.ZipFile) -> Message:
    parser = email.parser.Parser(policy=email.policy.compat32)
    return parser.parsestr(read(built, "METADATA"))


def files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".sqlite3" not in path.name
    }


def test_it_holds_the_four_packages_and_no_other(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names} == {
        *PACKAGES,
        f"ddpcore-{ddpcore.__version__}.dist-info",
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_it_holds_every_file_of_a_package(names: set[str], package: str) -> None:
    there_are = {f"{package}/{name}" for name in files(ROOT / package)}
    held = {name for name in names if name.startswith(f"{package}/")}
    assert {name for name in held if not name.startswith(EXAMPLE)} == there_are
    assert f"{package}/py.typed" in held


def test_it_holds_the_example_with_its_pages(names: set[str]) -> None:
    held = {name.removeprefix(f"{EXAMPLE}/") for name in names if name.startswith(EXAMPLE)}
    assert held == files(ROOT / "examples" / "bookstore")
    assert {Path(name).suffix for name in held} >= {".py", ".js", ".css", ".svg", ".html"}


def test_it_holds_no_junk(names: set[str]) -> None:
    junk = ("__pycache__", ".pyc", ".sqlite3", "node_modules")
    assert [name for name in names if any(each in name for each in junk)] == []


def test_it_announces_the_command_and_the_plugins(built: zipfile.ZipFile) -> None:
    announced = configparser.ConfigParser()
    announced.read_string(read(built, "entry_points.txt"))
    assert {section: dict(announced[section]) for section in announced.sections()} == {
        "console_scripts": {"ddpcore": "ddpcore.cli:main"},
        "ddpcore": {
            "tornado": "ddpcore_tornado.plugin",
            "pg": "ddpcore_pg.plugin",
            "django": "ddpcore_django.plugin",
            "accounts": "ddpcore_django.accounts.plugin",
        },
        "pytest11": {"ddpcore": "ddpcore.testing.pytest_plugin"},
    }


USES_FIXTURES = """
import ddpcore

def test_add(ddp, ddp_clock):
    server = ddpcore.Server(clock=ddp_clock)
    server.method("add")(lambda ctx, a, b: a + b)
    client = ddp.connect(server)
    assert ddp.run(client.call("add", 1, 2)) == 3
"""


@pytest.mark.parametrize(("option", "word"), [("-q", "1 passed"), ("-pno:ddpcore", "1 error")])
def test_pytest_finds_its_fixtures(
    built: zipfile.ZipFile, tmp_path: Path, option: str, word: str
) -> None:
    built.extractall(tmp_path / "site")
    (tmp_path / "test_it.py").write_text(USES_FIXTURES)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-Werror",
            "-c/dev/null",
            "--rootdir=.",
            option,
            "test_it.py",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert word in done.stdout, done.stdout + done.stderr


def test_programs_of_its_users_are_checked_by_its_types(
    built: zipfile.ZipFile, tmp_path: Path
) -> None:
    venv.create(tmp_path / "env", with_pip=False)
    (installed,) = (tmp_path / "env").glob("lib/python*/site-packages")
    built.extractall(installed)
    # What it needs is here; of ddpcore itself nothing, but for where the clone is.
    (installed / "needed.pth").write_text("\n".join(site.getsitepackages()))
    (tmp_path / "user").mkdir()
    program = Path(shutil.copy(ROOT / "tests" / "support" / "typed_user.py", tmp_path / "user"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file=",
            f"--cache-dir={tmp_path / 'cache'}",
            f"--python-executable={tmp_path / 'env' / 'bin' / 'python'}",
            program.name,
        ],
        cwd=program.parent,
        env={key: value for key, value in os.environ.items() if "PATH" not in key or key == "PATH"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.stdout.startswith("Success"), done.stdout + done.stderr


def test_it_says_what_it_is(metadata: Message) -> None:
    assert metadata["Name"] == "ddpcore"
    assert metadata["Version"] == ddpcore.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text()


def test_it_needs_little_and_offers_extras(metadata: Message) -> None:
    needed = metadata.get_all("Requires-Dist", [])
    without_extra = {each.split("<")[0].split(">")[0] for each in needed if "extra ==" not in each}
    assert without_extra == {"msgspec", "pluggy", "ujson"}
    extras = set(metadata.get_all("Provides-Extra", []))
    assert extras >= {"tornado", "pg", "django", "all", "test"}
    # Django would silently prefer it to psycopg2.
    assert not [each for each in needed if each.split("[")[0].split(">")[0] == "psycopg"]


def test_it_carries_the_licence(built: zipfile.ZipFile) -> None:
    assert read(built, "licenses/LICENSE") == (ROOT / "LICENSE").read_text()


def test_the_demo_runs_from_it(built: zipfile.ZipFile, tmp_path: Path) -> None:
    built.extractall(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "ddpcore", "demo", "--bind", "127.0.0.1:0"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            address = next(
                found[0] for line in process.stdout if (found := re.search(r"http://\S+", line))
            )
            for path in ("", "shop", "static/bookstore/ddp.js"):
                with urllib.request.urlopen(address + path, timeout=30) as answer:
                    assert answer.status == 200
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert process.returncode == 0
    assert set(files(tmp_path)) == set(built.namelist())  # nothing is written where it is installed
