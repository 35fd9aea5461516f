"""The example packages, installed once in a run; see `example_plugins`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from example_plugins import ROOT, Installed, install, run


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of ddpcore."""
    made = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", made, cwd=ROOT, seconds=60)
    (file,) = made.glob("ddpcore-*.whl")
    return file


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Callable[[Path], Installed]:
    """Install an example, once in a run."""
    made: dict[Path, Installed] = {}

    def installed(source: Path) -> Installed:
        if source not in made:
            made[source] = install(source, wheel, tmp_path_factory.mktemp(source.name))
        return made[source]

    return installed
