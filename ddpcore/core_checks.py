"""What the core itself looks at: its plugins, versions, the bus, and workers against the bus."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import TYPE_CHECKING, Any

from ddpcore.bus import BusEvent, Change, Op
from ddpcore.checks import Check, Finding
from ddpcore.plugins import disabled, make_bus, plugin_manager, shown_url

if TYPE_CHECKING:
    from ddpcore.server.server import Server

__all__ = ["core_checks"]

SLOW = 1.0
"""Seconds that word of a change may take here and back, before somebody should look into it."""

# One module, two distributions of it.
_OTHER_NAMES = {"psycopg2-binary": "psycopg2"}


def core_checks(server: Server | None, options: Any) -> list[Check]:
    """The checks."""
    manager = server.plugins if server is not None else plugin_manager()

    def plugins() -> Finding:
        without = f"; without {', '.join(sorted(disabled()))}" if disabled() else ""
        names = manager.names()
        return Finding.ok(f"{len(names)} load: {', '.join(names)}{without}")

    async def bus() -> list[Finding]:
        return await _bus(manager, options.bus)

    def workers() -> Iterator[Finding]:
        return _workers(manager, options.workers, options.bus)

    checks = [Check("plugins", plugins), Check("software", _software)]
    if options.bus is not None:
        checks += [Check("bus", bus), Check("workers", workers)]
    return checks


# --- versions -----------------------------------------------------------------------------------


def _software() -> Iterator[Finding]:
    """Versions against those that our own distribution says it works with."""
    python = ".".join(map(str, sys.version_info[:3]))
    try:
        known = metadata("ddpcore").get_all("Classifier") or []
        wanted = requires("ddpcore") or []
    except PackageNotFoundError:
        yield Finding.warning(
            f"Python {python}. ddpcore runs from a directory in which it is not installed, so "
            "nobody can say which versions of other packages it works with.",
            "Install it: pip install ddpcore.",
        )
        return
    found = [f"Python {python}", f"ddpcore {version('ddpcore')}"]
    tested = re.findall(r"Python :: (3\.\d+)", "\n".join(known))
    if tested and f"{sys.version_info[0]}.{sys.version_info[1]}" not in tested:
        yield Finding.warning(
            f"Python {python} is none of those that ddpcore is tested with.",
            f"Use one of {', '.join(tested)}.",
        )
    wrong = False
    for name, least, below in _bounds(wanted):
        there = _installed(name)
        if there is None:
            continue
        if _numbers(least) <= _numbers(there) < _numbers(below):
            found.append(f"{name} {there}")
        else:
            wrong = True
            yield Finding.error(
                f"{name} {there} is installed, and ddpcore works with {least} up to below {below}.",
                f"pip install '{name}>={least},<{below}'",
            )
    if not wrong:
        yield Finding.ok(", ".join(found))


def _bounds(wanted: list[str]) -> Iterator[tuple[str, str, str]]:
    """Name, lower bound and upper bound of what the distribution requires, tests left out."""
    for each in dict.fromkeys(
        text.partition(";")[0].strip() for text in wanted if "test" not in text
    ):
        if match := re.fullmatch(
            r"([\w.-]+)\s*(?:<([\d.]+),>=([\d.]+)|>=([\d.]+),<([\d.]+))", each
        ):
            yield match[1], match[3] or match[4], match[2] or match[5]


def _installed(name: str) -> str | None:
    for each in filter(None, (name, _OTHER_NAMES.get(name))):
        try:
            return version(each)
        except PackageNotFoundError:
            continue
    return None


def _numbers(text: str) -> tuple[int, ...]:
    # Of "6.0rc1" or "2.9.13.dev1" the numbers before the letters: that is near enough here.
    return tuple(int(each) for each in re.match(r"[\d.]*", text)[0].split(".") if each)  # type: ignore[index]


# --- the bus ------------------------------------------------------------------------------------


async def _bus(manager: Any, url: str) -> list[Finding]:
    """A change on a topic of our own, here and back: the contract of buses in small."""
    bus = make_bus(manager, url)
    topic, arrived = f"ddpcore.check.{secrets.token_hex(8)}", asyncio.Event()

    def deliver(event: BusEvent) -> None:
        if isinstance(event, Change) and event.topic == topic:
            arrived.set()

    await bus.start(deliver)
    try:
        await bus.subscribe(topic)
        began = time.monotonic()
        await bus.publish(Change(topic, Op.INSERT, "1"))
        await bus.fence()
        fence = time.monotonic() - began
        if not arrived.is_set():
            return [
                Finding.error(
                    f"{shown_url(url)} has completed a fence, but not delivered the change that "
                    "was published before it.",
                    "The bus breaks its contract: run ddpcore.testing.bus_contract on it.",
                )
            ]
        times = []
        for _ in range(3):
            arrived.clear()
            began = time.monotonic()
            await bus.publish(Change(topic, Op.INSERT, "1"))
            await arrived.wait()
            times.append(time.monotonic() - began)
        best = min(times)
        await bus.unsubscribe(topic)
    finally:
        await bus.stop()
    text = (
        f"a change sent by {shown_url(url)} came back after {_milliseconds(best)}, "
        f"the first one with a fence after {_milliseconds(fence)}"
    )
    if best > SLOW:
        return [
            Finding.warning(
                f"{text}.", "Methods that write wait so long: put the server nearer to its bus."
            )
        ]
    return [Finding.ok(text)]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def _workers(manager: Any, workers: int, url: str) -> Iterator[Finding]:
    if workers == 1:
        yield Finding.ok("one process")
        return
    if not make_bus(manager, url).crosses_processes:
        yield Finding.error(
            f"--workers {workers}, and the bus {shown_url(url)} stays within one process: changes "
            "made in one worker would not reach the clients of another.",
            "Use PostgreSQL (--bus postgres://user@host/database), or serve without --workers.",
        )
        return
    cores = _cores()
    if workers > cores:
        yield Finding.warning(
            f"{workers} workers on {cores} processor cores: each costs memory and connections, "
            "and none of them makes the others faster.",
            f"Use --workers {cores}.",
        )
        return
    yield Finding.ok(f"{workers} processes on {cores} processor cores")


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
