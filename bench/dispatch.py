"""What one change costs the process that serves: 10 and 10,000 different per-user queries."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench.lab import SITE, Lab, lab, table

COUNTS = (10, 10_000)
CHANGES = 5_000
ATTEMPTS = 8


async def _run() -> None:
    from ddpcore import MemoryBus
    from ddpcore_django.server import make_server

    server = make_server(bus=MemoryBus())
    await server.start()
    crossbars = {count: await _watched(server, count) for count in COUNTS}
    best = dict.fromkeys(COUNTS, float("inf"))
    for attempt in range(ATTEMPTS):  # by turns, so that the machine's moods hit both
        for count, crossbar in crossbars.items():
            took = await _changes(crossbar, count, (attempt + 1) * 10**9)
            best[count] = min(best[count], took / CHANGES)
    for crossbar in crossbars.values():
        await crossbar.stop()
    await server.stop()
    first = best[COUNTS[0]]
    table(
        "One change, all observers included",
        ["different queries", "µs", "ratio"],
        [
            (f"{count:,}", f"{took * 1e6:.1f}", f"{took / first:.2f}")
            for count, took in best.items()
        ],
    )


async def _watched(server: Any, count: int) -> Any:
    from ddpcore.live.crossbar import Crossbar
    from ddpcore_django.registry import API
    from ddpcore_django.server import live_queries

    crossbar = Crossbar(server.bus)
    publication = API.publications["Notes"]
    for owner in range(count):
        queries = await server.in_thread(live_queries, server, API, publication, [owner], None)
        await crossbar.observe([(query, lambda _step: None) for query in queries])
    return crossbar


async def _changes(crossbar: Any, count: int, xid: int) -> float:
    """Each row comes, changes, moves to another owner, and goes."""
    from ddpcore import Change, Op

    began = time.perf_counter()
    for number in range(CHANGES // 4):
        owner = number * 7919 % count
        turns = [
            (Op.INSERT, owner),
            (Op.UPDATE, owner),
            (Op.UPDATE, (owner + 1) % count),
            (Op.DELETE, None),
        ]
        for turn, (op, held) in enumerate(turns):
            xid += 1
            image = {"id": number, "owner": held, "text": f"{number} {turn}"}
            after = None if held is None else image
            crossbar.deliver(Change("shop.note", op, str(number), None, after, xid))
        await crossbar.settled([])
    return time.perf_counter() - began


def _set_up(bench: Lab) -> None:
    import django

    os.environ.update({name: bench.env[name] for name in bench.env if name.startswith("BENCH_")})
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    sys.path.insert(0, str(SITE))
    django.setup()


def main(arguments: Sequence[str] = ()) -> None:
    with lab() as bench:
        _set_up(bench)
        asyncio.run(_run())
