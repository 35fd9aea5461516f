"""One worker and two: calls, and one change for 1,000 subscribers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from bench.lab import Meter, NotServed, Served, Spent, best, options, serve_module, table
from bench.load import Calls, Load, ddp, sub
from ddpcore_pg.cluster import Cluster

ROOM = "fan-100-90"
TURNS = 10
ROUNDS = 3


def _calls(served: Served, seconds: float) -> Spent:
    """With 50 clients and 8 in flight each."""
    load = Load(served.address)
    group = load.open(50)
    load.rest(0.1)
    message = ddp(msg="method", id="%d", method="echo", params=["hello"])
    calls = Calls(load, group, message, 8, 2)
    meter = Meter(served)
    calls.run(seconds)
    spent = meter.read(calls.done)
    load.close(group)
    return spent


def _fanout(served: Served, clients: int, seconds: float) -> Spent:
    """Messages of one change at a time."""
    load = Load(served.address)
    control = load.control()
    group = load.open(clients, sub("room", ROOM))
    load.rest(0.5)
    first = wanted = group.frames
    meter = Meter(served)
    while meter.elapsed < seconds:
        wanted += clients * TURNS
        control("drive", ROOM, TURNS, 1)
        load.run(lambda: group.frames >= wanted)  # noqa: B023
    spent = meter.read(group.frames - first)
    load.close(group)
    return spent


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("workers", arguments, clients=1000, workers=2, seconds=1.5)
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
                    best(_calls(served, chosen.seconds) for _ in range(ROUNDS)),
                    best(_fanout(served, chosen.clients, chosen.seconds) for _ in range(ROUNDS)),
                )
    rows = []
    for number, what in enumerate(
        ("calls, 50 x 8 in flight", f"one change, {chosen.clients:,} clients")
    ):
        alone = found[1][number]
        rows += [
            (what, workers, f"{each[number].rate:,.0f}",
             f"{each[number].rate / alone.rate:.2f}", f"{each[number].per_cpu:,.0f}",
             f"{each[number].per_cpu / alone.per_cpu:.2f}", each[number].busy)
            for workers, each in found.items()
        ]  # fmt: skip
    table(
        "Workers (PostgreSQL's bus; the clients share the machine's cores)",
        ["what", "workers", "/s", "scaling", "/CPU-s", "CPU ratio", "busy"],
        rows,
    )
