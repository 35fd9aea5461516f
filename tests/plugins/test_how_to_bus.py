"""docs/how-to/bus.md, followed literally: its files, its installation, its tests, its servers."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from ddp_client import connect
from deploying import free_port
from example_plugins import env_of
from pages import ROOT, Block
from reader import Reader, bookstore

PAGE = "how-to/bus.md"


def known_here(source: Path, directory: Path) -> str:
    """Let this environment know the package, too: what PYTHONPATH has to be."""
    info = directory / "hubbus-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: hubbus\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[ddpcore]\nhub = hubbus\n")
    return os.pathsep.join([str(source), str(directory), str(ROOT)])


@pytest.mark.index
@pytest.mark.timeout(600)
def test_it_ends_with_a_bus_that_keeps_the_contract(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "hub"
    place.mkdir()
    port = {"4010": free_port()}
    settings: list[str] = []

    def other(block: Block) -> None:
        assert block.language == "python"
        settings.append(reader.here(block.text))

    stays = {"environment/bin/python -m hubbus.hub": "The hub runs."}
    with Reader(place, port, stays=stays, **env_of(wheel)) as reader:
        said = reader.type("python -m pip download -q --no-deps -d ../seen 'hatchling>=1.26'")
        if "ERROR" in said and not os.environ.get("CI"):
            pytest.skip(f"pip finds not all that the page needs: {said}")
        reader.read(PAGE, others={"python": other})
        asyncio.run(what_one_writes_all_see(f"127.0.0.1:{reader.ports['8000']}"))
        # In a Django project.
        site = bookstore(tmp_path)
        with (site / "mysite" / "settings.py").open("a") as file:
            file.writelines(settings)
        reader.directory = site
        reader.env["PYTHONPATH"] = known_here(place, tmp_path)
        reader.type("python manage.py migrate -v 0")
        report = reader.type("ddpcore check --settings mysite.settings --workers 2")
        assert "ok   bus          a change sent by hub://127.0.0.1:4010 came back" in report, report


async def what_one_writes_all_see(address: str) -> None:
    """Whichever workers they have come to."""
    async with connect(address) as one, connect(address) as other, connect(address) as third:
        for client in (one, other, third):
            await client.send(msg="sub", id="s", name="count", params=[])
            await client.message(msg="ready")
        await one.call("write", 7)
        for client in (one, other, third):
            await client.message(msg="changed", id="all", fields={"number": 7})
