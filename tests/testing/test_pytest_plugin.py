"""The plugin of pytest: what it gives to those who ask, and that it costs the others nothing.

That pytest finds it by its entry point is a test of the wheel, see tests/test_packaging.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_pytest(directory, text):
    (directory / "test_it.py").write_text(text)
    return subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-Werror", "-c/dev/null", "--rootdir=.",
            "-pddpcore.testing.pytest_plugin", "-pno:cacheprovider", "test_it.py",
        ],
        cwd=directory,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )  # fmt: skip


FIXTURES = """
import ddpcore, pytest

@pytest.fixture
def server(ddp_clock):
    server = ddpcore.Server(clock=ddp_clock)
    server.method("add")(lambda ctx, a, b: a + b)
    return server

def test_add(ddp, server):
    client = ddp.connect(server)
    assert ddp.run(client.call("add", 1, 2)) == 3

def test_time(ddp, ddp_clock, server):
    client = ddp.connect(server, answer_pings=False)
    ddp.run(ddp_clock.advance(60))
    assert client.closed
"""

UNUSED = """
import sys

def test_nothing_is_loaded():
    heavy = {"tornado", "django", "psycopg2", "ddpcore.testing.bus_contract"}
    assert heavy & set(sys.modules) == set()
"""


def test_the_fixtures(tmp_path):
    done = run_pytest(tmp_path, FIXTURES)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_it_costs_little_when_unused(tmp_path):
    done = run_pytest(tmp_path, UNUSED)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
