"""What a save costs the writer, with nobody and with many who watch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bench.lab import Client, Lab, lab, percentile, table

COUNTS = (0, 10_000)
SAVES = 500
ROUNDS = 4


async def _run(bench: Lab) -> list[tuple[int, float, float]]:
    writer, address = bench.writer(), bench.serve().address
    first = writer("make", 10_000, 10_000)
    found: dict[int, list[float]] = {count: [] for count in COUNTS}
    writer("save", 100, 0, first)
    for _ in range(ROUNDS):  # by turns, so that the machine's moods hit both
        for count in COUNTS:
            clients = [await Client.connect(address) for _ in range(count // 1000)]
            for number, client in enumerate(clients):
                await client.next()
                owners = range(number * 1000, number * 1000 + 1000)
                await client.subscribe(*(("Notes", [owner]) for owner in owners))
            readers = [asyncio.ensure_future(_read(client)) for client in clients]
            found[count] += await writer.later("save", SAVES, 0.004, first)
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            for client in clients:
                await client.close()
    return [(count, percentile(took, 50), percentile(took, 99)) for count, took in found.items()]


async def _read(client: Client) -> None:
    while True:
        await client.next()


def main(arguments: Sequence[str] = ()) -> None:
    with lab() as bench:
        rows = asyncio.run(_run(bench))
    first = rows[0][1]
    table(
        "One save (ms)",
        ["subscriptions", "p50", "p99", "p50 ratio"],
        [
            (f"{count:,}", f"{p50 * 1e3:.3f}", f"{p99 * 1e3:.3f}", f"{p50 / first:.2f}")
            for count, p50, p99 in rows
        ],
    )
