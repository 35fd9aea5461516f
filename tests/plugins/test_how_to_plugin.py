"""docs/how-to/plugin.md, followed literally: its files, its installation, its tests, its commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from example_plugins import env_of
from reader import Reader


@pytest.mark.index
@pytest.mark.timeout(600)
def test_it_ends_with_a_plugin_that_every_command_has(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "plugin"
    place.mkdir()
    with Reader(place, **env_of(wheel)) as reader:
        said = reader.type("python -m pip download -q --no-deps -d ../seen 'hatchling>=1.26'")
        if "ERROR" in said and not os.environ.get("CI"):
            pytest.skip(f"no index: {said}")
        reader.read("how-to/plugin.md")
