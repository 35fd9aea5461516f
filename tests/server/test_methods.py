"""Methods: what clients call, `def` and `async def`."""

from __future__ import annotations

import asyncio
import sys
import threading
from decimal import Decimal

import pytest
from memory_client import client_of, turns

from ddpcore import UNSET, DDPError, MeteorError, Server
from ddpcore.live.fence import WriteFence
from ddpcore.session.machine import Session


async def test_098_an_unknown_method_is_404():
    async with client_of(Server()) as client:
        result = await client.outcome("nothing")
        assert result["error"]["message"] == "Method 'nothing' not found [404]"


@pytest.mark.parametrize("failing", [False, True])
async def test_099_every_method_gets_one_result_and_one_updated(failing, expect_log):
    server = Server()

    @server.method
    async def work(ctx):
        return 1 / (not failing)

    if failing:
        expect_log("ddpcore.server", "Exception in method 'work'")
    async with client_of(server) as client:
        await client.outcome("work")
        assert client.story == ["connected", "updated", "result"]


async def test_100_undefined_and_null_differ():
    server = Server()
    server.method("null")(lambda ctx: None)
    server.method("undefined")(lambda ctx: UNSET)
    async with client_of(server) as client:
        assert await client.outcome("null") == {"msg": "result", "id": "1", "result": None}
        assert await client.outcome("undefined") == {"msg": "result", "id": "2"}


async def test_058_101_params_and_result_are_ejson():
    server = Server()
    server.method("echo")(lambda ctx, value: value)
    async with client_of(server) as client:
        for value in ({"$date": 5}, {"$binary": "AAE="}, {"$escape": {"$date": 5}}, {"a": [None]}):
            assert (await client.outcome("echo", value))["result"] == value


async def test_102_methods_of_one_client_run_in_order():
    server, running, gate = Server(), [], asyncio.Event()

    @server.method
    async def work(ctx, number):
        running.append(number)
        await gate.wait()

    async with client_of(server) as client:
        ids = [client.method("work", number) for number in (1, 2, 3)]
        await turns()
        assert running == [1]
        gate.set()
        await client.answer(ids[-1])
        assert running == [1, 2, 3]


async def test_026_103_unblock_and_pings():
    server, gate = Server(), asyncio.Event()

    @server.method
    async def slow(ctx):
        ctx.unblock()
        ctx.unblock()
        await gate.wait()

    server.method("quick")(lambda ctx: 1)
    async with client_of(server) as client:
        slow_id = client.method("slow")
        client.put(msg="ping")
        await client.message(msg="pong")
        await client.outcome("quick")
        gate.set()
        await client.answer(slow_id)


async def test_unblock_from_a_thread():
    server, gate = Server(), threading.Event()

    @server.method
    def slow(ctx):
        ctx.unblock()
        return gate.wait(20)

    server.method("open")(lambda ctx: gate.set())
    async with client_of(server) as client:
        slow_id = client.method("slow")
        await client.outcome("open")
        assert (await client.answer(slow_id))["result"] is True


async def test_108_the_same_id_runs_again():
    server, calls = Server(), []
    server.method("work")(lambda ctx: calls.append(1))
    async with client_of(server) as client:
        await client.answer(client.method("work", id="1"))
        client.forget()
        await client.answer(client.method("work", id="1"))
        assert len(calls) == 2


@pytest.mark.parametrize("params", [[], [1], [1, 2, 3, 4]])
async def test_111_the_wrong_number_of_arguments_is_a_failed_match(params):
    server = Server()
    server.method("work")(lambda ctx, a, b, c=0: None)
    async with client_of(server) as client:
        error = (await client.outcome("work", *params))["error"]
        assert (error["error"], error["reason"]) == (400, "Match failed")


async def test_114_116_random_ids_follow_the_clients_seed():
    server = Server()
    server.method("ids")(lambda ctx: [ctx.random.id("books") for _ in range(2)])
    async with client_of(server) as client:
        for id in ("a", "b"):
            client.put(msg="method", id=id, method="ids", params=[], randomSeed="seed")
        seeded = [(await client.answer(id))["result"] for id in ("a", "b")]
        assert seeded[0] == seeded[1]
        free = [(await client.outcome("ids"))["result"] for _ in range(2)]
        assert len({*seeded[0], *free[0], *free[1]}) == 6


async def test_methods_inherit_no_context_from_the_one_before():
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("v", default="clean")
    server = Server()

    @server.method
    async def work(ctx):
        before = variable.get()
        variable.set("dirty")
        ctx.unblock()
        return before

    async with client_of(server) as client:
        ids = [client.method("work") for _ in range(3)]
        assert [(await client.answer(id))["result"] for id in ids] == ["clean"] * 3


# --- the write fence -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_107_a_write_puts_updated_behind_the_result(kind):
    server = Server()

    async def write_async(ctx):
        WriteFence.mark()

    server.method("write")(write_async if kind == "async def" else lambda ctx: WriteFence.mark())
    async with client_of(server) as client:
        await client.outcome("write")
        assert client.story == ["connected", "result", "updated"]


