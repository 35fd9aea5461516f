"""Calls of a method: one at a time, and 50 clients with 8 in flight each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from bench.lab import Meter, Served, Spent, best, lab, options, serve_bare, serve_module, table
from bench.load import Calls, Load, ddp

ROUNDS = 4

TARGETS = {"async def": ("≥ 18,000/s", "≥ 60,000/s")}


class Callers:
    """Clients of one server that call one method, and what it took."""

    def __init__(self, served: Served, kind: tuple[int, int], *, method: str, param: Any,
                 bare: bool) -> None:  # fmt: skip
        clients, in_flight = kind
        load = Load(served.address)
        group = load.open(clients, bare=bare)
        load.rest(0.1)
        message = ddp(msg="method", id="%d", method=method, params=[param])
        self._served = served
        self._calls = Calls(load, group, message, in_flight, 1 if bare else 2)
        self.rounds: list[Spent] = []

    def call(self, seconds: float) -> None:
        done, meter = self._calls.done, Meter(self._served)
        self._calls.run(seconds)
        self.rounds.append(meter.read(self._calls.done - done))

    @property
    def cells(self) -> tuple[str, str, str]:
        found = best(self.rounds)
        return f"{found.rate:,.0f}", f"{found.per_cpu:,.0f}", found.busy


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("methods", arguments, clients=50, flight=8, seconds=0.7)
    kinds = ((1, 1), (chosen.clients, chosen.flight))
    rows = []
    with ExitStack() as stack:
        bare = stack.enter_context(serve_bare("bare"))
        tornado = stack.enter_context(serve_bare("tornado"))
        ours = stack.enter_context(serve_module())
        bench = stack.enter_context(lab())
        note = bench.writer()("make", 100, 10)
        site = bench.serve()
        cases = {
            "bare protocol: echo of the frame": (bare, "echo", "hello"),
            "write_message: result and updated": (tornado, "echo", "hello"),
            "async def": (ours, "echo", "hello"),
            "def, in a thread": (ours, "echo in a thread", "hello"),
            "endpoint of Django: one row from PostgreSQL": (site, "text_of", note),
        }
        callers = {
            (name, kind): Callers(served, kind, method=method, param=param, bare=served is bare)
            for name, (served, method, param) in cases.items()
            for kind in kinds
        }
        for _ in range(ROUNDS):  # by turns, so that the machine's moods hit all
            for each in callers.values():
                each.call(chosen.seconds)
    for name in cases:
        first, second = TARGETS.get(name, ("", ""))
        single, many = (callers[name, kind].cells for kind in kinds)
        rows.append((name, *single, first, *many, second))
    load = f"{chosen.clients} x {chosen.flight}"
    table(
        "Calls",
        ["server", "one at a time: /s", "/CPU-s", "busy", "target",
         f"{load} in flight: /s", "/CPU-s", "busy", "target"],
        rows,
    )  # fmt: skip
    print("\nMeteor 3 on the same machine: 18,000/s and 37,000/s.")
