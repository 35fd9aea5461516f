"""Sessions and a client of Meteor 3.5 that loses its sockets: promises that hold however it goes.

`Client` counts what it gets, asks again what was not answered, and knows nothing of the server but
frames. `Server` is machines alone, whose handlers settle when hypothesis says so. Between them are
wires, which lose what is under way when they break.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from memory_client import DATA, Store

from ddpcore import Document, MeteorError
from ddpcore.session.machine import Invocation, Session, State, Subscription
from ddpcore.wire import messages
from ddpcore.wire.frame import Frame

GRACE = 100.0


class Wire:
    """One socket, and what is under way in it."""

    def __init__(self, server: Server) -> None:
        self.up: deque[str] = deque()
        self.down: deque[dict[str, Any]] = deque()
        self.reading = True
        self.hung_up = False  # by the server, or the server knows that it is broken
        self.peer = Peer(server, self)


class Client:
    """A client of Meteor 3.5 in what it sends, counts and expects.

    Ids are never used again. A method is asked again until its result has come, a subscription at
    every socket. Each `result` and `updated` must be for a call that still waits for it.
    """

    def __init__(self) -> None:
        self.wire: Wire | None = None
        self.session: str | None = None
        self.received = 0
        self.welcome = False  # whether this socket's `connected` has come
        self.store = Store()
        self.waits: dict[str, set[str]] = {}  # method → which of its two answers are to come
        self.subs: dict[str, bool] = {}  # subscription → whether it is ready
        self.stopped: set[str] = set()  # subscriptions this client ended
        self.pings = 0
        self.made = 0

    def new_id(self) -> str:
        self.made += 1
        return str(self.made)

    def say(self, **message: Any) -> None:
        if self.wire is not None:  # as a client that is offline, it does not even try
            self.wire.up.append(json.dumps(message))

    def connect(self, server: Server) -> None:
        self.wire, self.welcome, self.pings = Wire(server), False, 0
        more = {"session": self.session, "receivedCount": self.received} if self.session else {}
        self.say(msg="connect", version="1", support=["1"], **more)
        for id, waits in self.waits.items():
            if "result" in waits:
                self.say(msg="method", id=id, method="work")
        for id in self.subs:
            self.say(msg="sub", id=id, name="books")

    def drop(self) -> None:
        self.wire = None

    def call(self) -> None:
        id = self.new_id()
        self.waits[id] = {"result", "updated"}
        self.say(msg="method", id=id, method="work")

    def sub(self, name: str) -> None:
        id = self.new_id()
        self.subs[id] = False
        self.say(msg="sub", id=id, name=name)

    def unsub(self, id: str) -> None:
        del self.subs[id]
        self.stopped.add(id)
        self.say(msg="unsub", id=id)

    def ping(self) -> None:
        if self.wire is not None:
            self.pings += 1
            self.say(msg="ping", id="p")

    def take(self, message: dict[str, Any]) -> None:
        kind = message["msg"]
        if kind == "pong":
            self.pings -= 1
        elif kind == "ping":
            self.say(msg="pong")
        elif kind == "connected":
            assert not self.welcome, "connected twice"
            self.welcome = True
            self._connected(message["session"])
        else:
            assert self.welcome, f"before connected: {message}"
            self.received += 1
            self._take(kind, message)

    def _connected(self, session: str) -> None:
        if session == self.session:
            self.received += 1
            return
        self.session, self.received = session, 1
        self.store = Store()
        self.subs = dict.fromkeys(self.subs, False)
        # What the old session did is done. What has no result is asked anew.
        self.waits = {
            id: {"result", "updated"} for id, waits in self.waits.items() if "result" in waits
        }

    def _take(self, kind: str, message: dict[str, Any]) -> None:
        match kind:
            case "result":
                self._answered(message["id"], kind)
            case "updated":
                for id in message["methods"]:
                    self._answered(id, kind)
            case "ready":
                for id in message["subs"]:
                    assert id in self.subs or id in self.stopped, f"never asked: {message}"
                    if id in self.subs:
                        self.subs[id] = True
            case "nosub":
                id = message["id"]
                assert id in self.subs or id in self.stopped, f"over already: {message}"
                self.subs.pop(id, None)
            case _:
                assert kind in DATA, message
                self.store.take(message)

    def _answered(self, id: str, kind: str) -> None:
        assert kind in self.waits.get(id, ()), f"a second {kind} of method {id}"
        self.waits[id].discard(kind)
        if not self.waits[id]:
            del self.waits[id]


class Server:
    def __init__(self, grace_queue: int) -> None:
        self.now = 0.0
        self.grace_queue = grace_queue
        self.peers: list[Peer] = []
        self.sessions: dict[str, Peer] = {}


class Peer:
    """The effects of one session."""

    def __init__(self, server: Server, wire: Wire) -> None:
        self.server = server
        self.wire: Wire | None = wire
        self.sent = 0  # counted as the client counts
        self.began = 0
        self.over = False
        self.lost_at: float | None = None
        self.running: list[Invocation] = []
        self.writing: list[Invocation] = []
        self.publications: list[Subscription] = []
        self.settled: list[Subscription] = []
        self.published: dict[Subscription, dict[str, int]] = {}
        self.rerun: list[Subscription] | None = None
        server.peers.append(self)
        self.id = f"session{len(server.peers)}"
        self.machine = Session(
            self.id,
            self,
            methods={"work"},
            publications={"books"},
            now=server.now,
            heartbeat_interval=20,
            heartbeat_timeout=20,
            grace_period=GRACE,
            grace_queue=server.grace_queue,
            max_queue=4,
        )

    # Effects

    def wake(self) -> None:
        while self.machine.outbox.pending:
            for frame in self.machine.outbox.take():
                self.say(frame)

    def say(self, frame: Frame) -> None:
        assert not self.over, f"sent after the end: {frame}"
        assert self.wire is not None, f"sent to nobody: {frame}"
        assert not self.wire.hung_up, f"sent after the close: {frame}"
        message = json.loads(frame.data)
        self.wire.down.append(message)
        if message["msg"] not in ("ping", "pong"):
            self.sent += 1

    def close(self, code: int, reason: str) -> None:
        assert not self.over
        if self.wire is not None:
            self.wire.hung_up = True

    def opened(self) -> None:
        self.server.sessions[self.id] = self

    def ended(self) -> None:
        assert not self.over, "ended twice"
        self.over = True
        self.server.sessions.pop(self.id, None)

    def resume(self, session: object, received: object, version: str) -> bool:
        earlier = self.server.sessions.get(session)
        if earlier is None:
            return False
        if not earlier.machine.can_resume(received, version):
            missing = earlier.sent - received
            assert missing < 0 or missing > self.server.grace_queue or earlier.machine._leaving
            earlier.machine.expire()
            return False
        assert earlier.sent >= received
        if earlier.wire is not None:
            earlier.wire.hung_up = True
        earlier.wire, self.wire = self.wire, None
        earlier.wire.peer = earlier
        earlier.sent, earlier.lost_at = received, None
        earlier.machine.resume(received, self.server.now)
        return True

    def pause_reading(self) -> None:
        assert not self.over
        if self.wire is not None:
            self.wire.reading = False

    def resume_reading(self) -> None:
        assert not self.over
        if self.wire is not None:
            self.wire.reading = True

    def start_method(self, invocation: Invocation) -> None:
        assert not self.over
        self.running.append(invocation)

    def start_subscription(self, subscription: Subscription) -> None:
        assert not self.over
        self.publications.append(subscription)

    def stopped(self, subscription: Subscription) -> None:
        self.published.pop(subscription, None)

    # Handlers and sockets

    @property
    def live(self) -> list[Subscription]:
        return [each for each in self.publications if each.active]

    def done(self, invocation: Invocation, *, outstanding: bool) -> None:
        self.running.remove(invocation)
        outcome = messages.result(invocation.id, 1)
        self.machine.method_done(invocation, outcome, outstanding=outstanding)
        if outstanding:
            self.writing.append(invocation)

    def written(self, invocation: Invocation) -> None:
        self.writing.remove(invocation)
        self.machine.method_updated(invocation)

    def settle(self, subscription: Subscription, how: str) -> None:
        if how == "ready":
            self.machine.ready(subscription)
        else:
            self.machine.stop(subscription, MeteorError(500) if how == "error" else None)
        self.machine.handler_settled(subscription)
        self.settled.append(subscription)

    def finish(self) -> int:
        """Let every handler come to its end; how many there were."""
        running, writing = list(self.running), list(self.writing)
        unsettled = [each for each in self.publications if each not in self.settled]
        for invocation in running:
            self.done(invocation, outstanding=False)
        for invocation in writing:
            self.written(invocation)
        for subscription in unsettled:
            self.settle(subscription, "ready")
        return len(running) + len(writing) + len(unsettled)

    def publish(self, subscription: Subscription, id: str, value: int) -> None:
        # Each subscription has a field of its own, so the whole is easy to tell.
        documents = self.published.setdefault(subscription, {})
        field = f"f{subscription.id}"
        if value < 0 and id in documents:
            del documents[id]
            self.machine.removed(subscription, "c", id)
        elif value >= 0 and id in documents:
            documents[id] = value
            self.machine.changed(subscription, "c", id, {field: value})
        elif value >= 0:
            documents[id] = value
            self.machine.added(subscription, Document.of("c", id, {field: value}))

    def notice(self) -> None:
        """The server learns that the socket is gone."""
        if self.wire is not None:
            self.wire.hung_up, self.wire = True, None
            self.lost_at = self.server.now
            self.machine.lost(self.server.now)

    def expected(self) -> dict[str, dict[str, int]]:
        docs: dict[str, dict[str, int]] = {}
        for subscription in self.live:
            for id, value in self.published.get(subscription, {}).items():
                docs.setdefault(id, {})[f"f{subscription.id}"] = value
        return docs


class Lifelines(RuleBasedStateMachine):
    """Messages, completions, time, losses and returns in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server(1000)
        self.client = Client()

    @initialize(grace_queue=st.sampled_from([5, 1000]))
    def begin(self, grace_queue):
        self.server = Server(grace_queue)
        self.client.connect(self.server)
        self.client.sub("books")
        self.client.call()
        self.upload(2)

    # The client

    online = precondition(lambda self: self.client.wire is not None)
    offline = precondition(lambda self: self.client.wire is None)

    @rule()
    def call(self):
        self.client.call()

    @rule(name=st.sampled_from(["books", "books", "books", "unknown"]))
    def sub(self, name):
        self.client.sub(name)

    @rule(data=st.data())
    @precondition(lambda self: self.client.subs)
    def unsub(self, data):
        self.client.unsub(data.draw(st.sampled_from(sorted(self.client.subs))))

    @rule()
    @online
    def ping(self):
        self.client.ping()

    @rule(server_knows=st.booleans())
    @online
    def drop(self, server_knows):
        wire = self.client.wire
        self.client.drop()
        if server_knows:
            self.notice(wire)

    @rule()
    @online
    def leave(self):
        self.client.say(msg="disconnect")
        wire = self.client.wire
        self.upload(100)
        self.client.drop()
        self.notice(wire)

    @rule()
    @offline
    def reconnect(self):
        self.client.connect(self.server)

    @rule(server_knows=st.booleans(), count=st.integers(1, 9))
    @online
    def flicker(self, server_knows, count):
        """Gone and back: what calls and subscriptions there are is asked again."""
        self.drop(server_knows)
        self.reconnect()
        self.upload(count)

    # The wire

    @rule(count=st.integers(1, 9))
    @online
    def upload(self, count):
        wire = self.client.wire
        while count and wire.up and wire.reading and not wire.hung_up:
            wire.peer.machine.receive(wire.up.popleft(), self.server.now)
            count -= 1

    @rule(count=st.integers(1, 9))
    @online
    def download(self, count):
        wire = self.client.wire
        while count and wire.down:
            self.client.take(wire.down.popleft())
            count -= 1
        if wire.hung_up and not wire.down:
            self.client.drop()
            self.notice(wire)

    @staticmethod
    def notice(wire):
        if wire.peer.wire is wire:
            wire.peer.notice()

    # The server

    def some(self, data, what):
        """A peer that has such things, and one of them."""
        return data.draw(
            st.sampled_from(
                [(peer, each) for peer in self.server.peers for each in getattr(peer, what)]
            )
        )

    def has(what: str):
        return precondition(
            lambda self: any(getattr(peer, what) for peer in self.server.peers),
        )

    @rule(data=st.data(), outstanding=st.booleans())
    @has("running")
    def finish_method(self, data, outstanding):
        peer, invocation = self.some(data, "running")
        peer.done(invocation, outstanding=outstanding)

    @rule(data=st.data())
    @has("writing")
    def finish_writing(self, data):
        peer, invocation = self.some(data, "writing")
        peer.written(invocation)

    @rule(data=st.data())
    @has("running")
    def unblock(self, data):
        peer, invocation = self.some(data, "running")
        peer.machine.unblock(invocation)

    @rule(data=st.data(), id=st.sampled_from("12"), value=st.integers(-1, 2))
    @has("live")
    def publish(self, data, id, value):
        peer, subscription = self.some(data, "live")
        peer.publish(subscription, id, value)

    @rule(data=st.data(), how=st.sampled_from(["ready", "ready", "stop", "error"]))
    @has("publications")
    def settle(self, data, how):
        peer, subscription = self.some(data, "publications")
        peer.settle(subscription, how)

    @rule(data=st.data())
    def begin_rerun(self, data):
        peer = data.draw(st.sampled_from(self.server.peers))
        if peer.machine.open and peer.rerun is None:
            peer.rerun = peer.machine.begin_rerun("me")
            peer.publications += peer.rerun

    @rule(again=st.booleans())
    def finish_rerun(self, again):
        for peer in self.server.peers:
            if peer.rerun is not None:
                for subscription in peer.rerun:
                    if subscription.active and again:
                        peer.publish(subscription, "1", 1)
                    peer.settle(subscription, "ready")
                peer.machine.finish_rerun()
                peer.rerun = None

    @rule(pause=st.sampled_from([5.0, 20.0, GRACE]))
    def tick(self, pause):
        self.server.now += pause
        for peer in list(self.server.peers):
            peer.machine.tick(self.server.now)
            if peer.wire is not None and peer.wire.hung_up:  # it found silence
                peer.lost_at, peer.wire = self.server.now, None

    @rule()
    @precondition(lambda self: self.client.made > 8)
    def close(self):
        for peer in list(self.server.sessions.values()):
            peer.machine.close()

    # The promises

    @rule()
    def calm(self):
        """Everything that can end ends; then client and server agree."""
        for _ in range(1000):
            if self.client.wire is None:
                self.client.connect(self.server)
            self.finish_rerun(True)
            finished = sum([peer.finish() for peer in self.server.peers])
            idle = not finished and not self.client.wire.up
            self.upload(100)
            self.download(1000)
            wire = self.client.wire
            if idle and wire is not None and not wire.up and not wire.down:
                break
        else:
            raise AssertionError("it never ends")
        self.check_agreement()

    def check_agreement(self):
        client, peer = self.client, self.client.wire.peer
        assert peer.machine.state is State.CONNECTED
        assert client.session == peer.id
        assert client.received == peer.sent
        assert client.waits == {}
        assert all(client.subs.values()), client.subs
        assert client.pings == 0
        assert client.store.docs("c") == peer.expected()
        live = peer.machine.subscriptions.keys()
        assert client.subs.keys() <= live
        assert live - client.subs.keys() <= client.stopped  # whose `unsub` may have been lost
        assert peer.machine._blocker is None
        assert not peer.machine._queue

    @rule(lacking=st.integers(0, 2))
    def return_at_once(self, lacking):
        """After calm, whatever happened before, a client that lacks little is given it."""
        self.calm()
        client, peer = self.client, self.client.wire.peer
        if peer.machine._leaving:
            return
        for subscription in peer.live[:lacking]:
            for value in (1, 2):
                peer.publish(subscription, "1", value)
        client.drop()
        peer.notice()
        client.connect(self.server)
        self.upload(1)
        assert client.wire.peer is peer
        self.calm()
        assert client.session == peer.id

    @invariant()
    def nothing_waits_for_nothing(self):
        for peer in self.server.peers:
            if peer.machine.open and peer.machine._blocker is None:
                assert not peer.machine._queue

    @invariant()
    def a_session_lives_as_long_as_it_is_waited_for(self):
        for peer in self.server.peers:
            if peer.lost_at is not None and self.server.now >= peer.lost_at + GRACE:
                peer.machine.tick(self.server.now)
                assert not peer.machine.open

    def teardown(self):
        self.calm()


Lifelines.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestLifelines = Lifelines.TestCase
