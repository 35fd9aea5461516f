"""34-59: sub, unsub, nosub, ready, and whose turn it is. See docs/reference/conformance.md."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial

import pytest
from drivers import INTERNAL, UNMATCHED, Rows, Stage, added, changed, error, nosub, ready, removed

from ddpcore import Change, MeteorError, Op, Server


def server_of(handler, **options):
    """A server with one publication, "it", and a method "nothing"."""
    server = Server(**options)
    server.publish("it")(handler)
    server.method("nothing")(lambda ctx: None)
    return server


def malformed(message):
    return {"msg": "error", "reason": "Malformed subscription", "offendingMessage": message}


@pytest.mark.parametrize(
    "wrong",
    [{"name": "p"}, {"id": 5, "name": "p"}, {"id": None, "name": "p"}, {"id": "s"},
     {"id": "s", "name": 5}, {"id": "s", "name": ["p"]}, {}],
    ids=str,
)  # fmt: skip
async def test_034_a_sub_needs_id_and_name(ddp, wrong):
    stage = Stage()
    async with ddp.client(stage.server) as client:
        message = {"msg": "sub", **wrong, "params": []}
        await client.say(**message)
        assert await client.rest() == [malformed(message)]
        assert stage.contexts == []


async def test_034_an_empty_id_is_an_id(ddp):
    stage = Stage()
    async with ddp.client(stage.server) as client:
        await stage.enter(client, "")
        await client.say(msg="unsub", id="")
        assert await client.hear() == nosub("")


@pytest.mark.parametrize("params", [None, {"a": 1}, "a", 5])
async def test_035_params_are_a_list(ddp, params):
    async with ddp.client(Stage().server) as client:
        message = {"msg": "sub", "id": "s", "name": "p", "params": params}
        await client.say(**message)
        assert await client.rest() == [malformed(message)]


async def test_035_without_params_there_are_none(ddp):
    seen = []

    async def it(ctx, *params):
        seen.append(params)
        ctx.ready()

    async with ddp.client(server_of(it)) as client:
        await client.say(msg="sub", id="s", name="it")
        assert await client.hear() == ready("s")
        assert seen == [()]


@pytest.mark.parametrize("name", ["nothing", "", "constructor", "__proto__", "toString"])
async def test_036_an_unknown_publication_is_404(ddp, name):
    async with ddp.client(Server()) as client:
        problem = await client.refused("s", name)
        assert problem == error(404, f"Subscription '{name}' not found")
        assert await client.rest() == []


async def test_037_documents_then_ready(ddp):
    def it(ctx, *ids):
        for id in ids:
            ctx.added("c", id, {"a": 1})
        ctx.ready()

    async with ddp.client(server_of(it)) as client:
        heard = await client.subscribed("s", "it", "1", "2")
        assert heard == [added("c", "1", a=1), added("c", "2", a=1), ready("s")]


async def test_038_a_duplicate_id_is_ignored(ddp):
    runs = []

    async def it(ctx, *params):
        runs.append(params)
        ctx.ready()

    async with ddp.client(server_of(it)) as client:
        await client.subscribed("s", "it")
        await client.sub("s", "it", "other params")
        assert await client.rest() == []
        assert runs == [()]


async def test_039_a_duplicate_id_with_an_unknown_name_hurts_nothing(ddp):
    stage = Stage()
    async with ddp.client(stage.server) as client:
        sub = await stage.enter(client, "s")
        assert (await client.refused("s", "nothing"))["error"] == 404
        sub.added("c", "1", {})
        assert await client.hear() == added("c", "1")
        await client.say(msg="unsub", id="s")
        assert [await client.hear(), await client.hear()] == [removed("c", "1"), nosub("s")]


async def test_040_unsub_removes_what_no_other_holds(ddp):
    stage = Stage()
    async with ddp.client(stage.server) as client:
        one, two = await stage.enter(client, "s"), await stage.enter(client, "t")
        for sub, ids in ((one, "123"), (two, "2")):
            for id in ids:
                sub.added("c", id, {})
        assert await client.rest() == [added("c", id) for id in "123"]
        await client.say(msg="unsub", id="s")
        assert await client.until(msg="nosub", id="s") == [
            removed("c", "1"), removed("c", "3"), nosub("s")
        ]  # fmt: skip


async def test_041_unsub_is_answered_in_any_case(ddp):
    stage = Stage()
    async with ddp.client(stage.server) as client:
        await stage.enter(client, "s")
        for id in ("unknown", "s", "s"):
            await client.say(msg="unsub", id=id)
            assert await client.hear() == nosub(id)
        await client.say(msg="unsub")
        assert await client.hear() == {"msg": "nosub"}


@pytest.mark.parametrize("id", [5, None, ["s"], {"a": 1}, True], ids=str)
async def test_041_an_unsub_with_a_wrong_id_wedges_nothing(ddp, id):
    stage = Stage()
    async with ddp.client(stage.server) as client:
        message = {"msg": "unsub", "id": id}
        await client.say(**message)
        assert await client.hear() == {
            "msg": "error", "reason": "Malformed unsubscription", "offendingMessage": message
        }  # fmt: skip
        await stage.enter(client, "s")


async def test_042_removals_then_callbacks_then_nosub(ddp):
    stage = Stage()
    async with ddp.client(stage.server) as client:
        one, two = await stage.enter(client, "s"), await stage.enter(client, "t")
        one.added("c", "1", {})
        one.on_stop(lambda: two.added("c", "from the callback", {}))
        assert await client.hear() == added("c", "1")
        await client.say(msg="unsub", id="s")
        assert await client.until(msg="nosub", id="s") == [
            removed("c", "1"), added("c", "from the callback"), nosub("s")
        ]  # fmt: skip


@pytest.mark.parametrize("threaded", [False, True])
async def test_043_a_handler_may_stop(ddp, threaded):
    def work(ctx):
        ctx.added("c", "1", {})
        ctx.stop()

    async def work_async(ctx):
        work(ctx)

    async with ddp.client(server_of(work if threaded else work_async)) as client:
        await client.sub("s", "it")
        assert await client.until(msg="nosub") == [added("c", "1"), removed("c", "1"), nosub("s")]


async def test_044_an_error_for_clients_takes_all_back(ddp):
    async def it(ctx):
        ctx.added("c", "1", {})
        ctx.added("c", "2", {})
        raise MeteorError(403, "No", {"why": 1})

    async with ddp.client(server_of(it)) as client:
        await client.sub("s", "it")
        heard = await client.until(msg="nosub")
        assert heard[2:4] == [removed("c", "1"), removed("c", "2")]
        assert heard[4:] == [{**nosub("s"), "error": error(403, "No", details={"why": 1})}]


async def test_045_an_internal_error_is_500(ddp, expect_log):
    def it(ctx):
        raise KeyError("secret")

    expect_log("ddpcore.server", "Exception in publication 'it'")
    async with ddp.client(server_of(it)) as client:
        assert await client.refused("s", "it") == INTERNAL


@pytest.mark.parametrize("params", [["5"], [], [1, 2], [None], [True], [1.5]], ids=str)
async def test_046_wrong_arguments_are_400(ddp, params):
    def it(ctx, number: int):
        ctx.ready()

    async with ddp.client(server_of(it)) as client:
        assert await client.refused("s", "it", *params) == UNMATCHED
        await client.subscribed("s", "it", 5)


async def test_047_ready_counts_once(ddp):
    stage = Stage()
    async with ddp.client(stage.server) as client:
        sub = await stage.enter(client, "s")
        sub.ready()
        assert await client.rest() == []


async def test_048_after_the_stop_nothing_counts(ddp):
    stage = Stage()
    async with ddp.client(stage.server) as client:
        sub = await stage.enter(client, "s")
        sub.added("c", "1", {})
        sub.stop()
        sub.stop()
        sub.added("c", "2", {})
        sub.changed("c", "1", {"a": 1})
        sub.removed("c", "3")
        sub.ready()
        sub.error(MeteorError(1, "late"))
        assert await client.rest() == [added("c", "1"), removed("c", "1"), nosub("s")]


@pytest.mark.parametrize("value", [None, 0, "", False, {}], ids=str)
async def test_049_nothing_returned_nothing_ready(ddp, value):
    async with ddp.client(server_of(lambda ctx: value)) as client:
        await client.sub("s", "it")
        assert await client.rest() == []


async def test_050_a_query_becomes_ready_and_stays_live(ddp):
    rows = {"1": {"a": 1}, "2": {}}
    server = server_of(lambda ctx: Rows("c", rows))
    async with ddp.client(server) as client:
        heard = await client.subscribed("s", "it")
        assert heard == [added("c", "1", a=1), added("c", "2"), ready("s")]
        rows["1"] = {"a": 2}
        await server.bus.publish(Change("c", Op.UPDATE, "1"))
        assert await client.hear() == changed("c", "1", a=2)


async def test_051_several_queries_become_ready_once(ddp):
    server = server_of(lambda ctx, *names: [Rows(name, {"1": {}}) for name in names])
    async with ddp.client(server) as client:
        heard = await client.subscribed("s", "it", "b", "a")
        assert heard == [added("b", "1"), added("a", "1"), ready("s")]
        assert await client.subscribed("t", "it") == [ready("t")]
        assert await client.rest() == []


async def test_052_two_queries_of_one_collection_are_500(ddp, expect_log):
    expect_log("ddpcore.server", "Exception in publication 'it'")
    server = server_of(lambda ctx: [Rows("c", {"1": {}}), Rows("c", {"2": {}})])
    async with ddp.client(server) as client:
        assert await client.refused("s", "it") == INTERNAL
        assert server.crossbar.observers == 0


@pytest.mark.parametrize("value", [5, "rows", {"1": 2}, ["rows"], [None]], ids=str)
async def test_053_anything_else_returned_is_500(ddp, value, expect_log):
    expect_log("ddpcore.server", "Exception in publication 'it'")
    async with ddp.client(server_of(lambda ctx: value)) as client:
        assert await client.refused("s", "it") == INTERNAL


async def test_054_a_slow_handler_delays_the_next_message(ddp):
    gate = asyncio.Event()

    async def it(ctx):
        await gate.wait()
        ctx.ready()

    async with ddp.client(server_of(it)) as client:
        await client.sub("s", "it")
        await client.method("nothing")
        assert await client.pinged() == []
        gate.set()
        heard = await client.answered()
        assert [each["msg"] for each in heard] == ["ready", "updated", "result"]


async def test_055_unblock_lets_the_next_message_proceed(ddp):
    gate = asyncio.Event()

    async def it(ctx):
        ctx.unblock()
        ctx.unblock()
        await gate.wait()
        ctx.ready()

    async with ddp.client(server_of(it)) as client:
        await client.sub("s", "it")
        assert (await client.result("nothing"))["result"] is None
        gate.set()
        assert await client.hear() == ready("s")


async def test_056_unsub_waits_for_the_handler(ddp):
    gate = asyncio.Event()

    async def it(ctx):
        ctx.added("c", "1", {})
        await gate.wait()
        ctx.ready()

    async with ddp.client(server_of(it)) as client:
        await client.sub("s", "it")
        assert await client.hear() == added("c", "1")
        await client.say(msg="unsub", id="s")
        assert await client.pinged() == []
        gate.set()
        assert await client.until(msg="nosub") == [ready("s"), removed("c", "1"), nosub("s")]


async def test_057_one_publication_may_run_twice(ddp):
    stage = Stage()
    async with ddp.client(stage.server) as client:
        await stage.enter(client, "s")
        await stage.enter(client, "t")
        assert len(stage.contexts) == 2


async def test_058_params_are_decoded_and_the_handlers_own(ddp):
    seen = []

    async def it(ctx, when, values):
        seen.append((when, list(values)))
        values.append("mutated")
        ctx.ready()

    server = server_of(it)

    @server.method
    async def login(ctx):
        await ctx.set_user_id("ann")

    async with ddp.client(server) as client:
        await client.subscribed("s", "it", {"$date": 0}, [1])
        await client.method("login")
        await client.answered()
        assert seen == [(datetime.fromtimestamp(0, UTC), [1])] * 2


async def test_059_who_leaves_is_not_told_and_every_callback_runs(ddp):
    stage, stopped = Stage(grace_period=0), asyncio.Queue()
    async with ddp.place(stage.server) as place:
        client = await place.client()
        for id in ("s", "t"):
            sub = await stage.enter(client, id)
            sub.added("c", id, {})
            assert await client.hear() == added("c", id)
            sub.on_stop(partial(stopped.put_nowait, id))
        await client.leave()
        assert [await stopped.get(), await stopped.get()] == ["s", "t"]
        assert place.server.sessions == {}
