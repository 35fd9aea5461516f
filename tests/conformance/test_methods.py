"""97-118: calls, their answers, what they see, and the ids they draw. See docs/reference/conformance.md."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from drivers import INTERNAL, UNMATCHED, Rows, Stage, added, changed, error, ready

from ddpcore import UNSET, Change, MeteorError, Op, Server, WriteFence

UPDATED = {"msg": "updated", "methods": ["m"]}


def server_of(**methods):
    """A server with these methods."""
    server = Server()
    for name, function in methods.items():
        server.method(name)(function)
    return server


# --- calls and answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [{"id": None}, {"id": 5}, {"id": UNSET}, {"method": 5}, {"method": UNSET}, {"params": None},
     {"params": {"0": 1}}, {"params": "a"}, {"randomSeed": None}, {"randomSeed": 5}],
    ids=str,
)  # fmt: skip
async def test_097_a_malformed_call_gets_an_error_alone(ddp, wrong):
    calls = []
    async with ddp.client(server_of(work=lambda ctx: calls.append(1))) as client:
        message = {"msg": "method", "id": "m", "method": "work", "params": []} | wrong
        message = {name: value for name, value in message.items() if value is not UNSET}
        await client.say(**message)
        assert await client.rest() == [
            {"msg": "error", "reason": "Malformed method invocation", "offendingMessage": message}
        ]
        assert calls == []


async def test_097_the_message_comes_back_in_plain_json(ddp):
    async with ddp.client(Server()) as client:
        params = [{"$date": 0}, {"$binary": "AQI="}, {"$escape": {"$date": 0}}]
        await client.say(msg="method", params=params, cleared=["a"])
        assert (await client.hear())["offendingMessage"] == {
            "msg": "method",
            "params": ["1970-01-01T00:00:00.000Z", {"0": 1, "1": 2}, {"$date": 0}],
            "fields": {},
        }


@pytest.mark.parametrize("name", ["nothing", "", "constructor", "__proto__", "hasOwnProperty"])
async def test_098_an_unknown_method_is_404(ddp, name):
    async with ddp.client(Server()) as client:
        await client.method(name, 1)
        assert await client.rest() == [
            {"msg": "result", "id": "m", "error": error(404, f"Method '{name}' not found")},
            UPDATED,
        ]


async def test_099_each_call_has_one_result_and_one_updated(ddp, expect_log):
    expect_log("ddpcore.server", "Exception in method")

    async def fine(ctx):
        pass

    def refuses(ctx):
        raise MeteorError(1)

    async def fails(ctx):
        raise KeyError

    async def unblocks(ctx):
        ctx.unblock()

    async with ddp.client(
        server_of(fine=fine, refuses=refuses, fails=fails, unblocks=unblocks)
    ) as client:
        names = ["fine", "refuses", "fails", "unblocks", "unknown"] * 2
        for number, name in enumerate(names):
            await client.method(name, id=str(number))
        heard = []
        while len(heard) < 2 * len(names):
            heard.append(await client.hear())
        assert await client.rest() == []
        numbers = sorted(str(number) for number in range(len(names)))
        assert sorted(each["id"] for each in heard if each["msg"] == "result") == numbers
        assert sorted(each["methods"][0] for each in heard if each["msg"] == "updated") == numbers


async def test_100_undefined_is_no_result_and_none_is_null(ddp):
    async with ddp.client(server_of(undefined=lambda ctx: UNSET, null=lambda ctx: None)) as client:
        assert await client.result("undefined") == {"msg": "result", "id": "m"}
        assert await client.result("null") == {"msg": "result", "id": "m", "result": None}


async def test_101_params_and_results_are_ejson(ddp):
    seen = []

    async def later(ctx, when, data):
        seen.append((when, data))
        return [when, {"data": data}]

    date, data = {"$date": 1_000}, {"$binary": "AQI="}
    async with ddp.client(server_of(later=later)) as client:
        assert (await client.result("later", date, data))["result"] == [date, {"data": data}]
        assert seen == [(datetime.fromtimestamp(1, UTC), b"\1\2")]


async def test_102_calls_run_one_after_another(ddp):
    story = []

    async def work(ctx, name):
        story.append(f"{name} begins")
        await asyncio.sleep(0)
        story.append(f"{name} ends")

    async with ddp.client(server_of(work=work)) as client:
        for name in "ab":
            await client.method("work", name, id=name)
        await client.answered("b")
        assert story == ["a begins", "a ends", "b begins", "b ends"]


async def test_103_unblock_lets_others_overtake(ddp):
    gate = asyncio.Event()

    async def slow(ctx):
        ctx.unblock()
        await gate.wait()

    async with ddp.client(server_of(slow=slow, fast=lambda ctx: "fast")) as client:
        await client.method("slow", id="1")
        assert (await client.result("fast"))["result"] == "fast"
        gate.set()
        await client.answered("1")


async def test_104_calls_of_two_clients_run_side_by_side(ddp):
    meeting = asyncio.Barrier(2)

    async def meet(ctx):
        await meeting.wait()

    async with ddp.place(server_of(meet=meet)) as place:
        clients = await place.client(), await place.client()
        for client in clients:
            await client.method("meet")
        for client in clients:
            await client.answered()


# --- writes --------------------------------------------------------------------------------------


class Books:
    """A server with rows that a method changes, a publication of them, and a gate before them."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {"1": {"a": 0}}
        self.gate = asyncio.Event()
        self.gate.set()
        self.query = Rows("books", self.rows, self.gate)
        self.server = Server()
        self.server.publish("books")(lambda ctx: self.query)

        @self.server.method
        async def write(ctx, value):
            await self.change(value)
            if value == "fail":
                raise MeteorError(1)
            return "done"

    async def change(self, value):
        self.rows["1"] = {"a": value}
        WriteFence.mark()  # as those do who capture writes
        await self.server.bus.publish(Change("books", Op.UPDATE, "1"))


