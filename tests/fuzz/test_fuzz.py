"""Anything at all, brought to a session: an answer or a documented error, never an exception.

A story is a list of steps `[what, argument]`. Those of `corpus.json` are told first; then hypothesis
makes new ones for some seconds, `DDPCORE_FUZZ_SECONDS` of them. Stories that found a mistake are
added to the corpus as they are printed.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from ddpcore import Document, MeteorError
from ddpcore.session.machine import Invocation, Session, State, Subscription
from ddpcore.wire import messages
from ddpcore.wire.ejson import MAX_DEPTH
from ddpcore.wire.frame import Frame

SESSION = "abcdefghijkmnopqr"
SECONDS = float(os.environ.get("DDPCORE_FUZZ_SECONDS", "8"))
CORPUS: dict[str, list[list[Any]]] = json.loads((Path(__file__).parent / "corpus.json").read_text())

# --- the oracle ----------------------------------------------------------------------------------

REASONS = {
    "Bad request",
    f"Bad request: Nested deeper than {MAX_DEPTH} levels, or contains itself",
    "Parse error",
    "Must connect first",
    "Already connected",
    "Malformed method invocation",
    "Malformed subscription",
    "Malformed unsubscription",
}

# Kind → members that must be there, and those that may be.
SHAPES: dict[str, tuple[set[str], set[str]]] = {
    "connected": ({"session"}, set()),
    "failed": ({"version"}, set()),
    "ping": (set(), set()),
    "pong": (set(), {"id"}),
    "error": ({"reason"}, {"offendingMessage"}),
    "result": ({"id"}, {"result", "error"}),
    "updated": ({"methods"}, set()),
    "ready": ({"subs"}, set()),
    "nosub": (set(), {"id", "error"}),
    "added": ({"collection", "id"}, {"fields"}),
    "changed": ({"collection", "id"}, {"fields", "cleared"}),
    "removed": ({"collection", "id"}, set()),
}


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def checked(frame: Frame) -> dict[str, Any]:
    """The message of a frame, if it is one that the protocol knows."""
    message = json.loads(frame.data.decode("ascii"), parse_constant=no_constant)
    must, may = SHAPES[message["msg"]]
    members = message.keys() - {"msg"}
    assert must <= members <= must | may, frame
    for name in members & {"id", "session", "version", "reason", "collection"}:
        assert isinstance(message[name], str) or message["msg"] == "pong", frame
    for name in members & {"methods", "subs", "cleared"}:
        assert all(isinstance(each, str) for each in message[name]), frame
    assert message.get("reason") in {None, *REASONS}, frame
    if error := message.get("error"):
        assert "result" not in members
        assert error["errorType"] == "Meteor.Error"
        assert isinstance(error["message"], str)
    return message


# --- the world -----------------------------------------------------------------------------------


class World:
    """The effects of one session at a time, which may be lost and resumed."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: list[dict[str, Any]] = []
        self.received = 0
        self.closed = False
        self.ends = 0
        self.earlier: Session | None = None
        self.running: list[Invocation] = []
        self.writing: list[Invocation] = []
        self.publications: list[Subscription] = []
        self.rerun: list[Subscription] | None = None
        self.session = self.new_session()

    def new_session(self) -> Session:
        return Session(
            SESSION,
            self,
            methods={"echo", "work"},
            publications={"books"},
            now=self.now,
            grace_queue=8,
            max_queue=5,
        )

    def wake(self) -> None:
        while self.session.outbox.pending:
            for frame in self.session.outbox.take():
                self.say(frame)

    def say(self, frame: Frame) -> None:
        assert not self.closed, f"sent after the close: {frame}"
        message = checked(frame)
        self.said.append(message)
        if message["msg"] not in ("ping", "pong"):
            self.received += 1

    def close(self, code: int, reason: str) -> None:
        self.closed = True

    def opened(self) -> None:
        self.received = 1  # `connected`; what came before does not count

    def ended(self) -> None:
        self.ends += 1

    def resume(self, session: object, received: object, version: str) -> bool:
        earlier = self.earlier
        if earlier is None or not isinstance(session, str) or session != earlier.id:
            return False
        if not isinstance(received, int) or not earlier.can_resume(received, version):
            earlier.expire()
            return False
        self.earlier, self.session = None, earlier
        self.received = received
        earlier.resume(received, self.now)
        return True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def start_method(self, invocation: Invocation) -> None:
        self.running.append(invocation)

    def start_subscription(self, subscription: Subscription) -> None:
        self.publications.append(subscription)

    def stopped(self, subscription: Subscription) -> None: ...

    # Steps

    def tell(self, what: str, argument: Any) -> None:
        getattr(self, f"do_{what}")(argument)

    def do_text(self, text: str) -> None:
        self.session.receive(text, self.now)

    def do_bytes(self, text: str) -> None:
        self.session.receive(text.encode("latin-1"), self.now)

    def do_deep(self, levels: int) -> None:
        params = "[" * levels + "]" * levels
        self.do_text('{"msg":"method","id":"deep","method":"echo","params":' + params + "}")

    def do_done(self, outstanding: bool) -> None:
        if self.running:
            invocation = self.running.pop()
            value = {"params": invocation.params, "seed": invocation.random_seed}
            try:
                outcome = messages.result(invocation.id, value)
            except (ValueError, TypeError):  # as the runtime does
                outcome = messages.result_error(invocation.id, MeteorError(500, "Too deep"))
            self.session.method_done(invocation, outcome, outstanding=outstanding)
            if outstanding:
                self.writing.append(invocation)

    def do_written(self, _: None) -> None:
        if self.writing:
            self.session.method_updated(self.writing.pop())

    def do_unblock(self, _: None) -> None:
        if self.running:
            self.session.unblock(self.running[-1])

    def do_publish(self, value: Any) -> None:
        if self.publications:
            document = Document.of("c", "1", {"a": value})
            self.session.added(self.publications[-1], document)

    def do_settle(self, how: str) -> None:
        if self.publications:
            subscription = self.publications.pop()
            if how == "ready":
                self.session.ready(subscription)
            else:
                self.session.stop(subscription, MeteorError(500) if how == "error" else None)
            self.session.handler_settled(subscription)

    def do_rerun(self, user: str) -> None:
        if self.session.open:
            self.publications += self.session.begin_rerun(user)
            self.session.finish_rerun()

    def do_tick(self, pause: float) -> None:
        self.now += pause
        self.session.tick(self.now)
        if self.earlier is not None:
            self.earlier.tick(self.now)

    def do_lose(self, _: None) -> None:
        self.session.lost(self.now)
        # Completions reach the lost session; a new one, at a new socket, awaits its `connect`.
        while self.running:
            self.do_done(False)
        self.earlier, self.session = self.session, self.new_session()
        self.closed = False
        self.writing.clear()
        self.publications.clear()

    def do_return(self, lacking: int) -> None:
        connect = {"msg": "connect", "version": "1", "support": ["1"], "session": SESSION}
        self.do_text(json.dumps(connect | {"receivedCount": self.received - lacking}))

    def check(self) -> None:
        """Whatever came: it is closed, or answers."""
        if self.session.state is State.NEW:
            self.do_text('{"msg":"connect","version":"1","support":["1"]}')
        if self.session.state is State.CONNECTED and self.session.version != "pre1":
            self.do_text('{"msg":"ping","id":"last"}')
            assert self.said[-1] == {"msg": "pong", "id": "last"}
        assert self.session.state is not State.DETACHED or self.closed


