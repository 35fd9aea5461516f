"""Connected clients subscribe at once to the same documents; what those notice who are there."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.lab import options, percentile, serve_module, table
from bench.load import Load, bystanders, masked, sub, until_ready

RATE = 100.0
HEALTHY = 50
PULSE = "pulse-50-50"


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("storm", arguments, clients=1000, documents=1000, size=100, quiet=3.0)
    rows = []
    for what, rate in ("a change", RATE), ("an echo", 0.0):
        with serve_module() as served:
            load = Load(served.address)
            echo = 0.0 if rate else HEALTHY / RATE
            with bystanders(served.address, HEALTHY, sub("room", PULSE), echo=echo) as healthy:
                if rate:
                    load.control().start("pace", PULSE, rate, 1 / rate, 600.0)
                group = load.open(chosen.clients)
                load.rest(1.0)
                quiet = time.monotonic()
                load.rest(chosen.quiet)
                message = masked(sub("room", f"crowd-{chosen.documents}-{chosen.size}"))
                cpu, began = served.cpu, time.monotonic()
                for connection in group.connections:
                    connection.take = until_ready
                    connection.write(message)
                load.run(lambda group=group: group.whole == chosen.clients)
                ended, spent = time.monotonic(), served.cpu - cpu
                load.control()("hush", PULSE)
                seen = healthy.stop()
        before = [took for came, took in seen if quiet <= came - took < quiet + chosen.quiet]
        storm = [took for came, took in seen if began <= came - took < ended]
        rows.append(
            (what, f"{ended - began:.2f}", f"{spent:.2f}",
             *(f"{seconds * 1e3:.1f}" for seconds in (percentile(before, 99), percentile(storm, 50),
                                                     percentile(storm, 99), max(storm))))
        )  # fmt: skip
    table(
        f"{chosen.clients:,} clients subscribe to {chosen.documents:,} documents at once; "
        f"{HEALTHY} others wait for {RATE:.0f} of these a second",
        ["what they wait for", "all ready after (s)", "CPU (s)", "p99, quiet (ms)",
         "p50 meanwhile (ms)", "p99 meanwhile (ms)", "worst (ms)"],
        rows,
    )  # fmt: skip
