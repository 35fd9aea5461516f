"""The pieces: how checks are gathered and run, whatever they do."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

import ddpcore
from ddpcore.bus import Bus, MemoryBus
from ddpcore.checks import ORDER, Check, Finding, Level, checks_of, in_order, run_checks
from ddpcore.core_checks import _bounds, _bus, _numbers, _workers
from ddpcore.plugins import plugin_manager


async def found(*checks: Check) -> list[Finding]:
    return [each async for each in run_checks([("mine", check) for check in checks])]


async def test_what_functions_may_give():
    def one():
        return Finding.ok("one")

    def several():
        yield Finding.ok("two")
        yield Finding.warning("three", "do")

    async def asynchronous():
        await asyncio.sleep(0)
        return [Finding.error("four", "do")]

    def none():
        return None

    checks = [Check("a", one), Check("b", several), Check("c", asynchronous), Check("d", none)]
    assert await found(*checks) == [
        Finding(Level.OK, "one", "", "a", "mine"),
        Finding(Level.OK, "two", "", "b", "mine"),
        Finding(Level.WARNING, "three", "do", "b", "mine"),
        Finding(Level.ERROR, "four", "do", "c", "mine"),
    ]


async def test_a_def_function_may_block_and_has_a_thread():
    def where():
        return Finding.ok(threading.current_thread().name)

    assert (await found(Check("a", where)))[0].text == "ddpcore-check"


async def test_failures_are_findings_and_end_no_other():
    def broken():
        yield Finding.ok("so far")
        raise KeyError("gone")

    def leaves():
        sys.exit(3)

    def stops():
        raise StopIteration

    async def says():
        raise ddpcore.DDPError("Do this.")

    def wrong():
        return "well"

    def times_out():
        raise TimeoutError("of its own")

    def well():
        return Finding.ok("last")

    told = await found(
        *[Check("x", each) for each in (broken, leaves, stops, says, wrong, times_out, well)]
    )
    assert [(each.level.value, each.text) for each in told] == [
        ("ok", "so far"),
        ("error", "The check has failed: KeyError: 'gone'"),
        ("error", "The check has failed: RuntimeError: SystemExit: 3"),
        ("error", "The check has failed: RuntimeError: StopIteration:"),
        ("error", "Do this."),
        ("error", "The check has failed: TypeError: 'w' is no ddpcore.checks.Finding"),
        ("error", "The check has failed: TimeoutError: of its own"),
        ("ok", "last"),
    ]


async def test_what_hangs_is_left_behind():
    never = threading.Event()

    def blocks():
        yield Finding.ok("so far")
        never.wait()
        yield Finding.ok("too late")

    async def waits():
        await asyncio.Event().wait()

    told = await found(Check("a", blocks, 1), Check("b", waits, 0.05))
    assert [(each.check, each.level, each.text) for each in told] == [
        ("a", Level.OK, "so far"),
        ("a", Level.ERROR, "No answer within 1 s."),
        ("b", Level.ERROR, "No answer within 0.05 s."),
    ]
    never.set()


async def test_a_hook_that_fails_is_a_finding():
    class Broken:
        ddpcore_name = "broken"

        @ddpcore.hookimpl
        def ddpcore_checks(self):
            raise ZeroDivisionError

    class Wrong:
        ddpcore_name = "wrong"

        @ddpcore.hookimpl
        def ddpcore_checks(self):
            return ["well"]

    class Lazy:
        ddpcore_name = "lazy"

        @ddpcore.hookimpl
        def ddpcore_checks(self, options):
            yield Check("lazy", lambda: Finding.ok(options))
            raise KeyError

    class Coroutine:
        ddpcore_name = "coroutine"

        @ddpcore.hookimpl
        async def ddpcore_checks(self):
            return []

    class Good:
        ddpcore_name = "good"

        @ddpcore.hookimpl
        def ddpcore_checks(self, server):
            assert server is None
            return [Check("disk", lambda: Finding.ok("there is room"))]

    manager = ddpcore.hooks.PluginManager()
    manager.add_hookspecs(ddpcore.hookspecs)
    for each in (Good(), Coroutine(), Lazy(), Wrong(), Broken()):
        manager.register(each, each.ddpcore_name)
    told = [each async for each in run_checks(checks_of(manager, None, "how"))]
    assert [(each.plugin, each.level.value, each.text) for each in told] == [
        ("broken", "error", "The check has failed: ZeroDivisionError"),
        ("wrong", "error", "The check has failed: TypeError: 'well' is no ddpcore.checks.Check"),
        ("lazy", "error", "The check has failed: KeyError"),
        (
            "coroutine",
            "error",
            "The check has failed: TypeError: the answer is not awaited here: write it with def",
        ),
        ("good", "ok", "there is room"),
    ]


def test_they_are_in_order_and_others_last():
    names = ["disk", "mails", "bus", "plugins", "another", "bus"]
    checks = [("p", Check(name, lambda: None)) for name in names]
    assert [check.name for _, check in in_order(checks)] == [
        "plugins", "bus", "bus", "mails", "disk", "another",
    ]  # fmt: skip
    assert len(set(ORDER)) == len(ORDER)


def test_bounds_of_versions():
    wanted = [
        "pluggy<2,>=1.5",
        "Django<7,>=5.2; extra == 'django'",
        "tornado>=6.5,<7",
        "pytest>=9; extra == 'test'",
    ]
    assert list(_bounds(wanted)) == [
        ("pluggy", "1.5", "2"), ("Django", "5.2", "7"), ("tornado", "6.5", "7"),
    ]  # fmt: skip
    assert _numbers("6.0rc1") == (6, 0)
    assert _numbers("5.1.9") < _numbers("5.2") <= _numbers("5.2.1") < _numbers("7")


class Buses:
    """A bus of anybody, known by the contract alone."""

    ddpcore_name = "buses"

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    @ddpcore.hookimpl
    def ddpcore_bus(self, url):
        return self.bus if url == "other:" else None


class Deaf(MemoryBus):
    async def publish(self, change):
        pass


class Hanging(MemoryBus):
    stopped = False

    async def fence(self):
        await asyncio.Event().wait()

    async def stop(self):
        self.stopped = True
        await super().stop()


async def test_a_bus_of_another_kind():
    manager = plugin_manager([Buses(MemoryBus())])
    (finding,) = await _bus(manager, "other:")
    assert finding.level is Level.OK
    assert finding.text.startswith("a change sent by other: came back after ")
    with pytest.raises(ddpcore.DDPError, match="No bus for"):
        await _bus(manager, "unknown:")


async def test_a_bus_that_loses_changes():
    (finding,) = await _bus(plugin_manager([Buses(Deaf())]), "other:")
    assert finding.level is Level.ERROR
    assert "has completed a fence, but not delivered" in finding.text


async def test_a_bus_that_hangs_is_stopped():
    bus = Hanging()
    manager = plugin_manager([Buses(bus)])

    async def run():
        return await _bus(manager, "other:")

    (finding,) = await found(Check("bus", run, 0.05))
    assert (finding.level, bus.stopped) == (Level.ERROR, True)


def test_workers_against_the_bus(monkeypatch):
    class Crossing(MemoryBus):
        crosses_processes = True

    manager = plugin_manager([Buses(Crossing())])
    monkeypatch.setattr("ddpcore.core_checks._cores", lambda: 2)

    def level(workers: int, url: str) -> Level:
        (finding,) = _workers(manager, workers, url)
        return finding.level

    assert level(1, "memory:") is level(2, "other:") is Level.OK
    assert level(2, "memory:") is Level.ERROR
    assert level(3, "other:") is Level.WARNING
