"""Handlers that begin at once: within the read that brought their call, like any other task."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
from collections.abc import Callable
from typing import Any

import pytest
from memory_client import Client, running, turns

from ddpcore import MeteorError, Server
from ddpcore.server.eager import begin
from ddpcore.testing import FakeClock
from ddpcore.testing.transport import RecordingTransport

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


def a_server(**options: Any) -> Server:
    """One whose reads take no time, however busy the machine is."""
    return Server(clock=FakeClock(), **options)


class Reader(RecordingTransport):
    """Brings messages as a socket does: all those of a read at once, and from no task."""

    gathers = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sends: list[int] = []

    def send(self, frames: Any) -> None:
        self.sends.append(len(frames))
        super().send(frames)

    async def read(self, *messages: dict[str, Any]) -> None:
        """Bring messages in one read, and wait until it is over."""
        over = asyncio.get_running_loop().create_future()

        def bring() -> None:
            try:
                for message in messages:
                    if self.receiver is not None:
                        last = self.receiver
                        last.receive(json.dumps(message))
                last.flush()
            finally:
                over.set_result(None)

        asyncio.get_running_loop().call_soon(bring)
        await over


def reading(server: Server) -> tuple[Client, Reader]:
    client = Client(server)
    reader = Reader(on_message=client._take)
    receiver = client.transport.receiver
    assert receiver is not None
    client.transport.receiver, reader.receiver = None, receiver
    receiver.transport = reader  # type: ignore[attr-defined]
    client.transport = reader
    return client, reader


CONNECT = {"msg": "connect", "version": "1", "support": ["1"]}


def call(id: str, name: str, *params: Any) -> dict[str, Any]:
    return {"msg": "method", "id": id, "method": name, "params": list(params)}


def sub(id: str, name: str) -> dict[str, Any]:
    return {"msg": "sub", "id": id, "name": name, "params": []}


async def test_a_read_is_answered_with_one_write():
    server = a_server()

    @server.method
    async def add(ctx, a, b):
        return a + b

    @server.publish("books")
    async def books(ctx):
        ctx.added("books", "1", {"a": 1})
        ctx.ready()

    async with running(server):
        _, reader = reading(server)
        await reader.read(CONNECT)
        reader.sends.clear()
        await reader.read(sub("s", "books"), *(call(str(n), "add", n, n) for n in range(50)))
        assert reader.sends == [102]
        results = [m["result"] for m in reader.messages if m["msg"] == "result"]
        assert results == [2 * n for n in range(50)]
        assert not server._handlers


async def test_a_read_that_takes_long_is_answered_in_turns():
    clock = FakeClock()
    server = Server(clock=clock)
    order = []

    @server.method
    async def work(ctx, number):
        ctx.unblock()
        order.append(number)
        clock._now += 0.0015

    async with running(server):
        _, reader = reading(server)
        await reader.read(CONNECT)
        reader.sends.clear()
        await reader.read(*(call(str(n), "work", n) for n in range(4)))
        await turns()
        assert order == [0, 1, 2, 3]
        assert reader.sends[0] == 4  # of the first two, at once: a result and an `updated` each
        assert sum(reader.sends) == 8


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (MeteorError(7, "seven"), 7),
        (ValueError("no"), 500),
        (SystemExit(3), 500),
        (asyncio.CancelledError(), 500),
        (StopAsyncIteration(), 500),
        (TimeoutError(), 500),
    ],
)
async def test_what_a_first_step_raises_ends_one_call(log_watch, problem, expected):
    log_watch.expect("ddpcore.server", "Exception in method", required=False)
    server = a_server()

    @server.method
    async def fail(ctx):
        raise problem

    @server.method
    async def fine(ctx):
        return 1

    async with running(server):
        _, reader = reading(server)
        await reader.read(CONNECT)
        await reader.read(call("1", "fail"), call("2", "fine"))
        results = [m for m in reader.messages if m["msg"] == "result"]
        assert results[0]["error"]["error"] == expected
        assert results[1]["result"] == 1
        assert "call_soon" not in vars(asyncio.get_running_loop())
        assert not server._handlers


async def test_timeouts_and_groups_and_done_futures_in_a_first_step():
    server = a_server()

    @server.method
    async def work(ctx):
        done = asyncio.get_running_loop().create_future()
        done.set_result(1)
        async with asyncio.timeout(10):
            first = await done
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.sleep(10)
        async with asyncio.TaskGroup() as group:
            second = group.create_task(asyncio.sleep(0, 2))
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(_fail())
        assert asyncio.current_task() is not None
        return first + second.result()

    async with running(server):
        client, reader = reading(server)
        await reader.read(CONNECT)
        await reader.read(call("1", "work"))
        assert (await client.answer("1"))["result"] == 3


async def _fail() -> None:
    raise ValueError("no")


async def test_handlers_share_no_context_variables():
    server = a_server()
    seen = []

    @server.method
    async def paint(ctx, value):
        seen.append(colour.get())
        colour.set(value)
        await asyncio.sleep(0)
        seen.append(colour.get())

    async with running(server):
        client, reader = reading(server)
        await reader.read(CONNECT)
        colour.set("the reader's")
        await reader.read(call("1", "paint", "red"), call("2", "paint", "blue"))
        await client.answer("2")
        assert seen == ["none", "red", "none", "blue"]
        assert colour.get() == "the reader's"


@pytest.mark.parametrize("waits", [False, True])
async def test_another_user_within_a_read(waits):
    server = a_server()
    stopped = []

    @server.publish("mine")
    async def mine(ctx):
        ctx.on_stop(lambda: stopped.append(ctx.user_id))
        ctx.added("mine", "1", {"user": ctx.user_id or "nobody"})
        ctx.ready()

    @server.method
    async def login(ctx, user):
        if waits:
            await asyncio.sleep(0)
        await ctx.set_user_id(user)
        return ctx.user_id

    async with running(server):
        client, reader = reading(server)
        await reader.read(
            CONNECT, sub("s", "mine"), call("1", "login", "me"), call("2", "login", "you")
        )
        await client.answer("2")
        assert client.collection("mine") == {"1": {"user": "you"}}
        assert stopped == [None, "me"]
        order = [m["msg"] for m in reader.messages if m["msg"] in ("changed", "result")]
        assert order == ["changed", "result", "changed", "result"]


async def test_unblock_and_close_within_a_read():
    server = a_server()
    log = []

    @server.method
    async def first(ctx):
        ctx.unblock()
        log.append("first")

    @server.method
    async def second(ctx):
        log.append("second")
        ctx.connection.close()
        log.append("closed")

    async with running(server):
        client, reader = reading(server)
        await reader.read(CONNECT)
        await reader.read(call("1", "first"), call("2", "second"), call("3", "first"))
        assert log == ["first", "second", "closed"]
        assert client.closed == (1000, "Normal closure")
        assert not reader.late
        assert reader.messages[-1]["msg"] == "result"  # the first call's
        assert not server._handlers


async def test_a_handler_that_stops_the_server_within_a_read():
    server = a_server()
    stopping = []

    @server.method
    async def stop(ctx):
        stopping.append(asyncio.ensure_future(server.stop(0.01)))

    await server.start()
    client, reader = reading(server)
    await reader.read(CONNECT)
    await reader.read(call("1", "stop"))
    await stopping[0]
    assert client.closed == (1001, "Server is going away")
    assert client.kinds("result")


async def test_thousands_of_calls_in_a_row_need_no_depth():
    server = a_server(max_queue=10**6)
    going = asyncio.Event()

    @server.method
    async def wait(ctx):
        await going.wait()

    @server.method
    async def count(ctx):
        return 1

    async with running(server):
        client, reader = reading(server)
        await reader.read(CONNECT)
        await reader.read(call("0", "wait"), *(call(str(n), "count") for n in range(1, 3000)))
        going.set()
        await client.until(lambda: client.messages[-1].get("id") == "2999")
        assert len(client.kinds("result")) == 3000


class Freed:
    """Asks the loop for a callback when it is freed."""

    def __init__(self, callback: Callable[..., object]) -> None:
        self.me = self
        self.callback = callback

    def __del__(self) -> None:
        asyncio.get_running_loop().call_soon(self.callback, "freed")


async def test_what_others_ask_the_loop_for_meanwhile_is_done():
    """The garbage collector may free anything while the task is made."""
    called: list[object] = []
    loop = asyncio.get_running_loop()

    class Work:
        """A coroutine, but for what looking at it does."""

        def __init__(self) -> None:
            self.coroutine = self._run()

        async def _run(self) -> None:
            called.append("run")

        def send(self, value: object) -> object:
            return self.coroutine.send(value)

        def throw(self, *what: Any) -> object:
            return self.coroutine.throw(*what)

        def close(self) -> None:
            self.coroutine.close()

        @property
        def __class__(self) -> Any:
            Freed(called.append)
            gc.collect()
            return type(self.coroutine)

    over = loop.create_future()

    def start() -> None:
        begin(loop, Work(), contextvars.copy_context())  # type: ignore[arg-type]
        called.append("begun")
        over.set_result(None)

    loop.call_soon(start)
    await over
    await turns()
    assert called[:2] == ["run", "begun"]
    assert "freed" in called
    assert "call_soon" not in vars(loop)


async def test_a_loop_that_somebody_looks_at_keeps_being_looked_at():
    loop = asyncio.get_running_loop()
    calls = []
    soon = loop.call_soon

    def call_soon(callback: Any, *args: Any, **options: Any) -> Any:
        calls.append(callback)
        return soon(callback, *args, **options)

    loop.call_soon = call_soon  # type: ignore[method-assign]
    try:
        done = []

        async def work() -> None:
            done.append(1)

        over = loop.create_future()

        def start() -> None:
            begin(loop, work(), contextvars.copy_context())
            over.set_result(None)

        loop.call_soon(start)
        await over
        await turns()
        assert done == [1]
        assert vars(loop)["call_soon"] is call_soon
    finally:
        del loop.call_soon


async def test_a_loop_in_debug_mode():
    asyncio.get_running_loop().set_debug(True)
    server = a_server()

    @server.method
    async def add(ctx, a, b):
        await asyncio.sleep(0)
        return a + b

    async with running(server):
        client, reader = reading(server)
        await reader.read(CONNECT)
        await reader.read(call("1", "add", 1, 2))
        assert (await client.answer("1"))["result"] == 3
