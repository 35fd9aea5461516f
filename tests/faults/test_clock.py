"""A database that is put back to an earlier state gives its transactions smaller numbers again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ddp_client import connect
from faultworld import recovered
from project import Project

from ddpcore_pg.cluster import Cluster

SITE = Path(__file__).parent / "site"

pytestmark = [
    pytest.mark.pg,
    pytest.mark.skipif("DDPCORE_TEST_DSN" in os.environ, reason="the server is not ours to stop"),
]


def set_epoch(cluster: Cluster, epoch: int) -> None:
    """Let the numbers of transactions begin with another upper half; what is stored stays valid."""
    cluster.halt()
    # Programs that are linked from elsewhere have their neighbours where the link leads.
    program = (cluster._binaries / "postgres").resolve().parent / "pg_resetwal"
    command = [str(program), "-e", str(epoch), "-D", str(cluster._base / "data")]
    subprocess.run(
        cluster._as_user.command(command),
        **cluster._as_user.options(cluster._base),
        check=True,
        capture_output=True,
    )
    cluster.start()


async def test_numbers_that_begin_again_hide_no_change():
    wanted = (["items"], ["range", 0, 50], ["on", "a"], ["counts"], ["newest"])
    with Cluster() as cluster:
        project = Project(SITE, "faultsite.settings", cluster.createdb("site"), TEST_DDPCORE="{}")
        project.migrate()
        set_epoch(cluster, 5)
        try:
            server, writer = project.serve(), project.shell()
            writer(
                "import json\n"
                "from django.db import connections\n"
                "from ddpcore.bus import Change, Op\n"
                "from ddpcore_pg import notify_sql\n"
                "a = Shelf.objects.create(name='a')\n"
                "items = [Item.objects.create(number=n, shelf=a) for n in range(5)]\n"
            )
            async with connect(server.address) as client:
                await client.sub("Shown", *wanted)
                # A change without an image: the rows are read, and it is noted as of when.
                writer(
                    "with transaction.atomic(), connection.cursor() as cursor:\n"
                    "    Item.objects.update(number=20)\n"
                    "    cursor.execute(*notify_sql(*(Change('faultsite.item', Op.UPDATE, str(i.pk))\n"
                    "        for i in items)))\n"
                )
                await client.call("mark")
                assert {row["number"] for row in client.docs("faultsite.item").values()} == {20}

                writer("connections.close_all()")
                set_epoch(cluster, 0)
                await recovered(client)
                for number in (30, 31):
                    writer(
                        "for item in items:\n"
                        f"    item.number = {number}\n"
                        "    item.save()\n"
                        "Item.objects.create(number=32, shelf=a)\n"
                    )
                    await client.call("mark")
                    numbers = [row["number"] for row in client.docs("faultsite.item").values()]
                    assert numbers.count(number) == 5
                counts = [row["count"] for row in client.docs("faultsite.shelf").values()]
                assert counts == [7]
            assert server.end() == 0, server.errors
        finally:
            project.end()
