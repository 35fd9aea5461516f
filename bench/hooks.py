"""What hooks cost: calls and changes in memory, with nobody listening and with plugins."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from bench.lab import options, table
from ddpcore import Change, Document, Op, Server
from ddpcore.live.predicate import Equals
from ddpcore.live.query import MatchedQuery, Table
from ddpcore.live.snapshot import Found, Snapshot
from ddpcore.transport import Transport

ROUNDS = 9


class Silent(Transport):
    """A client that takes everything and keeps nothing."""

    gathers = True

    def send(self, frames: Any) -> None:
        pass

    def close(self, code: int, reason: str) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Rows(Table):
    topic = "rows"

    def row(self, image: Any) -> Any:
        return image

    async def read(self, keys: Any) -> Any:
        raise NotImplementedError


class Query(MatchedQuery):
    collection = "rows"
    topics = frozenset({"rows"})
    maker = "rows"
    key = ("rows",)
    table = Rows()
    predicate = Equals("room", ["a"])

    async def fetch(self) -> Any:
        return Found({"1": self.item("1", {"n": 0})}, Snapshot(1, 1))

    def item(self, key: str, row: Any) -> Document:
        return Document.of("rows", key, {"n": row["n"]})


class Case:
    """A server with its clients, and what a round of work took."""

    def __init__(self, plugins: Sequence[object], clients: int) -> None:
        self.server = Server(plugins=plugins, heartbeat_interval=0)
        self.clients = clients
        self.transports: list[Silent] = []
        self.numbers = itertools.count(2)
        self.calls: list[float] = []
        self.changes: list[float] = []

        @self.server.method
        async def echo(ctx: Any, value: Any) -> Any:
            return value

        @self.server.publish("rows")
        async def rows(ctx: Any) -> Any:
            return Query()

    async def open(self) -> None:
        await self.server.start()
        for number in range(self.clients):
            transport = Silent()
            self.server.accept(transport)
            self.transports.append(transport)
            self.put(number, msg="connect", version="1", support=["1"])
            self.put(number, msg="sub", id="s", name="rows", params=[])
        async with asyncio.timeout(30):
            while sum(len(each.handles) for each in self.server.observers()) < self.clients:
                await asyncio.sleep(0.01)

    def put(self, number: int, **message: Any) -> None:
        receiver = self.transports[number].receiver
        assert receiver is not None
        receiver.receive(json.dumps(message))
        receiver.flush()

    async def call(self, count: int) -> None:
        text = [json.dumps({"msg": "method", "id": str(n), "method": "echo", "params": ["hello"]})
                for n in range(count)]  # fmt: skip
        receiver = self.transports[0].receiver
        assert receiver is not None
        began = time.process_time()
        for start in range(0, count, 8):
            for each in text[start : start + 8]:
                receiver.receive(each)
            receiver.flush()
            await asyncio.sleep(0)
        self.calls.append((time.process_time() - began) / count)

    async def change(self, count: int) -> None:
        began = time.process_time()
        for _ in range(count):
            n = next(self.numbers)
            row = {"room": "a", "n": n}
            await self.server.bus.publish(Change("rows", Op.UPDATE, "1", None, row, n))
            await self.server.crossbar.settled()
            await asyncio.sleep(0)
        self.changes.append((time.process_time() - began) / count / self.clients)


def everything() -> object:
    """A plugin that listens to all instruments, and does nothing."""
    from ddpcore import hookimpl
    from ddpcore.hooks import Hears

    others = ("admit", "around_method", "around_publication")
    names = [name for name in Hears.HOOKS if name not in others]
    members = {f"ddpcore_{name}": hookimpl(lambda self: None) for name in names}
    return type("Everything", (), members)()


def plugins() -> dict[str, Callable[[], list[object]]]:
    from ddpcore.exporters.logs import EventLog
    from ddpcore.exporters.prometheus import Prometheus

    return {
        "nobody listens": list,
        "the same again": list,
        "all instruments, doing nothing": lambda: [everything()],
        "Prometheus": lambda: [Prometheus()],
        "event log, its level off": lambda: [EventLog()],
    }


async def measure(cases: dict[str, Case], calls: int, changes: int) -> None:
    for case in cases.values():
        await case.open()
    for _ in range(ROUNDS):  # by turns, so that the machine's moods hit all
        for case in cases.values():
            await case.call(calls)
            await case.change(changes)
    for case in cases.values():
        await case.server.stop()


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("hooks", arguments, clients=500, calls=4000, changes=40)
    cases = {name: Case(make(), chosen.clients) for name, make in plugins().items()}
    asyncio.run(measure(cases, chosen.calls, chosen.changes))
    first = next(iter(cases.values()))

    def cells(of: Callable[[Case], list[float]], case: Case) -> tuple[str, str]:
        # Of pairs of the same round: what the machine does in the meantime is left out.
        ratio = median(a / b for a, b in zip(of(case), of(first), strict=True))
        return f"{median(of(case)) * 1e6:.2f}", f"{ratio:.2f}"

    rows = [
        (name, *cells(lambda it: it.calls, case), *cells(lambda it: it.changes, case))
        for name, case in cases.items()
    ]
    table(
        "Hooks, in memory: CPU of a call, and of a change for each of the clients",
        ["plugins", "call, µs", "ratio", "change, µs", "ratio"],
        rows,
    )
