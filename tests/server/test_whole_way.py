"""Sessions over the crossbar, with clients that are slow, that vanish and come back.

A database in memory answers late, a bus delivers late, sockets take little, everything is cut
into small slices. Once quiet, each client holds what its subscriptions are to show, and on the way
`ready` and `updated` kept their words.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from memory_client import DATA, Store, turns
from memory_database import COLUMNS, MemoryDatabase, Rows

from ddpcore import Document, Server
from ddpcore.live import observer as observer_module
from ddpcore.live.fence import WriteFence
from ddpcore.live.query import LiveQuery, MergedQueries
from ddpcore.server import flusher as flusher_module
from ddpcore.session import outbox as outbox_module
from ddpcore.testing import FakeClock
from ddpcore.transport import Transport
from ddpcore.wire.frame import Frame

TOPICS = ("one", "two")
CONDITIONS = (
    ("constant", True),
    ("equals", "owner", frozenset({1})),
    ("null", "owner"),
    ("within", ("equals", "owner", frozenset({1})), True),
)
FIELDS = (("version",), ("version", "owner"), ("version", *COLUMNS))
GRACE = 100.0


class Polled(LiveQuery):
    """All rows of a topic, in documents whose ids are not the rows' keys."""

    def __init__(self, database: MemoryDatabase, topic: str, by_row: bool) -> None:
        self.database = database
        self.collection = topic
        self.topics = frozenset({topic})
        self.by_row = by_row
        self.key = ("polled", topic, by_row)

    def expected(self, state: Any) -> dict[str, dict[str, Any]]:
        found = self.database.matching(self.collection, ("constant", True), state)
        return {f"p{key}": {"version": row["version"]} for key, row in found.items()}

    async def fetch(self) -> Mapping[str, Document]:
        def look(state: Any) -> dict[str, Document]:
            return {
                id[1:]: Document.of(self.collection, id, fields)
                for id, fields in self.expected(state).items()
            }

        return await self.database.ask("polled", look)

    def row_of(self, change: Any) -> str | None:
        return change.key if self.by_row else None


class Wire(Transport):
    """One socket: what is under way in it, up and down."""

    gathers = True

    def __init__(self, client: Client) -> None:
        self.client = client
        self.up: deque[str] = deque()
        self.down: deque[Frame] = deque()
        self.load = 0
        self.reading = True
        self.closed: tuple[int, str] | None = None
        self.is_blocked = False

    def send(self, frames: Sequence[Frame]) -> None:
        assert self.closed is None, f"sent after the close: {frames}"
        assert not self.is_blocked, f"sent though blocked: {frames}"
        self.down += frames
        self.load += sum(len(frame.data) for frame in frames)
        if self.load > self.high_water:
            self.is_blocked = True
            if self.receiver is not None:
                self.receiver.blocked()

    def close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = code, reason

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def bring(self, count: int) -> None:
        """So many messages arrive in one read."""
        last = None
        while count and self.up and self.reading and self.closed is None:
            count -= 1
            receiver = self.receiver
            if receiver is not last and last is not None:
                last.flush()
            last = receiver
            if receiver is not None:
                receiver.receive(self.up.popleft())
        if last is not None:
            last.flush()

    def take(self, count: int) -> None:
        """So many messages reach the client."""
        while count and self.down and self.client.wire is self:
            count -= 1
            frame = self.down.popleft()
            self.load -= len(frame.data)
            if self.is_blocked and self.load <= self.high_water // 2:
                self.is_blocked = False
                if self.receiver is not None and self.closed is None:
                    self.receiver.drained()
            self.client.take(json.loads(frame.data))

    def lose(self) -> None:
        """The server learns that it is gone."""
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.lost()


