"""Plugins that a Django project names in its settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from project import PATIENCE, Project

SITE = Path(__file__).parents[1] / "rows" / "site"

PLUGINS = """
from ddpcore import hookimpl

class Named:
    @hookimpl
    def ddpcore_register(self, server):
        server.named = True

class Told:
    def __init__(self, what): self.what = what
    @hookimpl
    def ddpcore_register(self, server):
        server.told = self.what

told = Told("by name")

@hookimpl
def ddpcore_register(server):
    server.in_module = True
"""


@pytest.fixture
def shell(tmp_path):
    """`shell(plugins, code)` runs code in a project with these; what it says."""
    (tmp_path / "manage.py").write_text((SITE / "manage.py").read_text())
    (tmp_path / "ours.py").write_text(PLUGINS)
    project = Project(tmp_path, "named_settings", str(tmp_path / "rows.sqlite3"))
    project.env["PYTHONPATH"] = f"{tmp_path}:{SITE}:{project.env['PYTHONPATH']}"

    def run(plugins: list[str], code: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "named_settings.py").write_text(
            f"from rowsite.settings import *\nDDPCORE = {{'PLUGINS': {plugins!r}}}\n"
        )
        return subprocess.run(
            [sys.executable, "manage.py", "shell", "-c", code],
            env=project.env, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip

    return run


def test_classes_objects_and_modules(shell):
    done = shell(
        ["ours.Named", "ours.told", "ours"],
        "from ddpcore_django.server import make_server\n"
        "class More: pass\n"
        "server = make_server(plugins=[More()])\n"
        "print(server.named, server.told, server.in_module, 'More' in server.plugins.names())",
    )
    assert "True by name True True" in done.stdout, done.stderr


def test_one_that_is_not_there(shell):
    done = shell(["ours.Nobody"], "from ddpcore_django.server import make_server; make_server()")
    assert """DDPCORE["PLUGINS"] names 'ours.Nobody', which cannot be imported""" in done.stderr
