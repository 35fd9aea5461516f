"""One client of many stops reading: what the others see of it, and what it gets afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.lab import options, percentile, serve_module, table
from bench.load import Connection, Control, Load, keep, kernel_bytes, latencies, spread, sub
from ddpcore.transport import HIGH_WATER

TICK = 0.005
SAMPLE = 10
SETTLE = 1.0

ANSWER = 2
"""Frames that answer a call: `result` and `updated`."""

IN_BUFFER = f"of these in the server's buffer for its socket (`high_water`, {HIGH_WATER >> 10} kB)"


@dataclass
class Watched:
    """What the reading clients saw while rows changed."""

    rate: float
    p50: float
    p99: float
    usual: float
    worst: float
    busy: float
    grown: int

    def cells(self) -> tuple[str, ...]:
        return (f"{self.rate:,.0f}", f"{self.busy:.0%}", f"{self.p50 * 1e3:.1f}",
                f"{self.p99 * 1e3:.1f}", f"{self.usual * 1e3:.1f}", f"{self.worst * 1e3:.0f}",
                f"{self.grown / 1e6:+.1f}")  # fmt: skip


@dataclass
class Return:
    """What the stuck client got when it read again.

    Attributes:
        frames: All frames.
        held: Those that were in the kernel.
        made: Those that its session made since.
    """

    frames: int = 0
    held: int = 0
    made: int = 0
    closed: bool = False
    equal: bool = False


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("stuck", arguments, clients=100, rate=2000.0, documents=500, seconds=30.0)
    room = f"stuck-{chosen.documents}-100"
    message = sub("room", room)
    with serve_module() as served:
        load = Load(served.address)
        control = load.control()
        group = load.open(chosen.clients - 1, message)

        def watch(seconds: float) -> Watched:
            found: list[tuple[float, float]] = []
            sample = spread(group, SAMPLE)
            for connection in sample:
                connection.take = latencies(found)
            rss, cpu = served.rss, served.cpu
            count = control("pace", room, chosen.rate, TICK, seconds)
            busy = (served.cpu - cpu) / seconds
            load.rest(SETTLE)
            grown = served.rss - rss
            for connection in sample:
                connection.take = None
            seen = [latency for _, latency in found]
            return Watched(count / seconds, percentile(seen, 50), percentile(seen, 99),
                           _usual(found), max(seen), busy, grown)  # fmt: skip

        watch(2.0)
        before = watch(chosen.seconds / 3)
        stuck = load.open(1, message, kept=1, receive_buffer=4096).connections[0]
        load.stop_reading(stuck)
        during = watch(chosen.seconds)
        back = _read_again(load, stuck, control, room)
        after = watch(chosen.seconds / 3)
    ratio = 2 * during.usual / (before.usual + after.usual)
    table(
        f"{chosen.rate:,.0f} changes/s in {chosen.documents} documents, {chosen.clients} clients",
        ["", "changes/s reached", "server busy", "p50 (ms)", "p99 (ms)",
         "p99 of the median second (ms)", "worst (ms)", "RSS (MB)", "ratio of that", "target"],
        [
            ("all read", *before.cells(), "1.00", ""),
            (f"one does not, for {chosen.seconds:.0f} s", *during.cells(), f"{ratio:.2f}", "≤ 1.2"),
            ("all read again", *after.cells(), "", ""),
        ],
    )  # fmt: skip
    table(
        "The one that did not read, when it reads again",
        ["what", "", "target"],
        [
            ("frames that it gets", f"{back.frames:,}", ""),
            ("of these in the kernel before", f"{back.held:,}", ""),
            (f"{IN_BUFFER} before", f"{back.frames - back.held - back.made:,}", ""),
            ("of these made since, until it is equal", f"{back.made:,}", f"≤ {chosen.documents:,}"),
            ("its documents are the others'", "yes" if back.equal else "NO", "yes"),
            ("closed by the server", "yes" if back.closed else "no", ""),
        ],
    )


def _usual(found: list[tuple[float, float]]) -> float:
    """The p99 of the median second: the machine may do something else in a few of them."""
    seconds: dict[int, list[float]] = {}
    for came, latency in found:
        seconds.setdefault(int(came), []).append(latency)
    return median(percentile(each, 99) for each in seconds.values() if len(each) > 1)


def _read_again(load: Load, stuck: Connection, control: Control, room: str) -> Return:
    # Nothing changes any more: what comes is what it takes to be as it should be by now.
    truth, before = control("truth", room), control("traffic")
    found, there, position = Return(), kernel_bytes(stuck), -len(stuck.rest)

    def take(connection: Connection, payload: bytes) -> None:
        nonlocal position
        position += len(payload) + (2 if len(payload) < 126 else 4)
        found.frames += 1
        found.held += position <= there
        keep(connection, payload)

    stuck.take = take
    load.read(stuck)
    had = -1
    while had != stuck.frames and not stuck.group.closed:
        had = stuck.frames
        load.rest(SETTLE)
    found.made = control("traffic") - before - ANSWER
    stuck.take = None
    found.closed = bool(stuck.group.closed)
    found.equal = stuck.documents == truth
    return found
