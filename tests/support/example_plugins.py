"""The example packages, installed as those who use them install them.

For each of them there is an environment of its own with the wheel of ddpcore that this tree makes,
the wheel of the example and what its tests need, and nothing of the tree itself. It is made once in
a run. Packages come from whatever index pip uses.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "plugins"
JUNK = shutil.ignore_patterns("__pycache__", ".*", "dist", "build", "*.egg-info")


def run(*command: object, cwd: Path, seconds: float) -> str:
    """Run a program that shall know nothing of this tree; what it prints."""
    shown = " ".join(map(str, command))
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env={
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("PYTHON", "PYTEST_", "VIRTUAL_ENV", "COV_", "COVERAGE_"))
        }
        | {"PYTHONDONTWRITEBYTECODE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, f"{shown}\n{done.stdout}"
    return done.stdout


def env_of(wheel: Path) -> dict[str, str]:
    """The environment of commands that install plugins, for which this wheel of ddpcore is there."""
    return {
        "PIP_FIND_LINKS": str(wheel.parent),
        "PIP_QUIET": "1",  # what pip warns of is how it is set up here
        "PIP_NO_COMPILE": "1",  # most of what is installed is never run
        "PYTHONPATH": "",
    }


@dataclass(frozen=True)
class Installed:
    """An example in its environment.

    Attributes:
        python: The environment's interpreter.
        folder: Its tests, its `pyproject.toml` and `README.md`, without the package itself.
        source: The example in this tree.
    """

    python: Path
    folder: Path
    source: Path

    def run(self, *arguments: object, seconds: float = 100.0) -> str:
        """Run the interpreter in `folder`; what it prints."""
        return run(self.python, *arguments, cwd=self.folder, seconds=seconds)


def install(source: Path, wheel: Path, place: Path) -> Installed:
    copy, built, folder = place / "source", place / "built", place / "tests"
    shutil.copytree(source, copy, ignore=JUNK)
    run(
        sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", built, cwd=copy, seconds=60
    )
    (its_wheel,) = built.glob("*.whl")
    folder.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(copy / name, folder)
    shutil.copytree(copy / "tests", folder / "tests")
    shutil.rmtree(copy)
    venv.create(place / "environment", with_pip=True)
    python = place / "environment" / "bin" / "python"
    try:
        run(
            python,
            "-m",
            "pip",
            "install",
            "-q",
            wheel,
            f"{its_wheel}[test]",
            cwd=place,
            seconds=300,
        )
    except AssertionError as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"pip finds not all that the example needs: {problem}")
    return Installed(python, folder, source)