async def test_a_failing_fence_does_not_hold_updated_back(expect_log):
    expect_log("ddpcore.server", "The write fence of method 'write' failed")
    server = Server()
    server.method("write")(lambda ctx: WriteFence.mark())

    async def fence():
        raise OSError("away")

    server.bus.fence = fence
    async with client_of(server) as client:
        await client.outcome("write")


async def test_a_thread_that_outlives_its_method_brings_no_second_updated(monkeypatch):
    server, marks = Server(), []

    @server.method
    async def write(ctx):
        from ddpcore.live.fence import current_fence

        marks.append(current_fence.get())

    async with client_of(server) as client:
        done = Session.method_done

        def method_done(*args, **options):
            done(*args, **options)
            marks[0].wrote = True  # just then

        monkeypatch.setattr(Session, "method_done", method_done)
        await client.outcome("write")
        await turns()
        assert client.story == ["connected", "updated", "result"]


# --- handlers that fail in their own ways --------------------------------------------------------


@pytest.mark.parametrize(
    "value", [Decimal(1), object(), {1: 2}, {"a": {1, 2}}, lambda: 1, 10**5000], ids=type
)
async def test_a_result_that_ejson_cannot_carry_is_an_internal_error(value, expect_log):
    expect_log("ddpcore.server", "Exception in method 'work'")
    server = Server()
    server.method("work")(lambda ctx: value)
    async with client_of(server) as client:
        assert (await client.outcome("work"))["error"]["error"] == 500


def stop_iteration(ctx):
    next(iter([]))


def exit_process(ctx):
    sys.exit(1)


async def exit_loop(ctx):
    sys.exit(1)


async def await_cancelled(ctx):
    never = asyncio.get_running_loop().create_future()
    never.cancel()
    await never


async def time_out(ctx):
    async with asyncio.timeout(0):
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    "handler", [stop_iteration, exit_process, exit_loop, await_cancelled, time_out]
)
async def test_no_failure_wedges_the_connection(handler, expect_log):
    expect_log("ddpcore.server", "Exception in method 'work'")
    server = Server()
    server.method("work")(handler)
    async with client_of(server) as client:
        work, unknown = client.method("work"), client.method("next")
        assert (await client.answer(work))["error"]["error"] == 500
        assert (await client.answer(unknown))["error"]["error"] == 404


# --- another user --------------------------------------------------------------------------------


def with_documents(server, documents, name="mine"):
    """A publication of `documents[user]`."""

    @server.publish(name)
    async def publish(ctx):
        for id, fields in documents.get(ctx.user_id, {}).items():
            ctx.added("docs", id, fields)
        ctx.ready()


DOCUMENTS = {
    None: {"both": {"a": 1}, "changing": {"a": 1, "b": 1}, "old": {}},
    "me": {"both": {"a": 1}, "changing": {"a": 2}, "new": {}},
}


def with_login(server, kind):
    if kind == "async def":

        @server.method
        async def login(ctx, user_id):
            await ctx.set_user_id(user_id)
            return ctx.user_id

    else:

        @server.method
        def login(ctx, user_id):
            ctx.set_user_id(user_id)
            return ctx.user_id


both_kinds = pytest.mark.parametrize("kind", ["def", "async def"])


@both_kinds
async def test_087_088_089_090_094_a_login_reruns_and_sends_the_difference(kind):
    server = Server()
    with_documents(server, DOCUMENTS)
    with_login(server, kind)
    async with client_of(server) as client:
        sub = client.sub("mine")
        await client.ready(sub)
        client.forget()
        assert (await client.outcome("login", "me"))["result"] == "me"
        assert client.messages[:4] == [
            {"msg": "changed", "collection": "docs", "id": "changing", "fields": {"a": 2}, "cleared": ["b"]},
            {"msg": "removed", "collection": "docs", "id": "old"},
            {"msg": "added", "collection": "docs", "id": "new"},
            {"msg": "ready", "subs": [sub]},
        ]  # fmt: skip
        assert client.story[4:] == ["updated", "result"]


@both_kinds
async def test_093_the_same_user_again_still_says_ready(kind):
    server = Server()
    with_documents(server, DOCUMENTS)
    with_login(server, kind)
    async with client_of(server) as client:
        await client.ready(client.sub("mine"))
        client.forget()
        await client.outcome("login", None)
        assert client.story == ["ready", "updated", "result"]


async def test_092_stop_callbacks_run_for_the_old_user():
    server, stopped = Server(), []

    @server.publish("mine")
    async def mine(ctx):
        ctx.on_stop(lambda: stopped.append(ctx.user_id))
        ctx.ready()

    with_login(server, "async def")
    async with client_of(server) as client:
        await client.ready(client.sub("mine"))
        await client.outcome("login", "me")
        assert stopped == [None]


@both_kinds
@pytest.mark.parametrize("user_id", [5, ["me"], {}])
async def test_095_a_user_id_is_a_string(kind, user_id, expect_log):
    expect_log("ddpcore.server", "Exception in method 'login'")
    server = Server()
    with_login(server, kind)
    async with client_of(server) as client:
        assert (await client.outcome("login", user_id))["error"]["error"] == 500


