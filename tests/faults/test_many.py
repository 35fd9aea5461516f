"""Many clients of two servers, several writers, and processes that are killed among them."""

from __future__ import annotations

import random
import signal
from contextlib import AsyncExitStack

import pytest
from ddp_client import connect
from faultworld import EVERY_KIND, USERS, WORLD, watching

pytestmark = pytest.mark.pg

RANDOM_WRITES = """
import random
from django.db import models, transaction
from faultsite.models import *
chance = random.Random({seed})
users, groups = list(User.objects.all()), list(Group.objects.all())
for _ in range(40):
    with transaction.atomic():
        for _ in range(chance.randint(1, 4)):
            what = chance.randint(0, 8)
            number, user = chance.randint(0, 12), chance.choice(users)
            shelf, room = Shelf.objects.order_by("?").first(), Room.objects.order_by("?").first()
            if what == 0:
                Item.objects.create(number=number, shelf=shelf, price=number)
            elif what == 1:
                Item.objects.filter(number=number).update(number=chance.randint(0, 12), shelf=shelf)
            elif what == 2 and number < 3:
                Item.objects.filter(number__gt=10).delete()
            elif what == 3:
                Note.objects.create(text=str(number), owner=user, room=room, rank=number - 2)
            elif what == 4:
                Note.objects.filter(text=str(number)).update(owner=user, room=room)
            elif what == 5:
                Membership.objects.create(room=room, user=user)
            elif what == 6:
                Membership.objects.filter(room=room, user=user).delete()
            elif what == 7:
                user.groups.set(chance.sample(groups, chance.randint(0, 2)))
            else:
                Shelf.objects.filter(pk=shelf.pk).update(name=chance.choice("abc"))
        transaction.set_rollback(chance.random() < 0.15)
"""
# Writers must not wait for each other in a circle.
RANDOM_WRITES = RANDOM_WRITES.replace(
    "    with transaction.atomic():\n",
    "    with transaction.atomic():\n"
    "        connection.cursor().execute('SELECT pg_advisory_xact_lock(1)')\n",
)


async def test_everybody_has_what_there_is(project, agree):
    writers = [project.shell() for _ in range(2)]
    writers[0](WORLD)
    servers = [project.serve(), project.serve()]
    chance = random.Random(7)
    async with AsyncExitStack() as stack:
        clients = []
        for number in range(10):
            client = await stack.enter_async_context(connect(servers[number % 2].address))
            user = (None, *USERS)[number % 5]
            await client.call("log_in", user)
            wanted = [["notes"], ["rooms"], ["secrets"], ["of_group"]]
            wanted += [["texts", str(n)] for n in range(number % 3, 12, 3)]
            for _ in range(25):
                low = chance.randint(-50, 12)
                wanted.append(["range", low, low + chance.randint(0, 60)])
            wanted.append(chance.choice([["on", "a"], ["not on", "b"], ["counts"], ["newest"]]))
            for each in wanted:
                await client.sub("Shown", each)
            clients.append((client, user, wanted))
        for turn in range(2):
            for number, writer in enumerate(writers):
                writer.start(RANDOM_WRITES.format(seed=10 * turn + number))
            for client, *_ in clients:
                await client.call("mark")
            for writer in writers:
                writer.finished()
            for client, user, wanted in clients:
                await agree(client, user, *wanted)
    for server in servers:
        assert server.end() == 0, server.errors


async def test_who_is_killed_takes_nothing_along(project, writer, truth, agree):
    writer(WORLD)
    victim, survivor, half_done = project.serve(), project.serve(), project.shell()
    async with watching(survivor, *USERS) as clients:
        async with connect(victim.address) as doomed:
            await doomed.sub("Shown", ["items"])
            half_done(
                "from faultsite.models import *\n"
                "transaction.atomic().__enter__()\n"
                "Item.objects.all().delete(); Room.objects.all().delete()\n"
                "Shelf.objects.create(name='never')\n"
            )
            half_done.end(signal.SIGKILL)
            writer.start("for n in range(200): Item.objects.create(number=n, shelf=a)")
            victim.end(signal.SIGKILL)
            writer.finished()
        for client, user in zip(clients, USERS, strict=True):
            await agree(client, user, *EVERY_KIND)
        again = project.serve()
        async with watching(again, "ann") as (client,):
            await agree(client, "ann", *EVERY_KIND)
        assert again.end() == 0, again.errors
    assert survivor.end() == 0, survivor.errors
