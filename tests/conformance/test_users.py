"""85-96: universal publications, and a connection that becomes another user's."""

from __future__ import annotations

import asyncio

import pytest
from drivers import INTERNAL, Rows, added, changed, error, nosub, ready, removed

from ddpcore import MeteorError, Server


def login_server():
    """A server with a method that logs in as whoever is named."""
    server = Server()

    @server.method
    async def login(ctx, who: str | None):
        await ctx.set_user_id(who)
        return ctx.user_id

    return server


async def login(client, who):
    """Log in; all that comes before `updated` and `result`, which are the last."""
    await client.method("login", who)
    *heard, updated, result = await client.answered()
    assert updated == {"msg": "updated", "methods": ["m"]}
    assert result == {"msg": "result", "id": "m", "result": who}
    return heard


async def test_085_universal_publications_start_unasked(ddp):
    server = Server()

    @server.publish(None)
    async def by_hand(ctx):
        ctx.added("c", "1", {})
        ctx.ready()

    server.publish(None)(lambda ctx: Rows("d", {"2": {}}))
    async with ddp.client(server) as client:
        assert [await client.hear(), await client.hear()] == [added("c", "1"), added("d", "2")]
        assert await client.rest() == []


async def test_085_one_that_fails_takes_its_documents_back(ddp, expect_log):
    expect_log("ddpcore.server", "Exception in publication universal")
    server = Server()

    @server.publish(None)
    async def everyone(ctx):
        ctx.added("c", "1", {})
        raise KeyError

    async with ddp.client(server) as client:
        assert [await client.hear(), await client.hear()] == [added("c", "1"), removed("c", "1")]
        assert await client.rest() == []


async def test_086_a_new_universal_publication_reaches_who_is_there(ddp):
    server = Server()
    async with ddp.client(server) as client:
        server.publish(None)(lambda ctx: Rows("c", {"1": {}}))
        assert await client.hear() == added("c", "1")


async def test_087_a_login_runs_every_subscription_again(ddp):
    server, seen = login_server(), []

    @server.publish("p")
    async def p(ctx, name):
        seen.append((name, ctx.user_id))
        ctx.ready()

    async with ddp.client(server) as client:
        await client.subscribed("s", "p", "one")
        await client.subscribed("t", "p", "two")
        await login(client, "ann")
        assert seen == [("one", None), ("two", None), ("one", "ann"), ("two", "ann")]
        await login(client, None)
        assert seen[4:] == [("one", None), ("two", None)]


def personal():
    """A publication that shows each user something else."""
    server = login_server()

    @server.publish("p")
    async def p(ctx):
        ctx.added("c", "own" if ctx.user_id is None else ctx.user_id, {})
        ctx.added("c", "both", {"same": 1, "who": ctx.user_id})
        ctx.ready()

    return server


async def test_088_only_the_difference_is_sent(ddp):
    async with ddp.client(personal()) as client:
        heard = await client.subscribed("s", "p")
        assert heard == [added("c", "own"), added("c", "both", same=1, who=None), ready("s")]
        assert await login(client, "ann") == [
            removed("c", "own"), changed("c", "both", who="ann"), added("c", "ann"), ready("s")
        ]  # fmt: skip


@pytest.mark.parametrize("live", [False, True])
async def test_089_what_stays_the_same_is_not_sent(ddp, live):
    server = login_server()

    async def by_hand(ctx):
        ctx.added("c", "1", rows["1"])
        ctx.ready()

    rows = {"1": {"a": 1}}
    server.publish("p")((lambda ctx: Rows("c", rows)) if live else by_hand)
    async with ddp.client(server) as client:
        await client.subscribed("s", "p")
        assert await login(client, "ann") == [ready("s")]


