"""All clients come back at once: with new sessions, and with the ones they had."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.lab import options, percentile, serve_module, table
from bench.load import Control, Group, Load, bystanders, sub

RATE = 100.0
HEALTHY = 50
PULSE = "pulse-50-50"


KEPT = 50
"""Every so manieth client's documents are compared with what they should be."""


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("reconnect", arguments, clients=1000, documents=100, quiet=3.0)
    room = f"own{{n}}-{chosen.documents}-100"
    rooms = [room.format(n=n) for n in range(chosen.clients)]
    rows, windows = [], []
    with serve_module() as served:
        load = Load(served.address)
        control = load.control()
        with bystanders(served.address, HEALTHY, sub("room", PULSE)) as healthy:
            load.control().start("pace", PULSE, RATE, 1 / RATE, 600.0)
            group = load.open(chosen.clients, sub("room", room), kept=KEPT)
            for resume in (False, True):
                load.rest(1.0)
                quiet = time.monotonic()
                load.rest(chosen.quiet)
                load.close(group, for_good=False)
                load.rest(0.5)
                control("touch", rooms)  # news that they have missed
                cpu, began = served.cpu, time.monotonic()
                group = load.reopen(group, sub("room", room), resume=resume)
                took, spent = time.monotonic() - began, served.cpu - cpu
                windows.append(((quiet, quiet + chosen.quiet), (began, began + took)))
                load.rest(0.5)
                rows.append((resume, group, took, spent, _right(control, group, rooms)))
            control("hush", PULSE)
            seen = healthy.stop()
    table(
        f"{chosen.clients:,} clients with {chosen.documents} documents each come back at once; "
        f"{HEALTHY} others watch",
        ["sessions", "resumed", "all whole after (s)", "MB sent", "CPU (s)", "CPU ratio",
         "documents right", "others' p99, quiet (ms)", "p99 meanwhile (ms)", "worst (ms)",
         "p99 ratio"],
        [
            ("had" if resume else "new", f"{sum(each.resumed for each in group.connections):,}",
             f"{took:.2f}", f"{group.bytes / 1e6:.2f}", f"{spent:.2f}",
             f"{spent / rows[0][3]:.2f}", "yes" if right else "NO", *_latencies(seen, *window))
            for (resume, group, took, spent, right), window in zip(rows, windows)
        ],
    )  # fmt: skip


def _right(control: Control, group: Group, rooms: Sequence[str]) -> bool:
    return all(
        group.connections[number].documents == control("truth", rooms[number])
        for number in range(0, len(rooms), KEPT)
    )


def _latencies(
    seen: list[tuple[float, float]], *windows: tuple[float, float]
) -> tuple[str, str, str, str]:
    quiet, storm = (
        [took for came, took in seen if began <= came - took < end] for began, end in windows
    )
    p99, meanwhile = percentile(quiet, 99), percentile(storm, 99)
    return (f"{p99 * 1e3:.1f}", f"{meanwhile * 1e3:.0f}", f"{max(storm) * 1e3:.0f}",
            f"{meanwhile / p99:.1f}")  # fmt: skip
