"""What idle sessions hold, what they hold of documents, and what is left when they have gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from bench.lab import Served, options, serve_bare, serve_module, table
from bench.load import Load, sub

BATCH = 50


class Measured:
    """Bytes of a server before, with and after its clients."""

    def __init__(
        self,
        serving: Callable[[], AbstractContextManager[Served]],
        clients: int,
        *messages: bytes,
        bare: bool = False,
        warm: bool = False,
    ) -> None:
        with serving() as served:
            load = Load(served.address)
            control = load.control()
            if warm:  # the documents themselves are no session's
                first = load.open(1, *messages, bare=bare)
            control("collect")
            before = served.rss
            self.held, self.left = 0, []
            for _ in range(2):  # what the second time adds is a leak; the rest, the allocator's
                groups = [
                    load.open(min(BATCH, clients - n), *messages, bare=bare)
                    for n in range(0, clients, BATCH)
                ]
                control("collect")
                self.held = self.held or served.rss - before
                for group in groups:
                    load.close(group)
                    load.rest(0.01)
                load.rest(1.0)
                control("collect")
                self.left.append(served.rss - before)
            if warm:
                load.close(first)

    @property
    def rest(self) -> str:
        first, second = self.left
        return f"{first / 1e6:.1f} of {self.held / 1e6:.1f} MB, then {second / 1e6:.1f}"


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("memory", arguments, clients=5000, subscribers=1000, documents=1000, size=960)
    idle = chosen.clients

    def tornado() -> AbstractContextManager[Served]:
        return serve_bare("tornado")

    cases = [
        ("Tornado's WebSocketHandler, nothing else", Measured(tornado, idle, bare=True), "", 1),
        ("session", Measured(serve_module, idle), "≤ 20 kB", 1),
        ("session with a subscription to one document",
         Measured(serve_module, idle, sub("room", "small-1-50"), warm=True), "≤ 20 kB", 1),
    ]  # fmt: skip
    raw = cases[0][1].held
    rows = [
        (name, f"{idle:,}", f"{found.held / idle / 1e3:.1f} kB", f"{found.held / raw:.2f}",
         found.rest, target)
        for name, found, target, _ in cases
    ]  # fmt: skip
    room = f"docs-{chosen.documents}-{chosen.size}"
    many = Measured(serve_module, chosen.subscribers, sub("room", room), warm=True)
    pairs = chosen.subscribers * chosen.documents
    rows.append(("session and document", f"{chosen.subscribers:,} x {chosen.documents:,}",
                 f"{many.held / pairs:.0f} bytes", "",
                 many.rest, "≤ 120 bytes"))  # fmt: skip
    table(
        "Memory (resident)",
        [
            "what",
            "how many",
            "each",
            "x Tornado",
            "left when all have gone, and a second time",
            "target",
        ],
        rows,
    )
