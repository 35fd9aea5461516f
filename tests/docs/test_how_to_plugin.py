"""docs/how-to/plugin.md, followed literally: its files, its installation, its tests, its commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT
from reader import Reader


@pytest.mark.index
@pytest.mark.timeout(600)
def test_it_ends_with_a_plugin_that_every_command_has(tmp_path: Path) -> None:
    # The wheel of this tree stands for the one of the index.
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "wheels"],
        cwd=ROOT, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    place = tmp_path / "plugin"
    place.mkdir()
    # What pip warns of is how it is set up here.
    env = {"PIP_FIND_LINKS": str(tmp_path / "wheels"), "PIP_QUIET": "1", "PYTHONPATH": ""}
    with Reader(place, **env) as reader:
        said = reader.type("python -m pip download -q --no-deps -d ../seen 'hatchling>=1.26'")
        if "ERROR" in said and not os.environ.get("CI"):
            pytest.skip(f"no index: {said}")
        reader.read("how-to/plugin.md")
