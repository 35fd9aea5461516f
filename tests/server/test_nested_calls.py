"""Methods that call methods."""

from __future__ import annotations

import pytest
from memory_client import Client, running

from ddpcore import DDPError, MeteorError, Server


async def answer_of(server, name, *params, **more):
    async with running(server):
        client = Client(server)
        client.connect()
        client.put(msg="method", id="1", method=name, params=list(params), **more)
        return await client.answer("1")


async def test_113_a_nested_call_shares_user_and_connection():
    server = Server()

    @server.method
    async def inner(ctx, value: int):
        return [value, ctx.user_id, ctx.connection.id]

    @server.method
    async def outer(ctx):
        await ctx.set_user_id("ann")
        return [await ctx.call("inner", 5), ctx.connection.id]

    inner_answer, id = (await answer_of(server, "outer"))["result"]
    assert inner_answer == [5, "ann", id]


async def test_115_nested_seeds_follow_the_vectors():
    """Through Meteor's server: seed "SEED", `inner` called twice, ids of /collection/x."""
    server = Server()

    @server.method
    async def inner(ctx):
        return [ctx._item.random_seed, ctx.random.id("x")]

    @server.method
    async def outer(ctx):
        return [await ctx.call("inner"), await ctx.call("inner")]

    answer = await answer_of(server, "outer", randomSeed="SEED")
    assert answer["result"] == [
        ["443bdfe8eb18f67b1855", "37jigeTAEtMLNvdCF"],
        ["412788bdf0f3691356e6", "8ZyL3iCYAfux5tGQw"],
    ]


async def test_a_def_handler_calls_def_methods_only():
    server = Server()
    problems = []

    @server.method
    def inner(ctx, values):
        values.append(1)
        return values

    @server.method
    async def later(ctx):
        """Never run."""

    @server.method
    def outer(ctx):
        mine = [0]
        with pytest.raises(DDPError, match="async def handler"):
            ctx.call("later")
        with pytest.raises(MeteorError, match="Method 'nope' not found"):
            ctx.call("nope")
        with pytest.raises(MeteorError, match="Match failed"):
            ctx.call("inner")
        theirs = ctx.call("inner", mine)
        problems.append(mine is theirs)
        return [mine, theirs]

    assert (await answer_of(server, "outer"))["result"] == [[0], [0, 1]]
    assert problems == [False]


async def test_unblocking_and_logging_in_within():
    server = Server()

    @server.method
    def log_in(ctx, who: str):
        ctx.unblock()
        ctx.set_user_id(who)

    @server.method
    def outer(ctx):
        ctx.call("log_in", "ann")
        return ctx.user_id

    assert (await answer_of(server, "outer"))["result"] == "ann"
