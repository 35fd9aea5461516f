"""One change, 1,000 subscribers: messages per CPU-second, beside the least that can be done."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from bench.lab import Meter, Served, Spent, best, options, serve_bare, serve_module, table
from bench.load import Load, sub

ROOM = "fan-100-90"
TURNS = 10
ROUNDS = 6


class Audience:
    """A server with its subscribers, and what it has spent on them."""

    def __init__(self, served: Served, clients: int, *, bare: bool) -> None:
        self._served = served
        self._load = Load(served.address)
        self._control = self._load.control()
        messages = [] if bare else [sub("room", ROOM)]
        self._group = self._load.open(clients, *messages, bare=bare)
        self.rounds: dict[int, list[Spent]] = {1: [], 10: []}
        self.frame = {1: 0.0, 10: 0.0}

    def listen(self, a_turn: int, seconds: float) -> None:
        group = self._group
        self._control("drive", ROOM, 1, a_turn)
        self._load.rest(0.1)
        frames, octets, meter = group.frames, group.bytes, Meter(self._served)
        wanted, turns = frames, max(TURNS // a_turn, 2)
        while meter.elapsed < seconds:
            wanted += len(group.connections) * turns * a_turn
            self._control("drive", ROOM, turns, a_turn)
            self._load.run(lambda: group.frames >= wanted)  # noqa: B023
        self.rounds[a_turn].append(meter.read(group.frames - frames))
        self.frame[a_turn] = (group.bytes - octets) / (group.frames - frames)


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("fanout", arguments, clients=1000, seconds=0.5)
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
        spent = {name: best(each.rounds[a_turn]) for name, each in audiences.items()}
        for name, each in spent.items():
            rows.append((name, a_turn, f"{audiences[name].frame[a_turn]:.0f}",
                         f"{each.per_cpu:,.0f}", f"{each.rate:,.0f}", each.busy,
                         f"{each.per_cpu / spent['bare protocol'].per_cpu:.0%}",
                         f"{each.per_cpu / spent['write_message'].per_cpu:.1f}",
                         target if name == "ddpcore" else ""))  # fmt: skip
    table(
        f"One change, {chosen.clients:,} subscribers",
        ["server", "changes a turn", "bytes a frame", "messages/CPU-s", "messages/s", "server busy",
         "of bare", "x write_message", "target"],
        rows,
    )  # fmt: skip
