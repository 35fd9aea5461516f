"""scripts/picture makes the animation of the README, from the demo as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# It makes an environment of its own.
pytestmark = [pytest.mark.browser, pytest.mark.index, pytest.mark.timeout(600)]


def test_the_picture_can_be_made_anew(tmp_path):
    made = tmp_path / "two-windows.webp"
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "picture", made],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert "18 screens" in done.stdout
    kept = ROOT / "docs" / "images" / "two-windows.webp"
    for picture in (made.read_bytes(), kept.read_bytes()):
        assert (picture[:4], picture[8:12]) == (b"RIFF", b"WEBP")
        assert picture.count(b"ANMF") == 18
        assert len(picture) < 400_000
