"""One worker and two: calls, and one change for 1,000 subscribers."""

from __future__ import annotations

from collections.abc import Sequence

from bench.lab import Lab, Meter, NotServed, Served, Spent, best, lab, options, table
from bench.load import Calls, Load, ddp, sub

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


def _fanout(bench: Lab, served: Served, clients: int, seconds: float) -> Spent:
    """Messages of one change at a time, as fast as a writer makes them and clients take them."""
    writer = bench.writer()
    note = writer("make", 10, 10)
    load = Load(served.address)
    group = load.open(clients, sub("Notes", 0))
    load.rest(1.0)
    first, meter = group.frames, Meter(served)
    writer.start("commits", "note", "text", note, int(1000 * seconds), 0)
    load.rest(seconds)
    spent = meter.read(group.frames - first)
    load.close(group)
    return spent


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("workers", arguments, clients=1000, workers=2, seconds=3.0)
    found = {}
    for workers in (1, chosen.workers):
        with lab() as bench:
            try:
                served = bench.serve("--workers", str(workers))
            except NotServed:
                print("\nThere is no table of workers: `ddpcore serve` does not serve with "
                      f"--workers {workers} (its reason stands above).")  # fmt: skip
                return
            found[workers] = (
                best(_calls(served, chosen.seconds / 2) for _ in range(ROUNDS)),
                best(_fanout(bench, served, chosen.clients, chosen.seconds) for _ in range(ROUNDS)),
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
