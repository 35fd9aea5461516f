"""An update() of 10,000 rows: what triggers add to it, and what comes of it."""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Sequence
from contextlib import closing

import psycopg2

from bench.lab import Client, Lab, lab, table
from bench.load import bystanders
from ddpcore_pg.payload import channel

ROWS = 10_000
RUNS = 7


def _median(times: list[float]) -> float:
    return sorted(times)[len(times) // 2] * 1000


def _notifications(bench: Lab, writer) -> int:
    with closing(psycopg2.connect(bench.dsn)) as listener:
        listener.autocommit = True
        listener.cursor().execute(f'LISTEN "{channel("shop.note")}"')
        writer("update_all", "counted")
        count = 0
        while select.select([listener], [], [], 0.5)[0]:
            listener.poll()
            count += len(listener.notifies)
            listener.notifies.clear()
    return count


async def _burst(bench: Lab, writer) -> tuple[int, float, float, float]:
    address = bench.serve().address
    with bystanders(address, 1, echo=0.01) as bystander:
        await asyncio.sleep(1.0)
        began = time.monotonic()
        changed, took = await _updated(address, writer)
        seen = bystander.stop()
    quiet = [answered for came, answered in seen if came < began]
    meanwhile = [answered for came, answered in seen if came >= began]
    return changed, took, max(quiet), max(meanwhile)


async def _updated(address: str, writer) -> tuple[int, float]:
    client = await Client.connect(address)
    await client.next()
    await client.subscribe(("AllNotes", []))
    began = time.perf_counter()
    update = asyncio.ensure_future(writer.later("update_all", "burst"))
    changed = 0
    while changed < ROWS:
        changed += (await client.next())["msg"] == "changed"
    took = time.perf_counter() - began
    await update
    await client.close()
    return changed, took


def main(arguments: Sequence[str] = ()) -> None:
    with lab() as bench:
        writer = bench.writer()
        writer("make", ROWS, 10)
        plain = _median([writer("update_all", f"x{n}") for n in range(RUNS)])
    with lab("triggers") as bench:
        writer = bench.writer()
        writer("make", ROWS, 10)
        triggered = _median([writer("update_all", f"x{n}") for n in range(RUNS)])
        notifications = _notifications(bench, writer)
        changed, took, quiet, stall = asyncio.run(_burst(bench, writer))
    table(
        f"update() of {ROWS:,} rows",
        ["capture", "ms", "ratio", "notifications", "messages at a client", "all there after (ms)",
         "longest another client waits for an echo (ms)"],
        [
            ("none", f"{plain:.0f}", "1.00", 0, 0, "", f"{quiet * 1000:.0f} (before the update)"),
            ("triggers", f"{triggered:.0f}", f"{triggered / plain:.2f}", notifications,
             f"{changed:,}", f"{took * 1000:.0f}", f"{stall * 1000:.0f}"),
        ],
    )  # fmt: skip
