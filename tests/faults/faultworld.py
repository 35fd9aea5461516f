"""What is in the database at first, what happens to it, and who watches."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

from ddp_client import connect

USERS = ("ann", "bob", "eve", "root")

EVERY_KIND = (
    ["items"],
    ["on", "a"],
    ["not on", "a"],
    ["counts"],
    ["newest"],
    ["marked"],
    ["rooms"],
    ["notes"],
    ["secrets"],
    ["of_group"],
    ["people"],
    ["memberships"],
)

WORLD = """
from django.db import models
from django.contrib.auth.models import Group, User
ann, bob, eve, root = [User.objects.create(username=name) for name in ("ann", "bob", "eve", "root")]
User.objects.filter(pk=root.pk).update(is_superuser=True)
staff, crew = [Group.objects.create(name=name) for name in ("staff", "crew")]
ann.groups.add(staff)
a, b = [Shelf.objects.create(name=name) for name in "ab"]
items = [Item.objects.create(text=f"item {n}", number=n, shelf=[a, b, None][n % 3]) for n in range(9)]
hall, attic = Room.objects.create(name="hall", owner=ann), Room.objects.create(name="attic", owner=bob)
Membership.objects.create(room=attic, user=ann, role="guest")
Membership.objects.create(room=attic, user=ann, role="cook")
notes = [Note.objects.create(text=f"note {n}", owner=[ann, bob, eve][n % 3],
    room=[hall, attic, None][n % 3], rank=n - 1) for n in range(9)]
for group in (staff, crew):
    Secret.objects.create(text=f"of {group.name}", group=group)
people = [Person.objects.create(name=name) for name in "xyz"]
people[0].friends.add(people[1])
"""

# Something of everything, so that each query has a step to take.
TURN = """
with transaction.atomic():
    Item.objects.filter(number__lt=4).update(shelf=b, number=models.F("number") + 10)
    Item.objects.filter(number=5).delete()
    Item.objects.create(text="new", number=7, shelf=a)
    Shelf.objects.filter(name="b").update(name="c")
    Shelf.objects.filter(name="a").update(name="b")
    Shelf.objects.filter(name="c").update(name="a")
    Membership.objects.create(room=hall, user=bob)
    Membership.objects.filter(user=ann).delete()
    Note.objects.filter(owner=bob).update(room=hall, owner=eve)
    Note.objects.filter(rank=3).update(rank=-3)
    ann.groups.set([crew] if staff in ann.groups.all() else [staff])
    people[0].friends.remove(people[1])
    people[2].friends.add(people[0])
"""


@asynccontextmanager
async def watching(server, *users: str, wanted=EVERY_KIND):
    """Clients of these users, each with every kind of query."""
    async with AsyncExitStack() as stack:
        clients = []
        for user in users:
            client = await stack.enter_async_context(connect(server.address))
            await client.call("log_in", user)
            await client.sub("Shown", *wanted)
            clients.append(client)
        yield clients


async def recovered(client) -> None:
    """Return when methods work again: one whose connection is cut off fails, as it has to."""
    in_order = 0
    while in_order < 8:
        calls = [client.call("mark") for _ in range(8)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        in_order = sum(outcome is None for outcome in outcomes)
