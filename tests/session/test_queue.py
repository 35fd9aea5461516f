"""How many messages of a client wait for their turn."""

from __future__ import annotations

import asyncio

from memory_client import client_of, turns

from ddpcore import Server


async def test_messages_wait_for_the_method_before_them():
    server, gate = Server(), asyncio.Event()

    @server.method
    async def wait(ctx):
        await gate.wait()

    async with client_of(server) as client:
        (session,) = server.sessions.values()
        ids = [client.method("wait") for _ in range(3)]
        await turns()
        assert session.machine.queued == 2
        gate.set()
        for id in ids:
            await client.answer(id)
        assert session.machine.queued == 0
