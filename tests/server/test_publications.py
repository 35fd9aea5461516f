"""Publications: by hand and by live queries, named and universal."""

from __future__ import annotations

import asyncio
import json
import threading
from decimal import Decimal

import pytest
from memory_client import Client, client_of, turns

from ddpcore import UNSET, Change, DDPError, Document, LiveQuery, MeteorError, Op, Server
from ddpcore.live.query import MergedQueries


class Rows(LiveQuery):
    """A dictionary of rows as a live query."""

    def __init__(self, collection, rows, gate=None):
        self.collection = collection
        self.key = (collection, id(rows))
        self.topics = frozenset({collection})
        self.rows = rows
        self.gate = gate

    async def fetch(self):
        if self.gate is not None:
            await self.gate.wait()
        return {id: Document.of(self.collection, id, row) for id, row in self.rows.items()}


def server_of(handler):
    """A server with one publication, "it"."""
    server = Server()
    server.publish("it")(handler)
    return server


async def test_036_an_unknown_publication_is_404():
    async with client_of(Server()) as client:
        error = (await client.nosub(client.sub("nothing")))["error"]
        assert error["message"] == "Subscription 'nothing' not found [404]"


@pytest.mark.parametrize("threaded", [False, True])
async def test_037_documents_then_ready(threaded):
    def work(ctx, id):
        ctx.added("docs", id, {"a": 1})
        ctx.changed("docs", id, {"a": UNSET, "b": 2})
        ctx.added("docs", "gone", {})
        ctx.removed("docs", "gone")
        ctx.ready()
        ctx.ready()  # 047

    async def work_async(ctx, id):
        work(ctx, id)

    async with client_of(server_of(work if threaded else work_async)) as client:
        await client.ready(client.sub("it", "1"))
        assert client.store.docs("docs") == {"1": {"b": 2}}
        assert client.story == ["connected", "added", "changed", "added", "removed", "ready"]


async def test_038_a_duplicate_id_runs_nothing():
    calls = []

    def work(ctx):
        calls.append(1)
        ctx.ready()

    async with client_of(server_of(work)) as client:
        sub = client.sub("it")
        client.sub("it", id=sub)
        await client.ready(client.sub("it"))
        assert len(calls) == 2  # 057


def outgoing(client: Client) -> list[str]:
    """What is about to be sent to a client, with this turn of the loop."""
    outbox = client.receiver.machine.outbox
    frames = outbox.log[len(outbox.log) - outbox.fresh :]
    return [json.loads(frame.data)["msg"] for frame in frames]


async def test_042_removals_then_callbacks_then_nosub():
    async def work(ctx):
        ctx.added("docs", "1", {})
        ctx.on_stop(lambda: story.append(outgoing(client)))
        ctx.ready()

    story = []
    async with client_of(server_of(work)) as client:
        sub = client.sub("it")
        await client.ready(sub)
        client.forget()
        client.unsub(sub)
        await client.nosub(sub)
        assert story == [["removed"]]
        assert client.story == ["removed", "nosub"]


async def test_043_048_a_handler_that_stops_and_goes_on():
    async def work(ctx):
        ctx.added("docs", "1", {})
        ctx.stop()
        ctx.stop()
        ctx.error(MeteorError(1))
        ctx.added("docs", "2", {})
        ctx.changed("docs", "3", {})
        ctx.removed("docs", "3")
        ctx.ready()
        ctx.on_stop(lambda: late.append(1))

    late = []
    async with client_of(server_of(work)) as client:
        sub = client.sub("it")
        assert await client.nosub(sub) == {"msg": "nosub", "id": sub}
        await turns()
        assert client.story == ["connected", "added", "removed", "nosub"]
        assert late == [1]


async def test_044_an_error_for_the_client_takes_the_documents_back():
    async def work(ctx):
        ctx.added("docs", "1", {})
        raise MeteorError(403, "No")

    async with client_of(server_of(work)) as client:
        nosub = await client.nosub(client.sub("it"))
        assert nosub["error"]["reason"] == "No"
        assert client.story == ["connected", "added", "removed", "nosub"]