def tell(story: list[list[Any]]) -> None:
    world = World()
    for what, argument in story:
        world.tell(what, argument)
    world.check()


# --- stories -------------------------------------------------------------------------------------

texts = st.text(max_size=4) | st.sampled_from(["\ud800", "\udc00\ud800", "\0", "é", "__proto__"])
numbers = st.integers() | st.floats() | st.sampled_from([10**400, -(10**639), 2**53 + 1, 1e308])
scalars = st.none() | st.booleans() | numbers | texts
traps = st.sampled_from(
    [
        *({"$date": 0}, {"$date": 1e300}, {"$date": "x"}, {"$date": -(10**18)}, {"$date": None}),
        *({"$binary": "AAEC"}, {"$binary": "%"}, {"$binary": 1}, {"$InfNaN": 0}, {"$InfNaN": "x"}),
        *({"$type": "oid", "$value": "0" * 24}, {"$type": "oid", "$value": {}}),
        *({"$type": "?", "$value": 1}, {"$type": [], "$value": 1}, {"$escape": {"$date": 0}}),
        *({"$escape": None}, {"$escape": [1]}, {"$escape": 1}, {"$escape": {"$escape": {}}}),
        *({"$regexp": "(", "$flags": "g"}, {"$regexp": 1, "$flags": None}),
    ]
)
names = st.sampled_from(
    [
        *("msg", "id", "name", "method", "params", "fields", "cleared", "result", "version"),
        *("support", "session", "receivedCount", "randomSeed", "$date", "$type", "$value"),
    ]
)
values = st.recursive(
    scalars | traps,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | texts, inner, max_size=3),
    max_leaves=8,
)
ids = st.sampled_from(["1", "2", "3"])