async def test_090_one_ready_for_all_after_the_difference(ddp):
    server = login_server()

    @server.publish("p")
    async def p(ctx, name, is_ready):
        ctx.added("c", name, {"who": ctx.user_id})
        if is_ready:
            ctx.ready()

    async with ddp.client(server) as client:
        await client.subscribed("r", "p", "1", True)
        await client.sub("s", "p", "2", False)
        await client.subscribed("t", "p", "3", True)
        assert await login(client, "ann") == [
            *(changed("c", id, who="ann") for id in "123"), ready("r", "t")
        ]  # fmt: skip


async def test_091_an_error_comes_before_the_difference(ddp):
    server = login_server()

    @server.publish("p")
    async def p(ctx):
        ctx.added("c", "1", {"who": ctx.user_id})
        if ctx.user_id is not None:
            raise MeteorError(403, "Not you")
        ctx.ready()

    async with ddp.client(server) as client:
        await client.subscribed("s", "p")
        assert await login(client, "ann") == [
            {**nosub("s"), "error": error(403, "Not you")}, removed("c", "1")
        ]  # fmt: skip


async def test_092_the_old_callbacks_run_for_the_old_user(ddp):
    server, seen = login_server(), []

    @server.publish("p")
    async def p(ctx):
        session = server.sessions[ctx.connection.id]
        ctx.on_stop(lambda: seen.append((ctx.user_id, session.machine.user_id)))
        ctx.ready()

    async with ddp.client(server) as client:
        await client.subscribed("s", "p")
        for who in ("ann", "bob"):
            await login(client, who)
        assert seen == [(None, None), ("ann", "ann")]


async def test_093_the_same_user_again_is_a_rerun_all_the_same(ddp):
    server, runs = login_server(), []

    @server.publish("p")
    async def p(ctx):
        runs.append(ctx.user_id)
        ctx.ready()

    async with ddp.client(server) as client:
        await client.subscribed("s", "p")
        assert await login(client, None) == [ready("s")]
        assert await login(client, None) == [ready("s")]
        assert runs == [None, None, None]


@pytest.mark.parametrize("threaded", [False, True])
async def test_094_the_difference_precedes_updated_and_result(ddp, threaded):
    server = personal()

    @server.method
    def login_in_a_thread(ctx, who):
        ctx.set_user_id(who)

    async with ddp.client(server) as client:
        await client.subscribed("s", "p")
        await client.method("login_in_a_thread" if threaded else "login", "ann")
        kinds = [each["msg"] for each in await client.answered()]
        assert kinds == ["removed", "changed", "added", "ready", "updated", "result"]


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("wrong", ["unblocked", 5, ["ann"], True], ids=str)
async def test_095_a_login_that_cannot_be_is_500(ddp, threaded, wrong, expect_log):
    expect_log("ddpcore.server", "Exception in method 'it'")
    server = Server()

    def work(ctx):
        if wrong == "unblocked":
            ctx.unblock()
        return ctx.set_user_id(wrong)

    async def work_async(ctx):
        await work(ctx)

    server.method("it")(work if threaded else work_async)
    async with ddp.client(server) as client:
        assert await client.error("it") == INTERNAL
        assert server.sessions[client.session].machine.user_id is None


async def test_096_universal_publications_are_waited_for_in_a_login(ddp):
    server, gate = login_server(), asyncio.Event()
    gate.set()

    @server.publish(None)
    async def own_document(ctx):
        if ctx.user_id is not None:
            await gate.wait()
            ctx.added("users", ctx.user_id, {"name": ctx.user_id})

    async with ddp.client(server) as client:
        assert await login(client, "ann") == [added("users", "ann", name="ann")]
        assert await login(client, "ann") == []  # and the same user's document does not flicker
        gate.clear()
        await client.method("login", "bob")
        assert await client.pinged() == []
        gate.set()
        heard = await client.answered()
        assert heard[:2] == [removed("users", "ann"), added("users", "bob", name="bob")]
        assert [each["msg"] for each in heard[2:]] == ["updated", "result"]
