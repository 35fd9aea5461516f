"""Hundreds of clients at once: all get everything, and those who are there are served meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from ddp_client import connect
from rooms import rooms_served
from slow_client import RAW, slow_client

CROWD = 300
DOCUMENTS = 20


async def echoes(client, until):
    """Call until it is so; how many answers came before."""
    count = 0
    while not until():
        assert await client.call("echo", count) == count
        count += 1
    return count


async def test_a_crowd_connects_and_subscribes_and_a_bystander_is_answered_meanwhile():
    async with rooms_served() as (rooms, address), AsyncExitStack() as stack:
        whole = []

        async def come(number):
            client = await stack.enter_async_context(slow_client(address, RAW))
            await client.sub("room", f"own{number}-", DOCUMENTS)
            await client.shows("rows", rooms.shown(f"own{number}-"))
            whole.append(number)
            return client

        async with connect(address) as bystander:
            crowd = asyncio.gather(*(come(number) for number in range(CROWD)))
            answers = await echoes(bystander, lambda: len(whole) == CROWD)
            await crowd
        assert answers >= CROWD / 15  # were all let in at once: 6
        # First come, first served: nobody waits for the last of the crowd.
        assert sum(whole[: CROWD // 2]) < sum(whole[CROWD // 2 :])


async def test_a_crowd_subscribes_at_once_and_a_bystander_sees_changes_meanwhile():
    async with rooms_served() as (rooms, address), AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(slow_client(address, RAW)) for _ in range(CROWD)]
        ready = []

        async def subscribe(number, client):
            await client.sub("room", f"room{number % 10}-", DOCUMENTS)
            ready.append(number)

        async with connect(address) as bystander:
            await bystander.sub("room", "news", 1)
            subscribing = asyncio.gather(*(subscribe(*each) for each in enumerate(crowd)))
            seen = 0
            while len(ready) < CROWD:
                await rooms.change("news0")
                news = rooms.shown("news")
                await bystander.shows("rows", news)
                seen += 1
            await subscribing
        assert seen >= CROWD / 40  # were all to begin at once: 2
        for number, client in enumerate(crowd):
            await client.shows("rows", rooms.shown(f"room{number % 10}-"))


async def test_a_crowd_that_leaves_while_it_waits_in_line_leaves_nothing():
    async with rooms_served() as (rooms, address), AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(slow_client(address, RAW)) for _ in range(CROWD)]
        for number, client in enumerate(crowd):
            await client.send(msg="sub", id="1", name="room", params=[f"r{number}-", DOCUMENTS])
            client.socket._writer.transport.abort()
        server = rooms.server
        while server.sessions or server._handlers or server.crossbar.observers:
            await asyncio.sleep(0)
        async with connect(address) as late:
            await late.sub("room", "r0-", DOCUMENTS)
            await late.shows("rows", rooms.shown("r0-"))
