"""A bus with a publisher is told of commits by every process of the project."""

from __future__ import annotations

from pathlib import Path

import pytest
from project import Project

PLUGIN = """
import ddpcore

told = []

class Tells(ddpcore.Publisher):
    down = False

    def publish(self, changes):
        if self.down:
            raise ddpcore.DDPError("it is down")
        told.append([(each.op.value, each.topic.partition('.')[2], each.key) for each in changes])

class Bus(ddpcore.MemoryBus):
    crosses_processes = True
    tells = Tells()

    def publisher(self):
        return self.tells

@ddpcore.hookimpl
def ddpcore_bus(url):
    return Bus() if url == "fake:" else None
"""

START = """
from fakebus import Bus, told
from ddpcore_django.announcing import told_buses

def check(*expected):
    assert told == [list(each) for each in expected], told
    told.clear()

a, b = [Member.objects.create(code=code) for code in 'ab']
check([('i', 'member', '1')], [('i', 'member', '2')])
"""


@pytest.fixture
def plugin(tmp_path):
    """A plugin that is installed where PYTHONPATH leads."""
    (tmp_path / "fakebus.py").write_text(PLUGIN)
    metadata = tmp_path / "fakebus-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: fakebus\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[ddpcore]\nfake = fakebus\n")
    return tmp_path


@pytest.fixture
def project(plugin):
    project = a_project(plugin, str(plugin / "rows.sqlite3"))
    yield project
    project.end()


def a_project(plugin: Path, database: str) -> Project:
    site = plugin / "site"
    site.mkdir()
    (site / "manage.py").write_text((SITE / "manage.py").read_text())
    (site / "told_settings.py").write_text(
        "from rowsite.settings import *\nDDPCORE = {'BUS': 'fake:'}\n"
    )
    project = Project(site, "told_settings", database)
    paths = [str(plugin), str(SITE), project.env["PYTHONPATH"]]
    project.env["PYTHONPATH"] = ":".join(paths)
    project.migrate()
    return project


SITE = Path(__file__).parent / "site"


def test_a_transaction_is_one_message(project):
    shell = project.shell()
    shell(START)
    shell(
        "with transaction.atomic():\n"
        "    a.save(); b.save(); a.delete(); check()\n"
        "check([('u', 'member', '1'), ('u', 'member', '2'), ('d', 'member', '1')])\n"
        "b.save(); check([('u', 'member', '2')])\n"
    )


def test_what_is_rolled_back_is_not_told(project):
    shell = project.shell()
    shell(START)
    shell(
        "class Undo(Exception): pass\n"
        "def fail(*names):\n"
        "    try:\n"
        "        with transaction.atomic():\n"
        "            for each in names: each.save()\n"
        "            raise Undo\n"
        "    except Undo: pass\n"
        "fail(a, b); check()\n"
        "a.save(); check([('u', 'member', '1')])\n"
        "with transaction.atomic():\n"
        "    a.save(); fail(b); a.save()\n"
        "check([('u', 'member', '1'), ('u', 'member', '1')])\n"
        "with transaction.atomic():\n"
        "    fail(a, b)\n"
        "    with transaction.atomic(): b.save()\n"
        "    fail(a)\n"
        "    a.save()\n"
        "assert sum(told, []) == [('u', 'member', '2'), ('u', 'member', '1')], told; told.clear()\n"
        "fail(a); transaction.on_commit(lambda: None); b.save(); check([('u', 'member', '2')])\n"
    )


def test_the_bus_that_runs_goes_before_that_of_the_settings(project):
    shell = project.shell()
    shell(START)
    shell(
        "from ddpcore.bus import MemoryBus\n"
        "bus = MemoryBus(); told_buses.add(bus); a.save(); check()\n"
        "told_buses.discard(bus); a.save(); check([('u', 'member', '1')])\n"
    )


def test_a_failure_is_not_the_writers(project):
    shell = project.shell()
    shell(START)
    shell(
        "Bus.tells.down = True\n"
        "with transaction.atomic(): a.save(); transaction.on_commit(lambda: told.append([1]))\n"
        "assert told == [[1]]; told.clear()\n"
        "Bus.tells.down = False; a.save(); check([('u', 'member', '1')])\n"
    )
    shell.end()
    assert "Changes could not be announced: it is down" in "".join(shell.errors)


def test_a_bus_that_nobody_knows_is_an_error_at_once(project):
    (project.site / "told_settings.py").write_text(
        "from rowsite.settings import *\nDDPCORE = {'BUS': 'unknown://bus'}\n"
    )
    with pytest.raises(AssertionError, match="No bus for 'unknown:'"):
        project.manage("check")


def test_postgresql_sends_nothing_then(plugin, rows_dsn):
    project = a_project(plugin, rows_dsn)
    try:
        shell = project.shell()
        shell(START)
        shell(
            "from django.test.utils import CaptureQueriesContext\n"
            "with CaptureQueriesContext(connection) as q: a.save()\n"
            "assert not [each for each in q if 'notify' in each['sql']], list(q)\n"
            "check([('u', 'member', '1')])\n"
        )
    finally:
        project.end()
