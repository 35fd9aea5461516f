"""A database that keeps some waiting: the others go on, and nothing is stuck afterwards."""

from __future__ import annotations

import pytest
from ddp_client import connect
from faultworld import USERS, WORLD, watching

pytestmark = pytest.mark.pg


async def test_a_locked_table_keeps_only_its_own_waiting(server, writer, project, agree, truth):
    writer(WORLD)
    wanted = (["items"], ["on", "a"], ["counts"], ["notes"], ["rooms"])
    other = project.shell()
    async with watching(server, *USERS, wanted=wanted) as clients:
        other(
            "from django.db import transaction\n"
            "lock = transaction.atomic(); lock.__enter__()\n"
            "cursor = connection.cursor()\n"
            "cursor.execute('ALTER TABLE faultsite_item ADD COLUMN more integer DEFAULT 7')\n"
            "cursor.execute('UPDATE faultsite_item SET number = number + 1, more = 8')\n"
        )
        async with connect(server.address) as late:
            await late.send(msg="sub", id="late", name="Shown", params=[["items"]])
            writer("Note.objects.update(text='meanwhile', owner=eve)")
            for client in clients:
                await client.call("mark")
            for client, user in zip(clients[1:3], USERS[1:3], strict=True):
                assert client.docs("faultsite.note") == truth(user, ["notes"]).get(
                    "faultsite.note", {}
                )
            other(
                "cursor.execute('INSERT INTO faultsite_item (text, number) VALUES (%s, 3)', ['x'])"
            )
            other("lock.__exit__(None, None, None)")
            await late.message(msg="ready", subs=["late"])
            await agree(late, None, ["items"])
        for client, user in zip(clients, USERS, strict=True):
            await agree(client, user, *wanted)


async def test_a_query_that_hangs_keeps_no_other_client_waiting(server, writer, project, agree):
    writer(WORLD)
    blocker = project.shell()
    async with connect(server.address) as slow, watching(server, "ann") as (client,):
        await slow.sub("Shown", ["waiting"], ["shelves"])
        blocker("cursor = connection.cursor(); cursor.execute('SELECT pg_advisory_lock(7)')")
        writer("Shelf.objects.update(name='a')")
        await client.call("mark")
        await client.until(
            lambda: {row["name"] for row in client.docs("faultsite.shelf").values()} == {"a"}
        )
        await slow.send(msg="method", id="own", method="mark", params=[])
        await slow.message(msg="result", id="own")
        await client.call("mark")
        assert not any(each.get("methods") == ["own"] for each in slow.messages)
        blocker("cursor.execute('SELECT pg_advisory_unlock(7)')")
        await slow.message(msg="updated", methods=["own"])
        await agree(slow, None, ["waiting"], ["shelves"])


async def test_many_queries_that_hang_leave_threads_for_methods(server, writer, project):
    writer(WORLD)
    blocker = project.shell()
    async with connect(server.address) as client:
        for number in range(12):
            await client.sub("Shown", ["waiting", number])
        blocker("cursor = connection.cursor(); cursor.execute('SELECT pg_advisory_lock(7)')")
        writer("Shelf.objects.update(name='a')")
        async with connect(server.address) as other:
            await other.call("add_item", 77)
        blocker("cursor.execute('SELECT pg_advisory_unlock(7)')")
        await client.call("mark")
        names = {row["name"] for row in client.docs("faultsite.shelf").values()}
        assert names == {"a"}


async def test_a_server_ends_though_a_query_hangs(server, writer, project):
    writer(WORLD)
    blocker = project.shell()
    blocker(
        "from django.db import transaction\n"
        "lock = transaction.atomic(); lock.__enter__()\n"
        "cursor = connection.cursor()\n"
        "cursor.execute('LOCK TABLE faultsite_item IN ACCESS EXCLUSIVE MODE')\n"
    )
    async with connect(server.address) as client:
        await client.send(msg="sub", id="1", name="Shown", params=[["items"]])
        writer(
            "waiting = \"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'\"\n"
            "cursor, count = connection.cursor(), 0\n"
            "while not count:\n"
            "    cursor.execute(waiting)\n"
            "    (count,) = cursor.fetchone()\n"
        )
        assert server.end() == 0
