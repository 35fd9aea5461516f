"""Clients that come, go and become others at any time: nobody else's rows, and nothing left."""

from __future__ import annotations

import json

import pytest
import websockets
from ddp_client import PATIENCE, connect
from faultworld import EVERY_KIND, WORLD, watching

pytestmark = pytest.mark.pg

NOBODY_WATCHES = {
    "observers": 0,
    "tables": 0,
    "polled": 0,
    "linked": 0,
    "topics": [],
    "channels": [],
    "waiting": 0,
}


async def left(client) -> dict:
    held = await client.call("held")
    return {name: held[name] for name in NOBODY_WATCHES}


async def sessions(client) -> int:
    return (await client.call("held"))["sessions"]


async def test_nobody_gets_rows_of_whom_they_were(server, writer, project, agree):
    writer(WORLD)
    wanted = (["notes"], ["rooms"], ["secrets"], ["of_group"])
    other = project.shell()
    async with connect(server.address) as client:
        await client.sub("Shown", *wanted)
        other.start(
            "from faultsite.models import *\n"
            "import random\n"
            "chance = random.Random(1)\n"
            "users, rooms = list(User.objects.all()), list(Room.objects.all())\n"
            "for n in range(400):\n"
            "    with transaction.atomic():\n"
            "        owner = chance.choice(users[:3])\n"
            "        note = Note.objects.create(text=owner.username, owner=owner)\n"
            "        Note.objects.filter(pk=note.pk - 5).delete()\n"
        )
        for turn in range(16):
            user = (None, "ann", "bob", "eve")[turn % 4]
            await client.call("log_in", user)
            mark = len(client.messages)
            texts = {row["text"] for row in client.docs("faultsite.note").values()}
            strange = {text for text in texts if text in {"ann", "bob", "eve"} - {user}}
            assert not strange, user
            await client.call("mark")
            added = [each for each in client.since(mark) if each["msg"] == "added"]
            for each in added:
                if each["collection"] == "faultsite.note":
                    assert each["fields"]["text"] not in {"ann", "bob", "eve"} - {user}
        other.finished()
        await client.call("log_in", "bob")
        await agree(client, "bob", *wanted)
        await client.call("log_in", None)
        assert not any(client.collections.values())


async def test_rows_are_granted_and_taken_while_users_change(server, writer, agree):
    writer(WORLD)
    wanted = (["notes"], ["rooms"], ["secrets"], ["of_group"])
    async with connect(server.address) as client:
        await client.sub("Shown", *wanted)
        for turn in range(12):
            user = ("ann", None, "bob", "root")[turn % 4]
            writer.start(
                "with transaction.atomic():\n"
                "    Room.objects.filter(pk=hall.pk).update(owner=bob)\n"
                "    Membership.objects.create(room=attic, user=ann)\n"
                if turn % 2
                else "with transaction.atomic():\n"
                "    Room.objects.filter(pk=hall.pk).update(owner=ann)\n"
                "    Membership.objects.filter(user=ann).delete()\n"
                "    bob.groups.set([staff]); ann.groups.set([])\n"
            )
            await client.call("log_in", user)
            writer.finished()
            await agree(client, user, *wanted)


async def test_nothing_is_left_of_those_who_are_gone(server, writer):
    writer(WORLD)
    hello = json.dumps({"msg": "connect", "version": "1", "support": ["1"]})
    async with connect(server.address) as witness:
        first = await left(witness)
        assert first == NOBODY_WATCHES
        for phase in range(12):
            socket = await websockets.connect(
                f"ws://{server.address}/websocket", max_size=None, open_timeout=PATIENCE
            )
            if phase:
                await socket.send(hello)
            for number, query in enumerate(EVERY_KIND):
                if phase > 1:
                    sub = {"msg": "sub", "id": f"s{number}", "name": "Shown", "params": [query]}
                    await socket.send(json.dumps(sub))
                if phase % 3 == 2:
                    await socket.send(json.dumps({"msg": "unsub", "id": f"s{number}"}))
            method = {"msg": "method", "id": "m", "method": "log_in", "params": ["ann"]}
            if phase % 4 == 3:
                await socket.send(json.dumps(method))
            writer.start(
                "Item.objects.update(number=models.F('number') + 1)\nMembership.objects.first()"
            )
            for _ in range(phase):  # so many messages later
                await socket.recv()
                if phase < 2:
                    break
            if phase % 2:
                socket.transport.abort()
            else:
                await socket.close()
            writer.finished()
        while (await left(witness)) != NOBODY_WATCHES or await sessions(witness) > 1:
            await witness.call("mark")  # word of the last one's end may be on its way


async def test_subscriptions_that_stop_while_they_load(server, writer, project):
    writer(WORLD)
    blocker = project.shell()
    async with connect(server.address) as client:
        for _ in range(3):
            blocker("cursor = connection.cursor(); cursor.execute('SELECT pg_advisory_lock(7)')")
            for number in range(4):
                await client.send(msg="sub", id=f"s{number}", name="Shown", params=[["waiting", 1]])
                await client.send(msg="unsub", id=f"s{number}")
            blocker("cursor.execute('SELECT pg_advisory_unlock(7)')")
            while (await left(client)) != NOBODY_WATCHES:
                await client.call("mark")
        assert not client.docs("faultsite.shelf")


async def test_fifty_queries_in_a_subscription(server, writer, agree):
    writer(WORLD)
    wanted = [["number", number] for number in range(50)]
    async with watching(server, "ann", "bob", wanted=wanted) as clients:
        for code in (
            "Item.objects.update(number=models.F('number') + 7)",
            "for n in range(50): Item.objects.create(number=n)",
            "Item.objects.filter(number__gt=20).update(number=1)",
        ):
            writer(code)
            for client in clients:
                await agree(client, "ann", *wanted)


async def test_memory_stays_as_it_is(server, writer):
    writer(WORLD)
    wanted = (*EVERY_KIND, *(["range", n, n + 3] for n in range(40)))
    async with watching(server, "ann", wanted=wanted) as (client,):
        sizes = []
        for _ in range(4):
            # Small statements tell rows, large ones keys.
            writer(
                "for n in range(150):\n"
                "    Item.objects.filter(number__lt=50).update(number=n % 50)\n"
                "for n in range(3):\n"
                "    made = Item.objects.bulk_create([Item(number=99) for _ in range(1000)])\n"
                "    Item.objects.filter(number=99).update(text='x')\n"
                "    Item.objects.filter(number=99).delete()\n"
            )
            await client.call("mark")
            client.messages.clear()
            sizes.append(await client.call("memory"))
        assert sizes[-1] < sizes[1] * 1.1 + 5, sizes
