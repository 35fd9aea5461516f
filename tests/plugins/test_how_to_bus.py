"""docs/how-to/bus.md, followed literally: its files, its installation, its tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from example_plugins import ROOT, install

PAGE = ROOT / "docs" / "how-to" / "bus.md"

PROJECT = ("pyproject.toml", "hubbus/__init__.py", "hubbus/hub.py", "tests/test_hubbus.py")


def files() -> dict[str, str]:
    blocks = re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return {name.removeprefix("./"): text for name, text in blocks}


def test_the_page_has_all_files() -> None:
    assert set(files()) == {*PROJECT, "mysite/settings.py"}


@pytest.mark.index
@pytest.mark.timeout(600)
def test_it_ends_with_a_bus_that_keeps_the_contract(wheel: Path, tmp_path: Path) -> None:
    source = tmp_path / "hubbus"
    for name in PROJECT:
        file = source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(files()[name])
    (source / "README.md").touch()  # which `install` wants, and the page does not need
    bus = install(source, wheel, tmp_path)
    told = bus.run("-m", "pytest", "-q", "-ra", "tests", seconds=200)
    assert " passed" in told, told

    # And `ddpcore serve` knows it.
    (bus.folder / "app.py").write_text("import ddpcore\nserver = ddpcore.Server()\n")
    served = subprocess.run(
        [bus.python, "-m", "ddpcore", "serve", "app:server", "--bus", "hub://127.0.0.1:1"],
        cwd=bus.folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "no hub at 127.0.0.1:1" in served.stderr or "tornado" in served.stderr.lower(), served