class Client:
    """A client of Meteor 3.5, as far as it matters here."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.wire: Wire | None = None
        self.session: str | None = None
        self.received = 0
        self.welcome = False
        self.store = Store()
        self.subs: dict[str, tuple[str, list[Any]]] = {}
        self.connected_at = 0
        # From which of the database's states on a subscription shows it.
        self.since: dict[str, int] = {}
        self.ready: set[str] = set()
        self.stopped: set[str] = set()
        self.waits: dict[str, tuple[dict[str, Any], set[str]]] = {}
        self.written: dict[str, Any] = {}
        self.made = 0

    def say(self, **message: Any) -> None:
        if self.wire is not None:
            self.wire.up.append(json.dumps(message))

    def connect(self) -> None:
        wire = self.wire = Wire(self)
        self.world.server.accept(wire)
        self.welcome = False
        self.connected_at = self.world.now
        more = {"session": self.session, "receivedCount": self.received} if self.session else {}
        self.say(msg="connect", version="1", support=["1"], **more)
        for message, waits in self.waits.values():
            if "result" in waits:
                self.say(**message)
        for id, (name, params) in self.subs.items():
            self.say(msg="sub", id=id, name=name, params=params)
        for id in self.stopped:  # Meteor's client would leave these with the server
            self.say(msg="unsub", id=id)

    def call(self, name: str, *params: Any) -> None:
        self.made += 1
        message = {"msg": "method", "id": str(self.made), "method": name, "params": list(params)}
        self.waits[str(self.made)] = message, {"result", "updated"}
        self.say(**message)

    def sub(self, name: str, *params: Any) -> None:
        self.made += 1
        self.subs[str(self.made)] = name, list(params)
        self.since[str(self.made)] = self.world.now
        self.say(msg="sub", id=str(self.made), name=name, params=list(params))

    def unsub(self, id: str) -> None:
        del self.subs[id]
        self.stopped.add(id)
        self.say(msg="unsub", id=id)

    def take(self, message: dict[str, Any]) -> None:
        kind = message["msg"]
        if kind == "connected":
            assert not self.welcome, "connected twice"
            self.welcome = True
            self._connected(message["session"])
            return
        assert self.welcome, f"before connected: {message}"
        self.received += 1
        match kind:
            case "result":
                assert "error" not in message, message
                self.written[message["id"]] = message.get("result")
                self._answered(message["id"], kind)
            case "updated":
                for id in message["methods"]:
                    self._check_written(id)
                    self._answered(id, kind)
            case "ready":
                for id in message["subs"]:
                    self._check_ready(id)
                    self.ready.add(id)
            case "nosub":
                assert "error" not in message, message
                assert message["id"] not in self.subs
                self.stopped.discard(message["id"])
            case _:
                assert kind in DATA, message
                self.store.take(message)

    def _connected(self, session: str) -> None:
        if session == self.session:
            self.received += 1
            return
        self.session, self.received = session, 1
        self.store = Store()
        self.ready.clear()
        self.since = {id: max(self.since[id], self.connected_at) for id in self.subs}
        self.written = {}
        self.waits = {
            id: (message, {"result", "updated"})
            for id, (message, waits) in self.waits.items()
            if "result" in waits
        }

    def _answered(self, id: str, kind: str) -> None:
        _, waits = self.waits[id]
        waits.remove(kind)
        if not waits:
            del self.waits[id]

    def _check_ready(self, id: str) -> None:
        """Whatever was in a result all the time is there."""
        if id not in self.subs or id in self.ready:
            return
        name, params = self.subs[id]
        for query in self.world.queries(name, params, None) if name != "mine" else ():
            always: set[str] | None = None
            for state in self.world.database.points[self.since[id] :]:
                keys = set(query.expected(state))
                always = keys if always is None else always & keys
            held = self.store.docs(query.collection)
            assert (always or set()) <= set(held), f"{name} {params} ready without {always}: {held}"

    def _check_written(self, id: str) -> None:
        """No document is older than what the method wrote."""
        wrote = self.world.wrote.get((self.session, id))
        if wrote is not None:
            topic, key, version = wrote
            for each in (key, f"p{key}"):
                fields = self.store.docs(topic).get(each, {})
                assert fields.get("version", version) >= version, f"{id} {wrote}: {fields}"


class World:
    def __init__(self, flavour: Any) -> None:
        self.database = MemoryDatabase(flavour)
        self.bus = self.database.bus
        self.clock = FakeClock()
        self.server = server = Server(
            bus=self.bus,
            clock=self.clock,
            heartbeat_interval=0,
            connect_timeout=0,
            stuck_timeout=0,
            grace_period=GRACE,
            grace_queue=20,
            max_queue=6,
            high_water=600,
        )
        self.hands: list[tuple[Any, str, str, dict[str, int]]] = []
        self.wrote: dict[tuple[str | None, str], tuple[str, str, int]] = {}
        self.clients = [Client(self) for _ in range(2)]

        for name in ("live", "both", "polled", "mine"):
            self._publish(name)

        @server.publish("hand")
        async def hand(ctx, topic, number):
            self.hands.append((ctx, topic, f"hand{number}", {}))
            ctx.ready()

        @server.method
        async def write(ctx, topic, key, values, early):
            if early:
                ctx.unblock()
                await asyncio.sleep(0)
            transaction = self.database.begin()
            if self.database.write(transaction, topic, key, values):
                WriteFence.mark()
                if values is not None:
                    place = ctx.connection.id, ctx._item.id
                    self.wrote[place] = (topic, key, self.database._version)
            self.database.commit(transaction)

        @server.method
        async def become(ctx, user):
            await ctx.set_user_id(user)

    def _publish(self, name: str) -> None:
        async def publication(ctx, *params: Any):
            return MergedQueries(self.queries(name, params, ctx.user_id))

        self.server.publish(name)(publication)

    def queries(self, name: str, params: Sequence[Any], user: str | None) -> list[Any]:
        match name, *params:
            case "live", topic, condition, fields:
                return [Rows(self.database, topic, CONDITIONS[condition], FIELDS[fields])]
            case "both", topic, one, other:
                return [
                    Rows(self.database, topic, CONDITIONS[each], FIELDS[each % 3])
                    for each in (one, other)
                ]
            case "polled", topic, by_row:
                return [Polled(self.database, topic, by_row)]
            case "mine", topic:
                condition = CONDITIONS[2]
                if user is not None:
                    condition = ("equals", "owner", frozenset({int(user)}))
                return [Rows(self.database, topic, condition, FIELDS[1])]
        return []

    @property
    def now(self) -> int:
        return len(self.database.points) - 1

    def active_hands(self, client: Client | None) -> list[tuple[Any, str, str, dict[str, int]]]:
        self.hands = [each for each in self.hands if each[0]._item.active]
        return [
            each for each in self.hands if client is None or each[0].connection.id == client.session
        ]

    def expected(self, client: Client) -> dict[str, dict[str, Any]]:
        documents: dict[str, dict[str, Any]] = {}
        session = self.server.sessions[client.session or ""]
        for name, params in client.subs.values():
            for query in self.queries(name, params, session.machine.user_id):
                for id, fields in query.expected(self.database.state).items():
                    documents.setdefault(f"{query.collection} {id}", {}).update(fields)
        for _, topic, field, values in self.active_hands(client):
            for id, value in values.items():
                documents.setdefault(f"{topic} {id}", {})[field] = value
        return documents

    async def act(self, chance: Random) -> None:
        client = chance.choice(self.clients)
        topic, key = chance.choice(TOPICS), chance.choice("012")
        values = {"owner": chance.choice((None, 1, 2)), "grade": 1, "ref": chance.choice((0, 1))}
        row = None if chance.random() < 0.25 else values
        wire = client.wire
        match chance.choice(ACTIONS):
            case "now":
                transaction = self.database.begin()
                lacks = chance.choice(((), (), (), None, {"owner"}))
                for _ in range(chance.choice((1, 1, 3))):
                    self.database.write(transaction, topic, chance.choice("012"), row, lacks)
                self.database.commit(transaction)
            case "write":
                client.call("write", topic, key, row, chance.random() < 0.5)
            case "become":
                client.call("become", chance.choice((None, "1", "2")))
            case "sub" if len(client.subs) < 5:
                name = chance.choice(("live", "live", "live", "both", "polled", "mine", "hand"))
                one, other = chance.randrange(4), chance.randrange(4)
                client.sub(
                    name,
                    topic,
                    *{
                        "live": (one, other % 3),
                        "both": (one, other),
                        "polled": (bool(one % 2),),
                        "mine": (),
                        "hand": (client.made,),
                    }[name],
                )
            case "unsub" if client.subs:
                client.unsub(chance.choice(list(client.subs)))
            case "hand" if self.active_hands(None):
                ctx, topic, field, values = chance.choice(self.active_hands(None))
                value = chance.randrange(1000)
                if key not in values:
                    ctx.added(topic, key, {field: value})
                elif chance.random() < 0.5:
                    ctx.changed(topic, key, {field: value})
                else:
                    ctx.removed(topic, key)
                    value = -1
                values[key] = value
                if value < 0:
                    del values[key]
            case "deliver":
                self.bus.deliver(chance.randrange(1, 5))
            case "late":
                self.bus.prompt = chance.random() < 0.3
            case "slow":
                self.database.prompt = chance.random() < 0.3
            case "look" if self.database.questions:
                chance.choice(self.database.questions).look()
            case "answer" if self.database.questions:
                chance.choice(self.database.questions).answer()
            case "flow":
                await self.flow()
            case "gap":
                self.bus.lose(chance.choice((None, *TOPICS)), chance.randrange(4))
                self.bus.deliver(1)
            case "up" if wire:
                # As sockets do: not from a task.
                asyncio.get_running_loop().call_soon(wire.bring, chance.choice((1, 3, 10)))
            case "down" if wire:
                wire.take(chance.choice((1, 3, 10, 100)))
            case "drop" if wire:
                client.wire = None
                wire.lose()
            case "vanish" if wire:
                client.wire = None  # the server is not told
                client.connect()
            case "return" if wire is None:
                client.connect()
            case "age" if chance.random() < 0.2:
                await self.clock.advance(GRACE + 1)
        for each in self.clients:
            if each.wire is not None and each.wire.closed is not None:
                each.wire.take(10**6)  # what waited before the close
                gone, each.wire = each.wire, None
                gone.lose()
        await turns(chance.choice((0, 0, 1, 3, 10)))

    async def flow(self) -> None:
        self.bus.deliver()
        await turns(20)
        for question in list(self.database.questions):
            question.answer()
        await turns(20)

    async def quiet(self) -> None:
        self.bus.prompt = self.database.prompt = True
        calm = 0
        while calm < 3:
            calm += 1
            for client in self.clients:
                wire = client.wire
                if wire is None or wire.closed is not None:
                    client.connect()
                    wire, calm = client.wire, 0
                assert wire is not None
                if (wire.up and wire.reading) or wire.down:
                    calm = 0
                    asyncio.get_running_loop().call_soon(wire.bring, 10)
                    wire.take(10**6)
            if self.bus.queue or self.database.questions:
                calm = 0
            await self.flow()

    def check(self) -> None:
        # Those too whose clients have vanished without a word, and began anew.
        outboxes = [each.machine.outbox for each in self.server._clients]
        assert self.server.traffic.blocked == sum(
            each.blocked and not each._absent for each in outboxes
        )
        for client in self.clients:
            assert not client.waits
            assert set(client.subs) <= client.ready
            held = {
                f"{collection} {id}": fields
                for collection, documents in client.store.collections.items()
                for id, fields in documents.items()
            }
            assert held == self.expected(client)
            runtime = self.server.sessions[client.session or ""]
            outbox = runtime.machine.outbox
            assert outbox.flowing
            assert (outbox.held, outbox.waiting, outbox.sent) == (0, 0, client.received)
            for topic in TOPICS:  # what the server believes
                believed = runtime.machine.merge_box.documents(topic)
                assert {id: each.fields for id, each in believed.items()} == client.store.docs(
                    topic
                )


ACTIONS = (
    *["now"] * 10, *["write"] * 5, *["become"] * 2, *["sub"] * 6, *["unsub"] * 3, *["hand"] * 4,
    *["deliver"] * 6, *["late"] * 2, *["slow"] * 2, *["look"] * 3, *["answer"] * 5, *["flow"] * 4,
    "gap", *["up"] * 12, *["down"] * 8, "drop", "vanish", *["return"] * 3, "age",
)  # fmt: skip


@given(
    flavour=st.sampled_from(("snapshots", "snapshots", "xids", "keys")),
    seed=st.integers(0, 2**32),
    numbers=st.lists(st.integers(0, 2**16), min_size=40, max_size=120),
)
@settings(max_examples=500, suppress_health_check=list(HealthCheck))
def test_once_quiet_every_client_holds_what_it_is_to_be_shown(log_watch, flavour, seed, numbers):
    note(f"{flavour} {seed}")
    log_watch.unexpected.clear()

    async def run() -> None:
        world = World(flavour)
        for topic in TOPICS:
            for key in "01":
                world.database.now(topic, key, owner=int(key), grade=1, ref=int(key))
        await world.server.start()
        try:
            for client in world.clients:
                client.connect()
            for number in numbers:
                await world.act(Random(f"{seed} {number}"))
            await world.quiet()
            world.check()
        finally:
            world.bus.prompt = world.database.prompt = True
            world.bus.deliver()
            for question in list(world.database.questions):
                question.answer()
            await world.server.stop(0.5)

    asyncio.run(run())
    assert log_watch.unexpected == []  # here it belongs to its example


@pytest.fixture(autouse=True)
def everything_is_small(monkeypatch):
    monkeypatch.setattr(observer_module, "RETRY_FIRST", 0.0)
    monkeypatch.setattr(outbox_module, "SLICE", 200)
    monkeypatch.setattr(flusher_module, "TURN", 2000)
