"""Many clients subscribe to the same documents at once."""

from __future__ import annotations

from collections.abc import Sequence

from bench.lab import Meter, Served, Spent, best, options, serve_module, table
from bench.load import Load, masked, sub, until_ready

ROUNDS = 4


def _storm(served: Served, load: Load, clients: int, name: str, room: str) -> Spent:
    """Until all are ready; counted in documents."""
    group = load.open(clients)
    message = masked(sub(name, room))
    for connection in group.connections:
        connection.take = until_ready
    frames, meter = group.frames, Meter(served)
    for connection in group.connections:
        connection.write(message)
    load.run(lambda: group.whole == clients)
    spent = meter.read(group.frames - frames - clients)  # each has a `ready`, too
    load.close(group)
    load.rest(0.2)
    return spent


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("subscribe", arguments, clients=100, documents=1000, size=960)
    room = f"sub-{chosen.documents}-{chosen.size}"
    cases = [
        ("live query", "room", chosen.clients, "≥ 300,000/s, ≥ 5x"),
        ("encoded per client", "by hand", chosen.clients, ""),
        ("live query", "room", chosen.clients // 5, "(Meteor's comparison)"),
        ("encoded per client", "by hand", chosen.clients // 5, ""),
    ]
    rounds: dict[tuple, list[Spent]] = {case: [] for case in cases}
    with serve_module() as served:
        load = Load(served.address)
        _storm(served, load, 2, "room", room)
        for _ in range(ROUNDS):  # by turns, so that the machine's moods hit all
            for case in cases:
                _, name, clients, _ = case
                rounds[case].append(_storm(served, load, clients, name, room))
    spent = {case: best(each) for case, each in rounds.items()}
    rows = []
    for first, second in (cases[:2], cases[2:]):
        for case in (first, second):
            label, _, clients, target = case
            each = spent[case]
            rows.append((label, f"{clients} x {chosen.documents:,}", f"{each.rate:,.0f}",
                         f"{each.per_cpu:,.0f}", each.busy,
                         f"{each.per_cpu / spent[second].per_cpu:.1f}", target))  # fmt: skip
    table(
        f"Clients that subscribe at once, documents of {chosen.size + 40:,} bytes",
        ["publication", "clients x documents", "documents/s", "documents/CPU-s", "server busy",
         "x encoded per client", "target"],
        rows,
    )  # fmt: skip
