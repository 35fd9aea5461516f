"""Plugins that start and stop with the server, and starts and stops that cross each other."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_client import Client, turns

from ddpcore import DDPError, MemoryBus, Server, hookimpl
from ddpcore.server import server as server_module


class Bus(MemoryBus):
    """Writes down when it starts and stops."""

    def __init__(self, story):
        super().__init__()
        self.story = story

    async def start(self, deliver):
        await super().start(deliver)
        self.story.append("+bus")

    async def stop(self):
        self.story.append("-bus")
        await super().stop()


class Plugin:
    """Writes down when it is told to start and stop."""

    def __init__(self, name, story):
        self.name = name
        self.story = story
        self.failure = None

    @hookimpl
    async def ddpcore_server_started(self, server):
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.story.append(f"+{self.name}")

    @hookimpl
    async def ddpcore_server_stopping(self):
        await asyncio.sleep(0)
        self.story.append(f"-{self.name}")


def make(*names, **options):
    story = []
    plugins = [Plugin(name, story) for name in names]
    return Server(bus=Bus(story), plugins=plugins, **options), plugins, story


async def test_they_start_in_their_order_and_stop_in_the_reverse():
    server, _, story = make("a", "b")
    await server.start()
    await server.start()
    assert story == ["+bus", "+a", "+b"]
    await server.stop()
    await server.stop()
    assert story == ["+bus", "+a", "+b", "-b", "-a", "-bus"]


async def test_who_wants_to_be_first_starts_first_and_stops_last():
    story = []

    class Keen:
        @hookimpl(tryfirst=True)
        def ddpcore_server_started(self):
            story.append("+keen")

        @hookimpl(trylast=True)
        def ddpcore_server_stopping(self):
            story.append("-keen")

    class Lazy:
        @hookimpl(trylast=True)
        def ddpcore_server_started(self):
            story.append("+lazy")

        @hookimpl(tryfirst=True)
        def ddpcore_server_stopping(self):
            story.append("-lazy")

    server = Server(plugins=[Lazy(), Plugin("a", story), Keen()])
    async with server:
        pass
    assert story == ["+keen", "+a", "+lazy", "-lazy", "-a", "-keen"]


async def test_started_again_they_are_told_again():
    server, _, story = make("a")
    for _ in range(2):
        async with server as same:
            assert same is server
    assert story == ["+bus", "+a", "-a", "-bus"] * 2


async def test_all_of_the_server_is_theirs_on_the_event_loop():
    seen = []

    class Plugin:
        @hookimpl
        async def ddpcore_server_started(self, server):
            await server.start()  # it runs already, as far as plugins are concerned
            seen.append(await server.in_thread(threading.current_thread))
            seen.append((threading.current_thread(), server.crossbar.observers))

        @hookimpl
        async def ddpcore_server_stopping(self, server):
            await server.stop()  # it does
            seen.append(await server.in_thread(threading.current_thread))
            seen.append((threading.current_thread(), len(server.sessions)))

    async with Server(plugins=[Plugin()]) as server:
        Client(server).connect()
    worker, at_start, worker_again, at_stop = seen
    assert worker is not threading.current_thread()
    assert worker_again is not threading.current_thread()
    assert at_start == at_stop == (threading.current_thread(), 0)


async def test_nobody_is_let_in_before_they_are_done():
    gate = asyncio.Event()

    class Slow:
        @hookimpl
        async def ddpcore_server_started(self):
            await gate.wait()

    server = Server(plugins=[Slow()])
    starts = [asyncio.ensure_future(server.start()) for _ in range(3)]
    await turns()
    assert not any(each.done() for each in starts)
    gate.set()
    await asyncio.gather(*starts)
    await server.stop()


# --- failures ------------------------------------------------------------------------------------


async def test_a_failure_names_the_plugin_and_undoes_the_start():
    pools = []

    def make_pool():
        pools.append(ThreadPoolExecutor())
        return pools[-1]

    server, (_, broken, _), story = make("a", "b", "c", executor=make_pool)
    broken.failure = OSError("no such printer")
    with pytest.raises(DDPError, match=r"plugin 'Plugin' cannot start .*no such printer"):
        await server.start()
    assert story == ["+bus", "+a", "-a", "-bus"]
    with pytest.raises(DDPError):
        _ = server.crossbar
    with pytest.raises(RuntimeError):
        pools[0].submit(print)

    story.clear()
    broken.failure = None
    async with server:
        assert story == ["+bus", "+a", "+b", "+c"]


async def test_a_plugin_with_a_name_is_called_by_it():
    server = Server()
    plugin = Plugin("a", [])
    plugin.failure = ValueError()
    server.plugins.register(plugin, "printers")
    with pytest.raises(DDPError, match=r"plugin 'printers' cannot start .*ValueError"):
        await server.start()


async def test_clients_that_plugins_have_let_in_leave_with_a_start_that_fails():
    class Greeter:
        @hookimpl
        def ddpcore_server_started(self, server):
            self.client = Client(server)
            raise OSError

    greeter = Greeter()
    with pytest.raises(DDPError):
        await Server(plugins=[greeter]).start()
    assert greeter.client.closed == (1001, "Server is going away")


async def test_a_failure_at_the_stop_is_logged_and_the_others_stop(expect_log):
    expect_log("ddpcore.server", r"Exception in ddpcore_server_stopping of the plugin 'Broken'")
    server, _, story = make("a")

    class Broken:
        @hookimpl
        def ddpcore_server_stopping(self):
            raise KeyError

    server.plugins.register(Broken())
    async with server:
        story.clear()
    assert story == ["-a", "-bus"]


async def test_a_plugin_that_does_not_stop_is_left_behind(expect_log, monkeypatch):
    expect_log("ddpcore.server", r"The plugin 'Endless' does not stop in time")
    monkeypatch.setattr(server_module, "GRACE", 0.01)
    server, _, story = make("a")

    class Endless:
        @hookimpl
        async def ddpcore_server_stopping(self):
            await asyncio.Event().wait()

    server.plugins.register(Endless())
    await server.start()
    await server.stop(patience=0)
    assert story[-2:] == ["-a", "-bus"]


async def test_a_wrapper_is_refused():
    class Wrapper:
        @hookimpl(wrapper=True)
        def ddpcore_server_started(self):
            yield

    with pytest.raises(DDPError, match=r"'Wrapper' wraps ddpcore_server_started"):
        await Server(plugins=[Wrapper()]).start()


# --- starts and stops that cross each other ------------------------------------------------------


class Gated:
    """A plugin that starts when it is let."""

    def __init__(self, story):
        self.gate = asyncio.Event()
        self.story = story

    @hookimpl
    async def ddpcore_server_started(self):
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.story.append("cancelled")
            raise
        self.story.append("+gated")

    @hookimpl
    async def ddpcore_server_stopping(self):
        self.story.append("-gated")


async def test_who_gives_up_waiting_for_a_start_does_not_end_it():
    server, _, story = make("a")
    gated = Gated(story)
    server.plugins.register(gated)
    first, second = (asyncio.ensure_future(server.start()) for _ in range(2))
    await turns()
    first.cancel()
    await asyncio.wait([first])
    gated.gate.set()
    await second
    assert story == ["+bus", "+a", "+gated"]
    await server.stop()


async def test_a_start_that_fails_when_nobody_waits_is_no_burden_to_the_next():
    server, (plugin,), story = make("a")
    plugin.failure = OSError("away")
    starting = asyncio.ensure_future(server.start())
    await asyncio.sleep(0)
    starting.cancel()
    await turns(50)
    plugin.failure = None
    await server.start()
    assert story == ["+bus", "-bus", "+bus", "+a"]
    await server.stop()


async def test_a_stop_ends_a_start_and_undoes_it():
    server, _, story = make("a")
    server.plugins.register(Gated(story))
    starting = asyncio.ensure_future(server.start())
    await turns()
    await server.stop()
    with pytest.raises(DDPError, match="stopped while it was starting"):
        await starting
    assert story == ["+bus", "+a", "cancelled", "-a", "-bus"]


async def test_two_stops_at_once_are_one():
    server, _, story = make("a")
    await server.start()
    await asyncio.gather(server.stop(), server.stop())
    assert story == ["+bus", "+a", "-a", "-bus"]


async def test_who_gives_up_waiting_for_a_stop_does_not_end_it():
    server, _, story = make("a")
    await server.start()
    stopping = asyncio.ensure_future(server.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await server.stop()
    assert story == ["+bus", "+a", "-a", "-bus"]
    async with server:
        pass


def test_a_stop_that_its_loop_cuts_short_is_no_burden_to_the_next(expect_log):
    expect_log("ddpcore.server", "The event loop was closed while the server ran on it")
    server, _, story = make("a")
    gate = asyncio.Event()

    class Slow:
        @hookimpl
        async def ddpcore_server_stopping(self):
            await gate.wait()

    server.plugins.register(Slow())

    async def leave():
        await server.start()
        stopping = asyncio.ensure_future(server.stop())
        await turns()
        stopping.cancel()

    async def again():
        async with server:
            gate.set()

    asyncio.run(leave())
    story.clear()
    asyncio.run(again())
    assert story == ["-bus", "+bus", "+a", "-a", "-bus"]


async def test_a_bus_that_fails_to_stop_can_be_stopped_again():
    class Stubborn(MemoryBus):
        stops = 0

        async def stop(self):
            self.stops += 1
            if self.stops == 1:
                raise OSError("busy")
            await super().stop()

    server = Server(bus=Stubborn())
    await server.start()
    with pytest.raises(OSError, match="busy"):
        await server.stop()
    await server.stop()
    async with server:
        assert server.bus.stops == 2


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["start", "stop", "give up", "fail", "work"]),
        st.integers(1, 6),  # turns of the event loop
    ),
    max_size=30,
)


@given(steps=STEPS)
def test_whatever_crosses_what_is_started_is_stopped_in_the_reverse_order(steps):
    """The model is a stack: what starts goes on top, what stops must be the top."""
    asyncio.run(cross(steps))


async def cross(steps):
    server, (_, b), story = make("a", "b")
    asked = []
    for step in steps:
        if step == "start":
            asked.append(asyncio.ensure_future(server.start()))
        elif step == "stop":
            asked.append(asyncio.ensure_future(server.stop()))
        elif step == "give up" and asked:
            asked[-1].cancel()
        elif step in ("fail", "work"):
            b.failure = OSError("away") if step == "fail" else None
        elif isinstance(step, int):
            for _ in range(step):
                await asyncio.sleep(0)
    # All who asked are answered: well, or with a text.
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        assert outcome is None or isinstance(outcome, (DDPError, asyncio.CancelledError))

    # Whatever happened, it can be started and stopped.
    b.failure = None
    await server.stop()
    assert check(story) == []
    await server.start()
    assert check(story) == ["bus", "a", "b"]
    await server.stop()
    assert check(story) == []


def check(story):
    running = []
    for event in story:
        sign, name = event[0], event[1:]
        if sign == "+":
            assert name not in running, story
            running.append(name)
        else:
            assert running.pop() == name, story
    return running


class Impatient:
    """Awaits a task that it has cancelled, as many do, and forgets what that raises."""

    async def _end(self):
        task = asyncio.create_task(asyncio.sleep(3600))
        task.cancel()
        await task


async def test_a_cancellation_that_a_plugin_lets_through_stops_no_stop(expect_log):
    class Stops(Impatient):
        @hookimpl
        async def ddpcore_server_stopping(self):
            await self._end()

    stopped = []

    class Other:
        @hookimpl
        def ddpcore_server_stopping(self):
            stopped.append(1)

    expect_log("ddpcore.server.companions", "Exception in ddpcore_server_stopping.*'Stops'")
    server = Server(plugins=[Other(), Stops()])
    await server.start()
    await server.stop()
    assert (stopped, server.running) == ([1], False)


async def test_one_in_starting_is_told_with_the_plugin():
    class Starts(Impatient):
        @hookimpl
        async def ddpcore_server_started(self):
            await self._end()

    server = Server(plugins=[Starts()])
    with pytest.raises(DDPError, match="The plugin 'Starts' cannot start"):
        await server.start()
    await server.stop()
