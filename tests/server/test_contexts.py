"""Connections, callbacks, threads, the life of a server, and what is left of it all."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest
from memory_client import Client, client_of, running, turns

from ddpcore import DDPError, MemoryBus, Server
from ddpcore.server import runtime as runtime_module
from ddpcore.server import server as server_module

# --- the connection ------------------------------------------------------------------------------


async def test_019_no_two_connections_share_an_id():
    server = Server()
    async with running(server):
        clients = [Client(server) for _ in range(50)]
        for client in clients:
            client.connect()
        await turns()
        assert len({client.messages[0]["session"] for client in clients}) == 50


async def test_020_messages_right_behind_connect_are_processed_in_order():
    server = Server()
    server.method("echo")(lambda ctx, value: value)
    async with running(server):
        client = Client(server)
        client.connect()
        first, second = client.method("echo", 1), client.method("echo", 2)
        await client.answer(first)
        await client.answer(second)
        assert client.story == ["connected", "updated", "result", "updated", "result"]


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_117_a_method_may_close_the_connection(kind):
    server, closed = Server(), []

    def bye(ctx):
        ctx.connection.on_close(lambda: closed.append(1))
        ctx.connection.close()
        ctx.connection.close()

    async def bye_async(ctx):
        bye(ctx)

    server.method("bye")(bye if kind == "def" else bye_async)
    async with client_of(server) as client:
        client.method("bye")
        while not closed:
            await asyncio.sleep(0)
        client.leave()
        await turns()
        assert closed == [1]
        assert client.closed == (1000, "Normal closure")
        assert server.sessions == {}


async def test_on_close_after_the_close_is_called_soon():
    server, called = Server(), []
    async with client_of(server) as client:
        client.leave()
        client.receiver.connection.on_close(lambda: called.append(1))
        assert called == []
        await turns()
        assert called == [1]


async def test_104_methods_of_different_clients_run_side_by_side():
    server, meeting = Server(), asyncio.Barrier(2)

    @server.method
    async def meet(ctx):
        await meeting.wait()

    async with client_of(server) as one:
        other = Client(server)
        other.connect()
        ids = one.method("meet"), other.method("meet")
        await one.answer(ids[0])
        await other.answer(ids[1])


async def test_a_handler_sees_whom_it_runs_for():
    server = Server()
    server.method("who")(
        lambda ctx: [ctx.name, ctx.user_id, ctx.connection.client_address, ctx.server is server]
    )
    async with client_of(server) as client:
        assert (await client.outcome("who"))["result"] == ["who", None, "127.0.0.1", True]


# --- callbacks -----------------------------------------------------------------------------------


async def test_a_callback_that_fails_hurts_nobody(expect_log):
    expect_log("ddpcore.server", "Exception in a callback of connection")
    expect_log("ddpcore.server", "Exception in a callback$")
    server, called = Server(), []

    async def fail():
        raise KeyError

    @server.publish("it")
    def it(ctx):
        for callback in (lambda: 1 / 0, fail, lambda: called.append(1)):
            ctx.on_stop(callback)
        ctx.ready()

    async with client_of(server) as client:
        sub = client.sub("it")
        await client.ready(sub)
        client.unsub(sub)
        await client.nosub(sub)
        await turns()
        assert called == [1]


async def test_what_a_callback_returns_is_awaited(expect_log):
    expect_log("ddpcore.server", "Exception in a callback$")
    server, failing = Server(), asyncio.get_running_loop().create_future()
    async with client_of(server) as client:
        client.receiver.connection.on_close(lambda: failing)
        client.leave()
        failing.set_exception(KeyError())
        await turns()


@pytest.mark.parametrize("how", ["unsub", "login"])
async def test_a_stop_callback_may_close_the_connection(how):
    server, runs = Server(), []

    @server.publish("it")
    async def it(ctx):
        runs.append(1)
        ctx.on_stop(ctx.connection.close)
        ctx.ready()

    @server.method
    async def login(ctx):
        await ctx.set_user_id("me")

    async with client_of(server) as client:
        sub = client.sub("it")
        await client.ready(sub)
        if how == "unsub":
            client.unsub(sub)
        else:
            client.method("login")
        await turns()
        assert client.closed is not None
        assert runs == [1]
        assert client.receiver.machine.subscriptions == {}


# --- timers --------------------------------------------------------------------------------------


def due(client):
    """Seconds from now until the session looks at the clock."""
    loop = asyncio.get_running_loop()
    return client.receiver._timer.when() - loop.time()


async def test_028_the_first_ping_does_not_wait_for_the_connect_timeout():
    server = Server(connect_timeout=1e6, heartbeat_interval=1e3)
    async with running(server):
        client = Client(server)
        assert due(client) > 1e4
        client.connect()
        assert due(client) <= 1e3


async def test_messages_move_no_timer():
    async with client_of(Server(heartbeat_interval=1e3)) as client:
        timer = client.receiver._timer
        for _ in range(100):
            client.put(msg="ping")
        assert client.receiver._timer is timer


async def test_028_030_a_silent_client_is_pinged_and_left():
    server = Server(heartbeat_interval=0.01, heartbeat_timeout=0.01, grace_period=0)
    async with client_of(server) as client:
        await client.message(msg="ping")
        while client.closed is None:
            await asyncio.sleep(0.001)
        assert server.sessions == {}
        assert client.receiver._timer is None


async def test_a_client_that_left_has_no_timer():
    async with client_of(Server()) as client:
        client.leave()
        client.put(msg="ping")
        assert client.receiver._timer is None


# --- the server's life ---------------------------------------------------------------------------


async def test_a_server_that_was_not_started_accepts_nobody():
    with pytest.raises(DDPError, match="not running"):
        Client(Server())


async def test_start_is_idempotent():
    server = Server()
    await asyncio.gather(server.start(), server.start())
    crossbar = server.crossbar
    await server.start()
    assert server.crossbar is crossbar
    await server.stop()
    await server.stop()


async def test_a_start_that_failed_is_tried_again_once():
    class Bus(MemoryBus):
        starts = 0

        async def start(self, deliver):
            self.starts += 1
            await asyncio.sleep(0)
            if self.starts == 1:
                raise DDPError("away")
            await super().start(deliver)

    server = Server(bus=Bus())

    async def insist():
        try:
            await server.start()
        except DDPError:
            await server.start()

    await asyncio.gather(*(insist() for _ in range(5)))
    assert server.bus.starts == 2
    await server.stop()


async def test_stop_during_start_leaves_nothing_running():
    class Bus(MemoryBus):
        async def start(self, deliver):
            await asyncio.Event().wait()

    server = Server(bus=Bus())
    starting = asyncio.ensure_future(server.start())
    await turns()
    await server.stop()
    with pytest.raises(DDPError, match="stopped while it was starting"):
        await starting
    with pytest.raises(DDPError):
        _ = server.crossbar


async def test_stop_lets_handlers_finish_then_closes_everyone():
    server, gate = Server(), asyncio.Event()

    @server.method
    async def work(ctx):
        await gate.wait()
        return "done"

    await server.start()
    client, stranger = Client(server), Client(server)
    client.connect()
    call = client.method("work")
    await turns()
    stopping = asyncio.ensure_future(server.stop())
    await turns()
    gate.set()
    await stopping
    assert (await client.answer(call))["result"] == "done"
    assert client.closed == stranger.closed == (1001, "Server is going away")


async def test_stop_waits_for_handlers_whose_client_left():
    server, gate, done = Server(), asyncio.Event(), []

    @server.method
    async def work(ctx):
        await gate.wait()
        done.append(1)

    await server.start()
    client = Client(server)
    client.connect()
    client.method("work")
    await turns()
    client.leave()
    stopping = asyncio.ensure_future(server.stop())
    await turns()
    gate.set()
    await stopping
    assert done == [1]


async def test_stop_lets_close_callbacks_finish():
    server, done = Server(), []

    async def callback():
        await turns()
        done.append(1)

    await server.start()
    client = Client(server)
    client.connect()
    client.receiver.connection.on_close(callback)
    await server.stop()
    assert done == [1]


async def test_stop_cancels_what_does_not_end(expect_log):
    expect_log("ddpcore.server", "1 handlers do not end")
    server, ended = Server(), []

    @server.method
    async def work(ctx):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    await server.start()
    client = Client(server)
    client.connect()
    client.method("work")
    await turns()
    await server.stop(patience=0)
    assert ended == [1]
    assert client.story == ["connected"]


async def test_stop_does_not_hang_on_a_thread_that_does(monkeypatch, expect_log):
    monkeypatch.setattr(server_module, "GRACE", 0.05)
    expect_log("ddpcore.server", "1 handlers do not end")
    expect_log("ddpcore.server", "Handlers in threads do not end")
    server, gate, outcome = Server(), threading.Event(), []

    @server.publish("it")
    def it(ctx):
        ctx.added("docs", "1", {})
        gate.wait(20)
        ctx.added("docs", "2", {})  # the server has stopped; its loop has not
        outcome.append(ctx.user_id)

    await server.start()
    client = Client(server)
    client.connect()
    client.sub("it")
    await client.message(msg="added")
    await server.stop(patience=0)
    gate.set()
    while not outcome:
        await asyncio.sleep(0)
    assert client.story == ["connected", "added"]


async def test_stop_while_threads_wait_for_the_loop():
    server = Server()

    @server.publish("it")
    def it(ctx):
        for number in range(200):
            ctx.added("docs", str(number), {})

    await server.start()
    client = Client(server)
    client.connect()
    client.sub("it")
    await client.message(msg="added")
    await server.stop(patience=20)
    assert len(client.store.docs("docs")) == 200


def test_a_thread_that_outlives_its_loop_is_told(monkeypatch, expect_log):
    monkeypatch.setattr(server_module, "GRACE", 0.05)
    monkeypatch.setattr(runtime_module, "LOOK_AT_LOOP", 0.01)
    expect_log("ddpcore.server", "do not end", required=False)
    gate, started, outcome = threading.Event(), threading.Event(), []
    ended = threading.Event()

    async def main():
        server = Server()

        @server.method
        def work(ctx):
            started.set()
            gate.wait(20)
            ctx.connection.close()  # it has closed
            try:
                ctx.unblock()
            except BaseException as problem:
                outcome.append(problem)
            ended.set()

        await server.start()
        client = Client(server)
        client.connect()
        client.method("work")
        while not started.is_set():
            await asyncio.sleep(0)
        await server.stop(patience=0)

    asyncio.run(main())
    gate.set()
    assert ended.wait(20)
    assert isinstance(outcome[0], DDPError)


async def test_a_server_can_be_started_again():
    server = Server()
    server.method("work")(lambda ctx: 1)
    for _ in range(2):
        async with client_of(server) as client:
            assert (await client.outcome("work"))["result"] == 1


# --- what is left --------------------------------------------------------------------------------


async def test_nothing_survives_a_thousand_connections():
    server = Server(heartbeat_interval=1e6)

    @server.publish("it")
    async def it(ctx):
        ctx.added("docs", "1", {"a": 1})
        ctx.on_stop(lambda: ctx.name)
        ctx.ready()

    server.publish(None)(it)

    @server.method
    async def login(ctx):
        await ctx.set_user_id("me")
        ctx.connection.on_close(lambda: ctx.name)

    async def visit():
        client = Client(server)
        client.connect()
        sub = client.sub("it")
        await client.answer(client.method("login"))
        client.unsub(sub)
        client.sub("it")
        await client.nosub(sub)
        client.leave()
        session, client.receiver = client.receiver, None
        return [weakref.ref(session), weakref.ref(session.machine)]

    gc.disable()
    async with running(server):
        left = [ref for _ in range(1_000) for ref in await visit()]
        await turns()
        # At once, and not when the garbage collector finds the time.
        assert [ref() for ref in left if ref() is not None] == []
        assert (server.sessions, server._clients, server._handlers) == ({}, set(), set())
    gc.enable()


@pytest.mark.parametrize("ends", ["well", "badly"])
async def test_a_method_tells_when_it_is_over(ends, expect_log):
    if ends == "badly":
        expect_log("ddpcore.server", "Exception in method 'outer'")
    server, seen = Server(), []

    @server.method
    def inner(ctx):
        ctx.on_over(lambda: seen.append("over"))
        seen.append("inner")

    @server.method
    def outer(ctx):
        ctx.call("inner")
        seen.append("outer")
        if ends == "badly":
            raise KeyError

    async with client_of(server) as client:
        await client.answer(client.method("outer"))
    assert seen == ["inner", "outer", "over"]