def message(**members: Any) -> st.SearchStrategy[dict[str, Any]]:
    fixed = {name: each for name, each in members.items() if isinstance(each, str)}
    drawn = {name: each for name, each in members.items() if name not in fixed}
    return st.fixed_dictionaries(drawn).map(lambda some: fixed | some)


params = st.lists(values, max_size=2)
versions = st.sampled_from(["1", "1", "pre2", "pre1", "0"])
valid = st.one_of(
    message(msg="method", id=ids, method="echo", params=params),
    message(msg="method", id=ids, method="work", randomSeed=texts),
    message(msg="sub", id=ids, name="books", params=params),
    message(msg="sub", id=ids, name="unknown"),
    message(msg="unsub", id=ids),
    message(msg="ping", id=ids),
    message(msg="connect", version=versions, support=st.just(["1", "pre2", "pre1"])),
    st.sampled_from([{"msg": "pong"}, {"msg": "disconnect"}, {"server_id": "0"}]),
)


@st.composite
def mutated(draw: Any) -> str:
    message = dict(draw(valid))
    for _ in range(draw(st.integers(1, 2))):
        message[draw(st.sampled_from(sorted(message)) | names)] = draw(values)
    if draw(st.integers(0, 3)) == 0:
        message["msg"] = draw(values)
    if draw(st.integers(0, 3)) == 0:
        message.pop(draw(st.sampled_from(sorted(message))))
    text = json.dumps(message)  # NaN and Infinity are no JSON, all the better
    if draw(st.booleans()) and text != "{}":  # a key twice
        text = f"{text[:-1]}, {json.dumps(draw(names))}: {json.dumps(draw(values))}}}"
    if draw(st.integers(0, 5)) == 0:
        cut = draw(st.integers(0, len(text)))
        text = text[:cut] + draw(st.sampled_from(["", "\0", "\ufeff", "\\", '"', "]"])) + text[cut:]
    return text


def step(what: str, arguments: st.SearchStrategy[Any] = st.none()) -> st.SearchStrategy[list[Any]]:
    return arguments.map(lambda argument: [what, argument])


told = st.one_of(
    step("text", valid.map(json.dumps)),
    step("text", valid.map(json.dumps)),
    step("text", mutated()),
    step("text", mutated()),
    step("text", texts | values.map(json.dumps)),
    step("bytes", st.text(st.characters(max_codepoint=255), max_size=8)),
    step("deep", st.sampled_from([MAX_DEPTH - 3, MAX_DEPTH - 1, MAX_DEPTH, 5000, 100_000])),
    step("done", st.booleans()),
    step("written"),
    step("unblock"),
    step("publish", scalars),
    step("settle", st.sampled_from(["ready", "stop", "error"])),
    step("rerun", st.just("me")),
    step("tick", st.sampled_from([1.0, 16.0, 50.0])),
    st.just(["lose", None]),
    step("return", st.integers(-1, 3)),
)
flickers = st.integers(0, 2).map(lambda lacking: [["lose", None], ["return", lacking]])
greeting = [["text", '{"msg":"connect","version":"1","support":["1"]}']]
busy = [*greeting, ["text", '{"msg":"sub","id":"1","name":"books"}'], ["settle", "ready"]]
busy += [["text", f'{{"msg":"method","id":"{id}","method":"work"}}'] for id in "12"]
returned = [*busy, ["lose", None], ["return", 0]]
stories = st.builds(
    lambda start, parts: [*start, *(step for part in parts for step in part)],
    st.sampled_from([[], greeting, busy, returned]),
    st.lists(told.map(lambda step: [step]) | flickers, max_size=25),
)


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_corpus(name):
    tell(CORPUS[name])


@pytest.mark.timeout(SECONDS + 120)
def test_nothing_that_is_told_breaks_a_session():
    ends = time.monotonic() + SECONDS
    broken = False  # then hypothesis goes on, to find the smallest story of that kind

    @given(stories)
    @settings(
        max_examples=100,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def some(story):
        nonlocal broken
        if not broken and time.monotonic() >= ends:
            return
        note(f"For corpus.json: {json.dumps(story)}")
        try:
            tell(story)
        except BaseException:
            broken = True
            raise

    while time.monotonic() < ends:
        some()