def raising(ctx):
    raise KeyError("secret")


def lying(ctx):
    return "documents"


def lying_in_a_list(ctx):
    return ["documents"]


def changing_nothing(ctx):
    ctx.changed("docs", "1", {"a": 1})


def removing_nothing(ctx):
    ctx.removed("docs", "1")


def adding_nonsense(ctx):
    ctx.added("docs", "1", {"a": Decimal(1)})


def adding_with_a_number(ctx):
    ctx.added("docs", 1, {})


def running_out(ctx):
    next(iter([]))


async def awaiting_cancelled(ctx):
    never = asyncio.get_running_loop().create_future()
    never.cancel()
    await never


def leaving(ctx):
    raise SystemExit


@pytest.mark.parametrize(
    "handler",
    [
        raising,
        lying,
        lying_in_a_list,
        changing_nothing,
        removing_nothing,
        adding_nonsense,
        adding_with_a_number,
        running_out,
        awaiting_cancelled,
        leaving,
    ],
)
async def test_045_053_080_a_failure_is_500_and_wedges_nothing(handler, expect_log):
    expect_log("ddpcore.server", "Exception in publication 'it'")
    async with client_of(server_of(handler)) as client:
        sub = client.sub("it")
        error = (await client.nosub(sub))["error"]
        assert (error["error"], error["reason"]) == (500, "Internal server error")
        await client.nosub(client.sub("next"))
        assert client.receiver.machine.subscriptions == {}


async def test_046_the_wrong_number_of_arguments_is_a_failed_match():
    async with client_of(server_of(lambda ctx, a: None)) as client:
        error = (await client.nosub(client.sub("it")))["error"]
        assert (error["error"], error["reason"]) == (400, "Match failed")


@pytest.mark.parametrize("value", [None, 0, "", False])
async def test_049_nothing_returned_nothing_ready(value):
    async with client_of(server_of(lambda ctx: value)) as client:
        client.sub("it")
        await client.nosub(client.sub("next"))
        assert "ready" not in client.story


async def test_050_a_live_query_becomes_ready_and_stays_live():
    rows = {"1": {"a": 1}}
    server = server_of(lambda ctx: Rows("docs", rows))
    async with client_of(server) as client:
        await client.ready(client.sub("it"))
        assert client.story == ["connected", "added", "ready"]
        rows["1"] = {"a": 2}
        await server.bus.publish(Change("docs", Op.UPDATE, "1"))
        await client.message(msg="changed")
        assert client.store.docs("docs") == {"1": {"a": 2}}


async def test_051_a_list_is_ready_once_with_all_documents():
    server = server_of(lambda ctx, *names: [Rows(name, {"1": {}}) for name in names])
    async with client_of(server) as client:
        await client.ready(client.sub("it", "b", "a"))
        assert client.story == ["connected", "added", "added", "ready"]
        await client.ready(client.sub("it"))


async def test_052_two_queries_of_one_collection_are_a_mistake(expect_log):
    server = server_of(lambda ctx: [Rows("c", {}), Rows("d", {}), Rows("c", {})])
    expect_log("ddpcore.server", "Exception in publication 'it'")
    async with client_of(server) as client:
        assert (await client.nosub(client.sub("it")))["error"]["error"] == 500


async def test_two_queries_of_one_collection_merge_where_that_is_meant():
    queries = Rows("c", {"1": {"a": 1}}), Rows("c", {"1": {"b": 2}, "2": {}})
    server = server_of(lambda ctx: MergedQueries(queries))
    async with client_of(server) as client:
        sub = client.sub("it")
        await client.ready(sub)
        assert client.store.docs("c") == {"1": {"a": 1, "b": 2}, "2": {}}
        client.unsub(sub)
        await client.nosub(sub)
        assert client.store.docs("c") == {}