@pytest.mark.parametrize("value", [5, "fail"])
async def test_105_data_precedes_updated(ddp, value):
    books = Books()
    async with ddp.client(books.server) as client:
        await client.subscribed("s", "books")
        await client.method("write", value)
        heard = await client.answered()
        assert changed("books", "1", a=value) in heard[: heard.index(UPDATED)]


async def test_105_also_by_hand(ddp):
    stage = Stage()

    @stage.server.method
    async def write(ctx):
        stage.contexts[0].added("c", "1", {})

    async with ddp.client(stage.server) as client:
        await stage.enter(client, "s")
        await client.method("write")
        assert (await client.answered())[:2] == [added("c", "1"), UPDATED]


@pytest.mark.parametrize("subscribed", [False, True])
async def test_106_updated_comes_without_data_as_well(ddp, subscribed):
    books = Books()
    async with ddp.client(books.server) as client:
        if subscribed:
            await client.subscribed("s", "books")
        await client.method("write", 0)  # the value it has
        kinds = [each["msg"] for each in await client.answered()]
        assert sorted(kinds) == ["result", "updated"]


async def test_107_updated_waits_for_the_observers(ddp):
    books = Books()
    async with ddp.client(books.server) as client:
        assert await client.subscribed("s", "books") == [added("books", "1", a=0), ready("s")]
        books.gate.clear()
        await client.method("write", 5)
        assert await client.hear() == {"msg": "result", "id": "m", "result": "done"}
        assert await client.rest() == []  # the next message need not wait
        books.gate.set()
        assert [await client.hear(), await client.hear()] == [changed("books", "1", a=5), UPDATED]


async def test_108_a_call_that_is_sent_again_runs_again(ddp):
    calls = []

    async def count(ctx):
        calls.append(1)
        return len(calls)

    async with ddp.place(server_of(count=count)) as place:
        client = await place.client()
        assert [(await client.result("count"))["result"] for _ in range(2)] == [1, 2]
        await client.leave()
        again = await place.stranger()
        await again.connect(session=client.session)  # as clients before Meteor 3.5
        assert again.session != client.session
        assert (await again.result("count"))["result"] == 3


async def test_108_but_not_in_a_session_that_goes_on(ddp):
    calls, gate = [], asyncio.Event()

    async def count(ctx):
        calls.append(1)
        await gate.wait()
        return len(calls)

    async with ddp.place(server_of(count=count)) as place:
        client = await place.client()
        await client.method("count")
        assert await client.pinged() == []
        await client.leave()
        again = await place.stranger()
        await again.connect(session=client.session, receivedCount=1)
        await again.method("count")
        assert await again.pinged() == []
        gate.set()
        assert (await again.answered())[1]["result"] == 1
        assert await again.rest() == []


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (MeteorError(403, "No", [1]), error(403, "No", details=[1])),
        (MeteorError("busy", "Come again"), error("busy", "Come again")),
        (
            MeteorError("busy"),
            {
                "isClientSafe": True,
                "error": "busy",
                "message": "[busy]",
                "errorType": "Meteor.Error",
            },
        ),
    ],
    ids=str,
)
async def test_109_errors_for_clients_are_preserved(ddp, problem, expected):
    def refuse(ctx):
        raise problem

    async with ddp.client(server_of(refuse=refuse)) as client:
        assert await client.error("refuse") == expected


async def test_110_internal_errors_leak_nothing(ddp, expect_log):
    expect_log("ddpcore.server", "Exception in method 'fail'")

    def fail(ctx):
        raise KeyError("secret")

    async with ddp.client(server_of(fail=fail)) as client:
        assert await client.error("fail") == INTERNAL


