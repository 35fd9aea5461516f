"""From the moment a writer commits to the moment the client has the message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from bench.lab import Client, Lab, Writer, lab, percentile, table

CHANGES = 400
PAUSE = 0.01


async def _arrivals(client: Client, count: int) -> list[float]:
    times = []
    for _ in range(count):
        await client.next()
        times.append(time.monotonic())
    return times


async def _run(bench: Lab) -> None:
    writer, address = bench.writer(), bench.serve().address
    note = writer("make", 100, 10)
    author, book = writer("library", "a@example.org")
    cases = [
        ("matched", ("Notes", [0]), ("commits", "note", "text", note)),
        ("matched through joins: the row", ("BooksOf", ["a@example.org"]),
         ("commits", "book", "title", book)),
        ("matched through joins: the related row (at most every 50 ms)",
         ("BooksOf", ["b@example.org"]),
         ("move", author, ["b@example.org", "a@example.org"])),
        ("polled (at most every 50 ms)", ("FirstNotes", [10]), ("commits", "note", "text", note)),
    ]  # fmt: skip
    rows = []
    for kind, subscription, command in cases:
        client = await Client.connect(address)
        await client.next()
        await client.subscribe(subscription)
        pause = 0.06 if "50 ms" in kind else PAUSE
        found = await _paced(client, writer, pause, command)
        rows.append((kind, percentile(found, 50), percentile(found, 99)))
        await client.close()
    first = rows[0][1]
    table(
        "From commit to client (ms)",
        ["observer", "p50", "p99", "p50 / matched"],
        [(kind, f"{p50:.2f}", f"{p99:.2f}", f"{p50 / first:.1f}") for kind, p50, p99 in rows],
    )


async def _paced(client: Client, writer: Writer, pause: float, command: tuple) -> list[float]:
    arrivals = asyncio.ensure_future(_arrivals(client, CHANGES))
    began = await writer.later(*command, CHANGES, pause)
    return [(there - here) * 1000 for here, there in zip(began, await arrivals)]


def main(arguments: Sequence[str] = ()) -> None:
    with lab() as bench:
        asyncio.run(_run(bench))