async def test_054_a_slow_handler_delays_the_next_message():
    gate = asyncio.Event()

    async def work(ctx):
        await gate.wait()

    async with client_of(server_of(work)) as client:
        client.sub("it")
        unknown = client.method("unknown")
        await turns()
        assert client.story == ["connected"]
        gate.set()
        await client.answer(unknown)


async def test_055_056_unblock_in_a_publication():
    gate = asyncio.Event()

    async def work(ctx):
        ctx.unblock()
        await gate.wait()
        ctx.ready()

    async with client_of(server_of(work)) as client:
        sub = client.sub("it")
        await client.outcome("unknown")
        client.unsub(sub)
        await client.nosub(sub)
        gate.set()
        await turns()
        assert "ready" not in client.story


async def test_unsubscribing_while_the_database_is_asked_leaves_nothing():
    gate = asyncio.Event()

    async def work(ctx):
        ctx.unblock()
        return Rows("docs", {"1": {}}, gate)

    server = server_of(work)
    async with client_of(server) as client:
        sub = client.sub("it")
        await turns()
        client.unsub(sub)
        await client.nosub(sub)
        gate.set()
        await turns(20)
        assert "added" not in client.story
        assert server.crossbar.observers == 0


async def test_059_leaving_runs_callbacks_frees_queries_and_says_nothing():
    stopped = []

    def work(ctx):
        ctx.on_stop(lambda: stopped.append(1))
        ctx.added("docs", "0", {})
        return Rows("docs", {"1": {}})

    server = server_of(work)
    async with client_of(server) as client:
        await client.ready(client.sub("it"))
        client.forget()
        client.leave()
        await turns()
        assert stopped == [1]
        assert server.crossbar.observers == 0
        assert client.messages == []


async def test_a_thread_may_go_on_after_its_client_left():
    left, outcome = threading.Event(), []

    def work(ctx):
        ctx.added("docs", "1", {})
        left.wait(20)
        ctx.added("docs", "2", {})
        ctx.ready()
        ctx.on_stop(lambda: outcome.append("stopped"))

    async with client_of(server_of(work)) as client:
        client.sub("it")
        await client.message(msg="added")
        client.leave()
        left.set()
        while not outcome:
            await asyncio.sleep(0)
        assert client.story == ["connected", "added"]


# --- universal publications ----------------------------------------------------------------------


async def test_085_universal_publications_start_unasked_and_are_never_ready():
    server = Server()

    @server.publish(None)
    async def everyone(ctx):
        ctx.added("docs", "1", {})
        ctx.ready()

    async with client_of(server) as client:
        await client.message(msg="added")
        await turns()
        assert client.story == ["connected", "added"]


async def test_086_a_universal_publication_reaches_those_who_are_there():
    server = Server()
    async with client_of(server) as client:
        server.publish(None)(lambda ctx: Rows("docs", {"1": {}}))
        await client.message(msg="added")


async def test_a_universal_publication_that_fails_is_not_told(expect_log):
    expect_log("ddpcore.server", "Exception in publication universal")
    server = Server()

    @server.publish(None)
    async def everyone(ctx):
        ctx.added("docs", "1", {})
        raise KeyError

    async with client_of(server) as client:
        await client.message(msg="removed")
        await client.outcome("unknown")
        assert "nosub" not in client.story
        assert client.receiver.machine.universal == []


async def test_two_clients_share_an_observer():
    server = server_of(lambda ctx: query)
    query = Rows("docs", {"1": {}})
    async with client_of(server) as one:
        other = Client(server)
        other.connect()
        for client in (one, other):
            await client.ready(client.sub("it"))
        assert server.crossbar.observers == 1
        one.leave()
        other.leave()
        assert server.crossbar.observers == 0


def test_a_publication_is_defined_once():
    with pytest.raises(DDPError, match="already defined"):
        server_of(lambda ctx: None).publish("it")(lambda ctx: None)


def test_a_universal_publication_takes_no_arguments():
    with pytest.raises(MeteorError):
        Server().publish(None)(lambda ctx, a: None)
