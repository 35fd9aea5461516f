"""From a writer's commit, through PostgreSQL, to one client and to 1,000; where time goes."""

from __future__ import annotations

import multiprocessing
import select
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import psycopg2

from bench.lab import Lab, Served, Writer, lab, options, percentile, serve_module, table
from bench.load import AT, Connection, Load, arrivals, sub
from ddpcore_pg.payload import channel

WARM = 10
ROUNDS = 2

Pairs = list[tuple[float, float]]
"""Of each change: seconds until the first client had it, and until the last had."""


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("through_database", arguments, clients=1000, changes=100, pause=0.1)
    # Each change has its time to reach all, so none waits for the one before.
    fast, slow = ((chosen.changes + WARM, pause) for pause in (chosen.pause / 5, chosen.pause))
    with lab() as bench:
        writer = bench.writer()
        note = writer("make", 100, 10)
        command = ("commits", "note", "text", note)
        bus = _calmest(_bus_alone(bench, writer, (*command, *fast)) for _ in range(ROUNDS))
        served = bench.serve()
        one = _calmest(_through(served, writer, (*command, *fast), 1) for _ in range(ROUNDS))
        many = _through(served, writer, (*command, *slow), chosen.clients)
    with serve_module() as served:
        alone = _calmest(_within(served, 1, *fast) for _ in range(ROUNDS))
        crowd = _within(served, chosen.clients, *slow)
    clients = f"{chosen.clients:,} clients"
    bus_50 = percentile(bus, 50)
    found = [
        ("bus alone: commit → a bare LISTEN connection", bus),
        ("through PostgreSQL: commit → 1 client", [first for first, _ in one]),
        (f"through PostgreSQL: commit → first of {clients}", [first for first, _ in many]),
        (f"through PostgreSQL: commit → last of {clients}", [last for _, last in many]),
        ("in process: change → 1 client", [first for first, _ in alone]),
        (f"in process: change → first of {clients}", [first for first, _ in crowd]),
        (f"in process: change → last of {clients}", [last for _, last in crowd]),
    ]
    middle = {name: percentile(times, 50) for name, times in found}
    names = list(middle)
    parts = [
        ("= notification to send: decode, dispatch, one client", middle[names[1]] - bus_50),
        ("= the same without a database: dispatch, one client", middle[names[4]]),
        ("= fan-out, database: last - first", percentile([b - a for a, b in many], 50)),
        ("= fan-out, in process: last - first", percentile([b - a for a, b in crowd], 50)),
    ]
    table(
        "A change on its way (ms)",
        ["way", "p50", "p99", "p50 / bus alone"],
        [
            *((name, f"{middle[name] * 1e3:.2f}", f"{percentile(times, 99) * 1e3:.2f}",
               f"{middle[name] / bus_50:.1f}") for name, times in found),
            *((name, f"{part * 1e3:.2f}", "", f"{part / bus_50:.1f}") for name, part in parts),
        ],
    )  # fmt: skip


def _calmest(runs: Iterable[list]) -> list:
    """The run whose median change took least: what else the machine does only adds."""
    return min(runs, key=lambda run: sorted(run)[len(run) // 2])


def _through(served: Served, writer: Writer, command: tuple, clients: int) -> Pairs:
    load = Load(served.address)
    group = load.open(clients, sub("Notes", 0))
    for connection in group.connections:
        connection.take = arrivals
    wanted = group.frames + clients * command[-2]
    writer.start(*command)
    load.run(lambda: group.frames >= wanted)
    came = zip(*(connection.notes for connection in group.connections))
    pairs = [(min(each) - began, max(each) - began) for began, each in zip(writer.answer(), came)]
    load.close(group)
    load.rest(0.5)
    return pairs[WARM:]


def _within(served: Served, clients: int, changes: int, pause: float) -> Pairs:
    found: dict[bytes, list[float]] = {}

    def take(connection: Connection, payload: bytes) -> None:
        found.setdefault(AT.search(payload)[1], []).append(connection.load.now)

    load = Load(served.address)
    control = load.control()
    group = load.open(clients, sub("room", "through-10-20"))
    for connection in group.connections:
        connection.take = take
    control("pace", "through-10-20", 1 / pause, pause, changes * pause)
    load.rest(0.3)
    load.close(group)
    load.rest(0.5)
    pairs = [(min(came) - int(at) / 1e6, max(came) - int(at) / 1e6) for at, came in found.items()]
    return pairs[WARM:]


def _bus_alone(bench: Lab, writer: Writer, command: tuple) -> list[float]:
    with _listener(bench.dsn) as pipe:
        began = writer(*command)
        pipe.send(len(began))
        came = pipe.recv()
    return [there - here for here, there in zip(began, came)][WARM:]


@contextmanager
def _listener(dsn: str) -> Iterator[Any]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=_listen, args=(there, dsn), daemon=True
    )
    process.start()
    try:
        assert here.recv() == "ready"
        yield here
    finally:
        process.terminate()
        process.join()


def _listen(pipe: Any, dsn: str) -> None:
    came: list[float] = []
    with closing(psycopg2.connect(dsn)) as listener:
        listener.autocommit = True
        listener.cursor().execute(f'LISTEN "{channel("shop.note")}"')
        pipe.send("ready")
        while not pipe.poll() or len(came) < pipe.recv():
            if select.select([listener], [], [], 0.1)[0]:
                listener.poll()
                came += [time.monotonic()] * len(listener.notifies)
                listener.notifies.clear()
    pipe.send(came)