@both_kinds
async def test_095_no_login_after_unblock(kind, expect_log):
    expect_log("ddpcore.server", "Exception in method 'login'")
    server = Server()

    async def login_async(ctx):
        ctx.unblock()
        await ctx.set_user_id("me")

    def login(ctx):
        ctx.unblock()
        ctx.set_user_id("me")

    server.method("login")(login if kind == "def" else login_async)
    async with client_of(server) as client:
        assert (await client.outcome("login"))["error"]["error"] == 500
        assert client.receiver.machine.user_id is None


async def test_096_universal_documents_arrive_before_updated():
    server = Server()
    with_documents(server, DOCUMENTS, name=None)
    with_login(server, "async def")
    async with client_of(server) as client:
        await client.message(msg="added", id="old")
        client.forget()
        await client.outcome("login", "me")
        assert client.story == ["changed", "removed", "added", "updated", "result"]


async def test_two_logins_at_once_take_turns():
    server = Server()
    with_documents(server, DOCUMENTS)

    @server.method
    async def login(ctx):
        await asyncio.gather(ctx.set_user_id("me"), ctx.set_user_id(None), ctx.set_user_id("me"))

    async with client_of(server) as client:
        await client.ready(client.sub("mine"))
        await client.outcome("login")
        assert client.store.docs("docs") == DOCUMENTS["me"]


async def test_a_method_that_goes_on_goes_on_for_who_called_it():
    server, gate = Server(), asyncio.Event()
    with_login(server, "async def")

    @server.method
    async def slow(ctx):
        ctx.unblock()
        await gate.wait()
        return ctx.user_id

    async with client_of(server) as client:
        await client.answer(client.method("login", "ann"))
        slow_id = client.method("slow")
        await client.answer(client.method("login", "bob"))
        gate.set()
        assert (await client.answer(slow_id))["result"] == "ann"


async def test_a_login_that_loses_patience_is_carried_to_its_end(expect_log):
    expect_log("ddpcore.server", "Exception in method 'login'")
    server, gate = Server(), asyncio.Event()

    @server.publish("mine")
    async def mine(ctx):
        if ctx.user_id:
            await gate.wait()
        ctx.added("docs", str(ctx.user_id), {})
        ctx.ready()

    @server.method
    async def login(ctx):
        async with asyncio.timeout(0):
            await ctx.set_user_id("me")

    async with client_of(server) as client:
        await client.ready(client.sub("mine"))
        await client.outcome("login")
        gate.set()
        await client.message(msg="added", id="me")
        assert client.store.docs("docs") == {"me": {}}


async def test_logins_in_all_threads_at_once_do_not_starve_their_publications():
    server, barrier = Server(threads=2), threading.Barrier(2)

    @server.publish("mine")
    def mine(ctx):
        ctx.added("docs", str(ctx.user_id), {})
        ctx.ready()

    @server.method
    def login(ctx, user_id):
        barrier.wait(20)
        ctx.set_user_id(user_id)

    async with client_of(server) as one:
        other = type(one)(server)
        other.connect()
        for client in (one, other):
            await client.ready(client.sub("mine"))
        ids = [client.method("login", "me") for client in (one, other)]
        for client, id in zip((one, other), ids, strict=True):
            await client.answer(id)
            assert client.store.docs("docs") == {"me": {}}


async def test_leaving_in_the_middle_of_a_login_leaves_nothing():
    server, gate, stopped = Server(), asyncio.Event(), []

    @server.publish("mine")
    async def mine(ctx):
        ctx.on_stop(lambda: stopped.append(ctx.user_id))
        if ctx.user_id:
            await gate.wait()
        ctx.added("docs", "1", {})
        ctx.ready()

    with_login(server, "async def")
    async with client_of(server) as client:
        await client.ready(client.sub("mine"))
        login = client.method("login", "me")
        await turns()
        client.forget()
        client.leave()
        gate.set()
        await turns()
        assert login
        assert client.messages == []
        assert stopped == [None, "me"]


# --- registering ---------------------------------------------------------------------------------


def test_a_method_is_defined_once():
    server = Server()
    server.method("work")(lambda ctx: None)
    with pytest.raises(DDPError, match="already defined"):
        server.method("work")(lambda ctx: None)


def test_a_handler_has_a_place_for_the_context():
    with pytest.raises(DDPError, match="context"):
        Server().method("work")(lambda: None)


def test_a_handler_requires_no_keyword():
    with pytest.raises(DDPError, match="keyword"):
        Server().method("work")(lambda ctx, *, a: None)


async def test_an_error_for_the_client_is_not_logged():
    server = Server()

    @server.method
    def work(ctx):
        raise MeteorError(403, "No", {"why": "so"})

    async with client_of(server) as client:
        error = (await client.outcome("work"))["error"]
        assert (error["error"], error["reason"], error["details"]) == (403, "No", {"why": "so"})
