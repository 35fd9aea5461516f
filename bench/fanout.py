"""One change, 1,000 subscribers: messages per CPU-second, beside the least that can be done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from bench.lab import Served, options, serve_bare, serve_module, table
from bench.load import Load, sub

ROOM = "fan-100-90"
TURNS = 10
ROUNDS = 4


class Audience:
    """A server with its subscribers, and what it has spent on them."""

    def __init__(self, served: Served, clients: int, *, bare: bool) -> None:
        self._served = served
        self._load = Load(served.address)
        self._control = self._load.control()
        messages = [] if bare else [sub("room", ROOM)]
        self._group = self._load.open(clients, *messages, bare=bare)
        self.spent = {1: [0, 0.0, 0.0, 0], 10: [0, 0.0, 0.0, 0]}

    def listen(self, a_turn: int, seconds: float) -> None:
        group, spent = self._group, self.spent[a_turn]
        self._control("drive", ROOM, 1, a_turn)
        self._load.rest(0.2)
        frames, octets, cpu = group.frames, group.bytes, self._served.cpu
        wanted = group.frames
        began = time.perf_counter()
        while time.perf_counter() < began + seconds:
            wanted += len(group.connections) * TURNS * a_turn
            self._control("drive", ROOM, TURNS, a_turn)
            self._load.run(lambda: group.frames >= wanted)  # noqa: B023
        spent[0] += group.frames - frames
        spent[1] += self._served.cpu - cpu
        spent[2] += time.perf_counter() - began
        spent[3] += group.bytes - octets


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("fanout", arguments, clients=1000, seconds=1.0)
    with ExitStack() as stack:
        audiences = {
            "ddpcore": Audience(stack.enter_context(serve_module()), chosen.clients, bare=False),
            "bare protocol": Audience(
                stack.enter_context(serve_bare("bare")), chosen.clients, bare=True
            ),
            "write_message": Audience(
                stack.enter_context(serve_bare("tornado")), chosen.clients, bare=True
            ),
        }
        for _ in range(ROUNDS):  # by turns, so that the machine's moods hit all
            for audience in audiences.values():
                for a_turn in (1, 10):
                    audience.listen(a_turn, chosen.seconds)
    rows = []
    for a_turn, target in ((1, "≥ 250,000/CPU-s, ≥ 70 % of bare"), (10, "≥ 1,000,000/CPU-s")):
        rate = {name: each.spent[a_turn][0] / each.spent[a_turn][1]
                for name, each in audiences.items()}  # fmt: skip
        for name, audience in audiences.items():
            frames, cpu, wall, octets = audience.spent[a_turn]
            rows.append((name, a_turn, f"{octets / frames:.0f}", f"{rate[name]:,.0f}",
                         f"{frames / wall:,.0f}", f"{cpu / wall:.0%}",
                         f"{rate[name] / rate['bare protocol']:.0%}",
                         f"{rate[name] / rate['write_message']:.1f}",
                         target if name == "ddpcore" else ""))  # fmt: skip
    table(
        f"One change, {chosen.clients:,} subscribers",
        ["server", "changes a turn", "bytes a frame", "messages/CPU-s", "messages/s", "server busy",
         "of bare", "x write_message", "target"],
        rows,
    )  # fmt: skip
