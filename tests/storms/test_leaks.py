"""Thousands of clients come over real sockets, watch, and go: nothing stays."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections import Counter
from contextlib import suppress

import pytest
from rooms import rooms_served
from slow_client import RAW, SOCKJS, WebSocket

VISITS = int(os.environ.get("DDPCORE_TEST_VISITS", "2000"))
AT_ONCE = 20
PACKAGES = {"ddpcore", "ddpcore_tornado", "tornado"}


def ours():
    """How many objects there are of each of our types, and of Tornado's."""
    return Counter(
        f"{type(each).__module__}.{type(each).__qualname__}"
        for each in gc.get_objects()
        if str(type(each).__module__).partition(".")[0] in PACKAGES
    )


async def visit(address, kind, number):
    """Come, watch two rooms, call, and leave: with a farewell, or just so."""
    socket = await WebSocket.connect(address, kind, None)

    async def say(**message):
        await socket.send(json.dumps(message))

    await say(msg="connect", version="1", support=["1"])
    await say(msg="sub", id="own", name="room", params=[f"own{number % AT_ONCE}-", 3])
    await say(msg="sub", id="all", name="room", params=["all-", 5])
    await say(msg="method", id="m", method="echo", params=[number])
    left = {"own", "all", "m", "updated"}
    async for text in socket:
        message = json.loads(text)
        if message.get("msg") == "ready":
            left -= set(message["subs"])
        elif message.get("msg") == "result":
            assert message["result"] == number
            left.discard("m")
        elif message.get("msg") == "updated":
            left.discard("updated")
        if not left:
            break
    if number % 3 == 0:
        await say(msg="unsub", id="own")
    if number % 2:
        await say(msg="disconnect")
    await socket.close()


@pytest.mark.parametrize("kind", [RAW, SOCKJS])
async def test_nothing_is_left_of_clients_that_have_gone(kind):
    async with rooms_served() as (rooms, address):
        server = rooms.server

        async def some(first, last):
            places = asyncio.Semaphore(AT_ONCE)

            async def one(number):
                async with places:
                    await visit(address, kind, number)

            await asyncio.gather(*(one(number) for number in range(first, last)))
            while server._clients or server._transports or server.crossbar.observers:
                await asyncio.sleep(0)

        await some(0, 2 * AT_ONCE)
        await asyncio.sleep(0)
        gc.collect()
        gc.disable()  # what only it would find is to be found by this test
        try:
            before = ours()
            await some(0, VISITS // 2)
            # What closes now is held by callbacks of the event loop, for a few turns more.
            with suppress(TimeoutError):
                async with asyncio.timeout(30):
                    while ours() - before:
                        await asyncio.sleep(0.01)
            assert ours() - before == Counter()
            assert (server.sessions, server._handlers) == ({}, set())
            assert server.traffic.blocked == 0
        finally:
            gc.enable()