@pytest.mark.parametrize("params", [["5"], [], [1, 2], [None], [{"$date": 1}]], ids=str)
async def test_111_wrong_arguments_are_400(ddp, params):
    def half(ctx, number: int):
        return number / 2

    async with ddp.client(server_of(half=half)) as client:
        assert await client.error("half", *params) == UNMATCHED
        assert (await client.result("half", 5))["result"] == 2.5


async def test_112_details_are_plain_json(ddp):
    def refuse(ctx):
        raise MeteorError(1, "No", {"when": datetime.fromtimestamp(0, UTC), "data": b"\1\2"})

    async with ddp.client(server_of(refuse=refuse)) as client:
        details = (await client.error("refuse"))["details"]
        assert details == {"when": "1970-01-01T00:00:00.000Z", "data": {"0": 1, "1": 2}}


# --- calls within calls, and random ids ----------------------------------------------------------


async def test_113_a_nested_call_is_the_same_callers(ddp):
    async def outer(ctx):
        await ctx.set_user_id("ann")
        return await ctx.call("inner")

    async def inner(ctx):
        return [ctx.user_id, ctx.connection.id, ctx.random.id("x")]

    async with ddp.client(server_of(outer=outer, inner=inner)) as client:
        user, connection, id = (await client.result("outer", randomSeed="SEED"))["result"]
        assert (user, connection) == ("ann", client.session)
        assert id == "37jigeTAEtMLNvdCF"  # of the derived seed: see 115


async def test_114_a_seed_makes_the_clients_ids(ddp):
    async def draw(ctx):
        return [ctx.random.id(name) for name in ("tasks", "lists", "tasks", "tasks")]

    async with ddp.client(server_of(draw=draw)) as client:
        ids = (await client.result("draw", randomSeed="abc"))["result"]
        assert ids == [
            "heudbyRfym38smHdm", "yosncvbKaikrD7YiM", "BCdakTwCSiCukqoCd", "394R6kiLqhrWq3F6T"
        ]  # fmt: skip
        ids = (await client.result("draw", randomSeed="deadbeefdeadbeefdead"))["result"]
        assert ids[:3] == ["f4Dkpoda9EzzkgL7P", "i3sjBq79AiJueXZiY", "qmPDcWafTGzRs5LjB"]


async def test_115_nested_calls_draw_as_meteors_do(ddp):
    async def inner(ctx):
        return ctx.random.id("x")

    async def outer(ctx):
        return [await ctx.call("inner"), await ctx.call("inner")]

    async with ddp.client(server_of(outer=outer, inner=inner)) as client:
        ids = (await client.result("outer", randomSeed="SEED"))["result"]
        assert ids == ["37jigeTAEtMLNvdCF", "8ZyL3iCYAfux5tGQw"]


@pytest.mark.parametrize("more", [{}, {"randomSeed": ""}], ids=str)
async def test_116_without_a_seed_ids_are_unique(ddp, more):
    async def draw(ctx):
        return [ctx.random.id("tasks") for _ in range(10)]

    async with ddp.client(server_of(draw=draw)) as client:
        ids = [id for _ in range(2) for id in (await client.result("draw", **more))["result"]]
        assert len(set(ids)) == 20
        assert {len(id) for id in ids} == {17}


# --- the connection ------------------------------------------------------------------------------


@pytest.mark.parametrize("threaded", [False, True])
async def test_117_a_method_may_close_the_connection(ddp, threaded):
    closed = asyncio.Queue()

    def bye(ctx):
        ctx.connection.on_close(lambda: closed.put_nowait(ctx.connection.id))
        ctx.connection.close()
        ctx.connection.close()

    async def bye_async(ctx):
        bye(ctx)

    async with ddp.place(server_of(bye=bye if threaded else bye_async)) as place:
        client = await place.client()
        await client.method("bye")
        assert (await client.closed()).args == (1000, "Normal closure")
        assert await closed.get() == client.session
        await client.leave()
        assert await (await place.client()).rest() == []
        assert closed.empty()


ONE_TWO_THREE = " 10.0.0.1, 10.0.0.2 ,10.0.0.3"


@pytest.mark.parametrize(
    ("count", "forwarded", "address"),
    [
        (0, None, "127.0.0.1"),
        (0, ONE_TWO_THREE, "127.0.0.1"),
        (1, ONE_TWO_THREE, "10.0.0.3"),
        (2, ONE_TWO_THREE, "10.0.0.2"),
        (3, ONE_TWO_THREE, "10.0.0.1"),
        (4, ONE_TWO_THREE, None),
        (-1, ONE_TWO_THREE, None),
        (1, "10.0.0.1", "10.0.0.1"),
        (1, None, None),
    ],
)
async def test_118_the_address_behind_proxies(ddp, count, forwarded, address):
    server = Server(forwarded_count=count)
    server.method("where")(lambda ctx: ctx.connection.client_address)
    async with ddp.place(server) as place:
        headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
        client = await place.stranger(headers)
        await client.connect()
        assert (await client.result("where"))["result"] == address
