"""A server to be looked at: rooms to watch, users to be, and a handler that fails."""

from __future__ import annotations

from rooms import Rooms

from ddpcore import MemoryBus, hookimpl


class Claims(MemoryBus):
    """Says that it crosses processes, which no test with it puts to the proof."""

    crosses_processes = True


class Buses:
    @hookimpl
    def ddpcore_bus(self, url):
        return Claims() if url == "claims:" else None


rooms = Rooms(plugins=[Buses()])
server = rooms.server


@server.method
async def be(ctx, user):
    await ctx.set_user_id(user)


@server.method
async def fail(ctx):
    raise KeyError("a secret")


@server.method
async def change(ctx, key):
    await rooms.change(key)
