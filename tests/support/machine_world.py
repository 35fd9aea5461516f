"""One machine driven by hand: no loop, no clock, no sockets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from memory_client import DATA, Store

from ddpcore import Document
from ddpcore.session.machine import Invocation, Session, Subscription
from ddpcore.wire import messages
from ddpcore.wire.frame import Frame

ID = "abcdefghijkmnopqr"
METHODS = frozenset({"work", "more"})
PUBLICATIONS = frozenset({"books", "pens"})


class World:
    """The effects of a session; handlers start and settle when the test says so."""

    def __init__(self, **options: Any) -> None:
        self.said: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.store = Store()
        self.methods: list[Invocation] = []
        self.publications: list[Subscription] = []
        self.events: list[object] = []
        self.ends = 0
        self.on_stopped: Callable[[Subscription], None] = lambda _: None
        self.on_method: Callable[[Invocation], None] = lambda _: None
        options.setdefault("grace_period", 0)
        self.session = Session(
            ID, self, methods=METHODS, publications=PUBLICATIONS, now=0.0, **options
        )

    def wake(self) -> None:
        for frame in self.session.outbox.take():
            self.say(frame)

    def say(self, frame: Frame) -> None:
        assert self.closed is None, f"sent after the close: {frame}"
        message = json.loads(frame.data)
        self.said.append(message)
        self.events.append(message["msg"])
        if message["msg"] in DATA:
            self.store.take(message)

    def close(self, code: int, reason: str) -> None:
        assert self.closed is None, "closed twice"
        self.closed = (code, reason)

    def opened(self) -> None:
        self.events.append("opened")

    def ended(self) -> None:
        self.ends += 1

    def resume(self, session: object, received: object, version: str) -> bool:
        return False

    def pause_reading(self) -> None:
        self.events.append("pause")

    def resume_reading(self) -> None:
        self.events.append("resume")

    def start_method(self, invocation: Invocation) -> None:
        self.methods.append(invocation)
        self.on_method(invocation)

    def start_subscription(self, subscription: Subscription) -> None:
        self.publications.append(subscription)

    def stopped(self, subscription: Subscription) -> None:
        self.events.append("stopped")
        self.on_stopped(subscription)

    # Shorthands

    def put(self, now: float = 0.0, **message: Any) -> list[dict[str, Any]]:
        """Send a message; what is said at once."""
        return self.put_text(json.dumps(message), now)

    def put_text(self, text: str, now: float = 0.0) -> list[dict[str, Any]]:
        mark = len(self.said)
        self.session.receive(text, now)
        return self.said[mark:]

    def done(self, invocation: Invocation, *, outstanding: bool = False) -> None:
        self.session.method_done(
            invocation, messages.result(invocation.id), outstanding=outstanding
        )

    def publish(self, subscription: Subscription, id: str, **fields: Any) -> None:
        self.session.added(subscription, Document.of("c", id, fields))


def connected(**options: Any) -> World:
    world = World(**options)
    world.put(msg="connect", version="1", support=["1", "pre2", "pre1"])
    world.said.clear()
    world.events.clear()
    return world
