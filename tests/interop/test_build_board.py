"""The page of the embedding example, in headless Chromium."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deploying import free_port

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
BUILD, ACT = "[data-test=build]", "[data-test=act]"


@pytest.fixture
def board():
    """The application; its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "examples/embedding/app.py", f"--port={port}", "--logging=warning"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline().startswith("The build board: ")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_what_one_window_starts_and_stops_the_other_shows(board, start, tmp_path):
    windows = start("windows", board, str(tmp_path))
    for window in ("left", "right"):
        windows.do("open", window, "/")
        windows.do("see", window, BUILD, "#3 by Alan")
    windows.do("see", "left", "[data-test=watchers]", "2")

    windows.do("fill", "left", "[data-test=branch]", "try/this")
    windows.do("press", "left", "[data-test=branch]", "Enter")
    windows.do("see", "right", BUILD, "try/this")
    windows.do("click", "right", f"{BUILD}:has-text('try/this') {ACT}:text-is('Stop')")
    windows.do("see", "left", f"{BUILD}[data-state=stopped]", "try/this")
    windows.do("click", "left", f"{BUILD}[data-state=stopped] {ACT}:text-is('Again')")
    windows.do("see", "right", BUILD, "#5 by this board")

    windows.do("press", "left", "[data-test=branch]", "Enter")  # with nothing in it: main
    windows.do("see", "right", BUILD, "#6 by this board")


def test_it_fits_a_telephone(board, start, tmp_path):
    windows = start("windows", board, str(tmp_path))
    windows.do("open", "phone", "/")
    windows.do("see", "phone", BUILD, "#1 by Ada")
    for width in (320, 360, 1000):
        windows.do("resize", "phone", width)
        assert windows.do("overflow", "phone") == 0
