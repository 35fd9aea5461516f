"""When handlers begin, and when what they send leaves."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Sequence
from contextvars import ContextVar

import pytest
from memory_client import Client, client_of, running, turns

from ddpcore import Document, LiveQuery, Server
from ddpcore.live import observer as observer_module
from ddpcore.server import flusher
from ddpcore.server.eager import begin
from ddpcore.session.machine import State
from ddpcore.testing import RecordingTransport
from ddpcore.wire.frame import Frame


class Rows(LiveQuery):
    """Some documents, always the same."""

    def __init__(self, count: int = 3, size: int = 1):
        self.key = ("rows", count)
        self.collection = "rows"
        self.topics = frozenset({"rows"})
        self.documents = {
            str(n): Document.of("rows", str(n), {"text": "x" * size}) for n in range(count)
        }

    async def fetch(self):
        return self.documents


class Writes(RecordingTransport):
    """Notes what is sent in one go."""

    def __init__(self, gathers: bool = False):
        super().__init__()
        self.gathers = gathers
        self.writes: list[list[Frame]] = []

    def send(self, frames: Sequence[Frame]) -> None:
        self.writes.append(list(frames))
        super().send(frames)


def kind(transport: Writes) -> str | None:
    """Of the last message."""
    return transport.messages[-1]["msg"] if transport.messages else None


def connected(server: Server, *, gathers: bool = False) -> Writes:
    transport = Writes(gathers)
    session = server.accept(transport)
    session.receive('{"msg":"connect","version":"1","support":["1"]}')
    session.flush()
    return transport


def echoing() -> Server:
    server = Server()

    @server.method
    async def echo(ctx, value):
        return value

    @server.method
    async def wait(ctx):
        await asyncio.sleep(0)
        return "waited"

    return server


# --- tasks that begin at once --------------------------------------------------------------------


async def test_work_begins_at_once_and_may_end_at_once():
    loop, story = asyncio.get_running_loop(), []

    async def work():
        story.append(asyncio.current_task())

    def callback():
        task = begin(loop, work(), contextvars.copy_context())
        done.set_result((task, task.done()))

    done = loop.create_future()
    loop.call_soon(callback)
    task, was_done = await done
    assert was_done
    assert story == [task]
    assert "call_soon" not in vars(loop)


async def test_work_that_waits_goes_on_as_any_task():
    loop, story = asyncio.get_running_loop(), []

    async def work():
        async with asyncio.timeout(10):
            story.append("begun")
            await asyncio.sleep(0)
            story.append("ended")

    def callback():
        tasks.append(begin(loop, work(), contextvars.copy_context()))
        assert story == ["begun"]

    tasks = []
    loop.call_soon(callback)
    await turns()
    assert tasks[0].done()
    assert story == ["begun", "ended"]


async def test_context_variables_stay_with_the_work():
    loop, variable = asyncio.get_running_loop(), ContextVar("variable", default="outside")

    async def work():
        variable.set("inside")

    def callback():
        begin(loop, work(), contextvars.copy_context())
        seen.append(variable.get())

    seen = []
    loop.call_soon(callback)
    await turns()
    assert seen == ["outside"]


async def test_an_exception_stays_with_the_task():
    loop = asyncio.get_running_loop()

    async def work():
        raise KeyError("x")

    def callback():
        tasks.append(begin(loop, work(), contextvars.copy_context()))

    tasks = []
    loop.call_soon(callback)
    await turns()
    with pytest.raises(KeyError):
        await tasks[0]
    assert "call_soon" not in vars(loop)


# --- what a read leads to ------------------------------------------------------------------------


async def test_the_calls_of_a_read_are_answered_with_one_write():
    server = echoing()
    async with running(server):
        transport = connected(server, gathers=True)
        transport.writes.clear()

        def read():
            for n in range(3):
                call = f'{{"msg":"method","id":"{n}","method":"echo","params":[{n}]}}'
                transport.receiver.receive(call)
            assert transport.writes == []
            transport.receiver.flush()
            written.append(len(transport.writes))

        written = []
        asyncio.get_running_loop().call_soon(read)
        await turns()
        assert written == [1]
        assert [m["msg"] for m in transport.messages[-6:]] == ["updated", "result"] * 3


async def test_what_waits_leaves_later_and_keeps_the_order_of_calls():
    server = echoing()
    async with running(server):
        transport = connected(server, gathers=True)

        def read():
            transport.receiver.receive('{"msg":"method","id":"1","method":"wait","params":[]}')
            transport.receiver.receive('{"msg":"method","id":"2","method":"echo","params":[1]}')
            transport.receiver.flush()

        asyncio.get_running_loop().call_soon(read)
        await turns(20)
        results = [m["id"] for m in transport.messages if m["msg"] == "result"]
        assert results == ["1", "2"]


async def test_who_sends_without_end_has_its_time_and_then_takes_turns(monkeypatch):
    from ddpcore.server import runtime

    monkeypatch.setattr(runtime, "EAGER", -1.0)  # no time at all
    server = echoing()
    async with running(server):
        transport = connected(server, gathers=True)
        transport.writes.clear()

        def read():
            transport.receiver.receive('{"msg":"method","id":"1","method":"echo","params":[1]}')
            transport.receiver.flush()
            at_once.append(len(transport.writes))

        at_once = []
        asyncio.get_running_loop().call_soon(read)
        await turns()
        assert at_once == [0]
        assert transport.messages[-1]["msg"] == "result"


async def test_a_turn_of_steps_is_one_write_for_each_client():
    server, rows = Server(), Rows(50)
    server.publish("rows")(lambda ctx: rows)
    async with running(server):
        transports = [connected(server) for _ in range(3)]
        await turns()
        for each in transports:
            each.writes.clear()
            each.receiver.receive('{"msg":"sub","id":"1","name":"rows"}')
        for each in transports:  # their handlers are in threads, and may end in any order
            await each.until(lambda each=each: kind(each) == "ready")
        for each in transports:
            assert [len(frames) for frames in each.writes] == [51]


async def test_the_first_result_is_encoded_once_for_a_crowd():
    server, rows = Server(), Rows(5)
    server.publish("rows")(lambda ctx: rows)
    async with running(server):
        transports = [connected(server) for _ in range(2)]
        for each in transports:
            each.receiver.receive('{"msg":"sub","id":"1","name":"rows"}')
            await each.until(lambda each=each: kind(each) == "ready")
        first, second = ([f for f in t.frames if b"added" in f.data] for t in transports)
        assert len(first) == 5
        assert all(one is other for one, other in zip(first, second, strict=True))
        # A while after the last of them the frames are forgotten.
        [observer] = server.crossbar._observers.values()
        observer._look_at_firsts()
        assert observer._firsts is not None
        observer._look_at_firsts()
        assert observer._firsts is None
    assert observer_module.NEWCOMERS > 0


async def test_a_large_result_leaves_slice_by_slice_and_others_have_their_turn():
    server, rows = echoing(), Rows(100, size=10_000)
    server.publish("rows")(lambda ctx: rows)
    async with client_of(server) as bystander:
        transport = connected(server)
        transport.receiver.receive('{"msg":"sub","id":"1","name":"rows"}')
        await transport.until(lambda: len(transport.messages) > 2)
        while transport.messages[-1]["msg"] != "ready":
            await bystander.outcome("echo", 1)
        assert len(transport.writes) > 10
        assert len(bystander.kinds("result")) > 3


async def test_a_transport_that_fails_costs_nobody_else_anything(expect_log):
    expect_log("ddpcore.server.flusher", "A client could not be sent what waits for it")

    class Broken(Writes):
        def send(self, frames):
            if b"connected" not in frames[0].data:
                raise OSError("broken")
            super().send(frames)

    server, rows = Server(), Rows(2)
    server.publish("rows")(lambda ctx: rows)
    async with running(server):
        broken = Broken()
        server.accept(broken).receive('{"msg":"connect","version":"1","support":["1"]}')
        await turns()
        healthy = Client(server)
        healthy.connect()
        broken.receiver.receive('{"msg":"sub","id":"1","name":"rows"}')
        await healthy.ready(healthy.sub("rows"))
        assert len(healthy.kinds("added")) == 2
        await broken.until(lambda: broken.closed)
        # It may have missed something, so it is to come back for it.
        [session] = [each for each in server.sessions.values() if each.transport is broken]
        assert session.machine.state is State.DETACHED
        assert broken.receiver is None
        assert broken.closed == (1011, "Internal error")


async def test_many_clients_are_flushed_in_several_turns(monkeypatch):
    monkeypatch.setattr(flusher, "TURN", 3 * flusher.LEAST)
    server, rows = Server(), Rows(1)
    server.publish("rows")(lambda ctx: rows)
    async with running(server):
        transports = [connected(server) for _ in range(10)]
        for each in transports:
            each.receiver.receive('{"msg":"sub","id":"1","name":"rows"}')
        for each in transports:
            await each.until(lambda each=each: kind(each) == "ready")
        assert server.traffic.frames == 10 * 3
        assert server.traffic.bytes > 0
