"""One worker and two: calls, and one change for 1,000 subscribers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from bench.lab import NotServed, Served, options, serve_module, table
from bench.load import Calls, Load, sub
from ddpcore_pg.cluster import Cluster

ROOM = "fan-100-90"
TURNS = 10


def _calls(served: Served, seconds: float) -> tuple[float, float]:
    """Calls a second, and a second of CPU, with 50 clients and 8 in flight each."""
    load = Load(served.address)
    group = load.open(50)
    load.rest(0.1)
    many = Calls(
        load, group, b'{"msg":"method","id":"%d","method":"echo","params":["hello"]}', 8, 2
    )
    cpu, began = served.cpu, time.perf_counter()
    many.run(seconds)
    found = many.done / (time.perf_counter() - began), many.done / (served.cpu - cpu)
    load.close(group)
    return found


def _fanout(served: Served, clients: int, seconds: float) -> tuple[float, float]:
    """Messages a second, and a second of CPU."""
    load = Load(served.address)
    control = load.control()
    group = load.open(clients, sub("room", ROOM))
    load.rest(0.5)
    first = wanted = group.frames
    cpu, began = served.cpu, time.perf_counter()
    while time.perf_counter() < began + seconds:
        wanted += clients * TURNS
        control("drive", ROOM, TURNS, 1)
        load.run(lambda: group.frames >= wanted)  # noqa: B023
    count = group.frames - first
    found = count / (time.perf_counter() - began), count / (served.cpu - cpu)
    load.close(group)
    return found


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("workers", arguments, clients=1000, workers=2, seconds=3.0)
    found = {}
    with Cluster() as cluster:
        bus = cluster.createdb("bench")
        for workers in (1, chosen.workers):
            with ExitStack() as stack:
                try:
                    served = stack.enter_context(
                        serve_module("--workers", str(workers), "--bus", bus)
                    )
                except NotServed:
                    print("\nThere is no table of workers: `ddpcore serve` does not serve with "
                          f"--workers {workers} (its reason stands above).")  # fmt: skip
                    return
                found[workers] = (
                    _calls(served, chosen.seconds),
                    _fanout(served, chosen.clients, chosen.seconds),
                )
    rows = []
    for number, what in enumerate(
        ("calls, 50 x 8 in flight", f"one change, {chosen.clients:,} clients")
    ):
        alone = found[1][number]
        rows += [
            (what, workers, f"{wall:,.0f}", f"{wall / alone[0]:.2f}", f"{cpu:,.0f}",
             f"{cpu / alone[1]:.2f}", f"{wall / cpu:.0%}")
            for workers, (wall, cpu) in ((n, each[number]) for n, each in found.items())
        ]  # fmt: skip
    table(
        "Workers (PostgreSQL's bus; the clients share the machine's cores)",
        ["what", "workers", "/s", "scaling", "/CPU-s", "CPU ratio", "cores busy"],
        rows,
    )
