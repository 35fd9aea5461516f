"""Many clients subscribe to the same documents at once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.lab import Served, options, serve_module, table
from bench.load import Load, sub, until_ready

ROUNDS = 3


def _storm(served: Served, load: Load, clients: int, name: str, room: str) -> tuple[float, float]:
    """The seconds, and those of CPU, until all are ready."""
    group = load.open(clients)
    message = sub(name, room)
    for connection in group.connections:
        connection.take = until_ready
    cpu, began = served.cpu, time.perf_counter()
    for connection in group.connections:
        connection.send(message)
    load.run(lambda: group.whole == clients)
    took, spent = time.perf_counter() - began, served.cpu - cpu
    load.close(group)
    load.rest(0.2)
    return took, spent


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("subscribe", arguments, clients=100, documents=1000, size=960)
    room = f"sub-{chosen.documents}-{chosen.size}"
    cases = [
        ("live query", "room", chosen.clients, "≥ 300,000/s"),
        ("encoded per client", "by hand", chosen.clients, ""),
        ("live query", "room", chosen.clients // 5, "(Meteor's comparison)"),
        ("encoded per client", "by hand", chosen.clients // 5, ""),
    ]
    spent = {case: [0.0, 0.0] for case in cases}
    with serve_module() as served:
        load = Load(served.address)
        _storm(served, load, 2, "room", room)
        for _ in range(ROUNDS):
            for case in cases:
                took = _storm(served, load, case[2], case[1], room)
                spent[case] = [sum(pair) for pair in zip(spent[case], took)]
    rows = []
    for first, second in (cases[:2], cases[2:]):
        by_hand = spent[second][1]
        for case in (first, second):
            label, _, clients, target = case
            count = clients * chosen.documents * ROUNDS
            wall, cpu = spent[case]
            ratio = by_hand / cpu
            goal = f"{target}, ≥ 5x" if case is cases[0] else target
            rows.append((label, f"{clients} x {chosen.documents:,}", f"{count / wall:,.0f}",
                         f"{count / cpu:,.0f}", f"{cpu / wall:.0%}", f"{ratio:.1f}",
                         goal))  # fmt: skip
    table(
        f"Clients that subscribe at once, documents of {chosen.size + 40:,} bytes",
        ["publication", "clients x documents", "documents/s", "documents/CPU-s", "server busy",
         "x encoded per client", "target"],
        rows,
    )  # fmt: skip
