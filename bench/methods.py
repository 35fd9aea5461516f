"""Calls of a method: one at a time, and 50 clients with 8 in flight each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from bench.lab import Served, lab, options, serve_bare, serve_module, table
from bench.load import Calls, Load, ddp

TARGETS = {"async def": ("≥ 18,000/s", "≥ 60,000/s")}


def _calls(
    served: Served, method: str, param: Any, *, kind: tuple[int, int], seconds: float, bare: bool
) -> tuple[float, float, float]:
    """Calls a second, calls a second of the server's CPU, and the part of the time it was busy."""
    clients, in_flight = kind
    load = Load(served.address)
    group = load.open(clients, bare=bare)
    load.rest(0.1)
    message = ddp(msg="method", id="%d", method=method, params=[param])
    many = Calls(load, group, message, in_flight, 1 if bare else 2)
    many.run(seconds / 4)
    done, cpu, began = many.done, served.cpu, time.perf_counter()
    many.run(seconds)
    wall, cpu = time.perf_counter() - began, served.cpu - cpu
    done = many.done - done
    load.close(group)
    return done / wall, done / cpu, cpu / wall


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("methods", arguments, clients=50, flight=8, seconds=2.0)
    rows = []
    with ExitStack() as stack:
        bare = stack.enter_context(serve_bare("bare"))
        tornado = stack.enter_context(serve_bare("tornado"))
        ours = stack.enter_context(serve_module())
        bench = stack.enter_context(lab())
        note = bench.writer()("make", 100, 10)
        site = bench.serve()
        text = "hello"
        for name, served, method, param in (
            ("bare protocol: echo of the frame", bare, "echo", text),
            ("write_message: result and updated", tornado, "echo", text),
            ("async def", ours, "echo", text),
            ("def, in a thread", ours, "echo in a thread", text),
            ("endpoint of Django: one row from PostgreSQL", site, "text_of", note),
        ):
            single, many = (
                _calls(served, method, param, kind=kind, seconds=chosen.seconds,
                       bare=served is bare)
                for kind in ((1, 1), (chosen.clients, chosen.flight))
            )  # fmt: skip
            first, second = TARGETS.get(name, ("", ""))
            rows.append((name, *_cells(single), first, *_cells(many), second))
    load = f"{chosen.clients} x {chosen.flight}"
    table(
        "Calls",
        ["server", "one at a time: /s", "/CPU-s", "busy", "target",
         f"{load} in flight: /s", "/CPU-s", "busy", "target"],
        rows,
    )  # fmt: skip
    print("\nMeteor 3 on the same machine: 18,000/s and 37,000/s.")


def _cells(found: tuple[float, float, float]) -> tuple[str, str, str]:
    wall, cpu, busy = found
    return f"{wall:,.0f}", f"{cpu:,.0f}", f"{busy:.0%}"
