"""The client's machine in any order of events, beside a server too simple to be wrong."""

from __future__ import annotations

import itertools
import json
from collections import Counter, deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ddpcore.client import Machine
from ddpcore.wire.unset import UNSET

SHOWN = {"low": "abc", "high": "bcd"}
KEYS = st.sampled_from("abcd")


class Session:
    """One client's session at a naive server: it keeps all it ever sent, and compares all it shows."""

    def __init__(self, server, id):
        self.server, self.id = server, id
        self.subs, self.view, self.seen = {}, {}, set()
        self.sent = []
        self.wire = None

    def say(self, **message):
        self.sent.append(message)
        if self.wire is not None:
            self.wire.append(message)

    def attach(self, wire, received):
        missing = [each for each in self.sent[received:] if each["msg"] != "connected"]
        self.sent, self.wire = self.sent[:received], wire
        self.say(msg="connected", session=self.id)
        for message in missing:
            self.say(**message)

    def sync(self):
        """Tell what is not as it was."""
        wanted = {
            key: {"n": n}
            for key, n in self.server.rows.items()
            if any(key in SHOWN[name] for name in self.subs.values())
        }
        for key in self.view.keys() - wanted.keys():
            self.say(msg="removed", collection="c", id=key)
        for key, fields in wanted.items():
            if key not in self.view:
                self.say(msg="added", collection="c", id=key, fields=fields)
            elif self.view[key] != fields:
                self.say(msg="changed", collection="c", id=key, fields=fields)
        self.view = wanted

    def take(self, message):
        match message["msg"]:
            case "sub" if message["id"] not in self.subs:
                self.subs[message["id"]] = message["name"]
                self.sync()
                self.say(msg="ready", subs=[message["id"]])
            case "unsub":
                self.subs.pop(message["id"], None)
                self.sync()
                self.say(msg="nosub", id=message["id"])
            case "method" if message["id"] not in self.seen:
                self.seen.add(message["id"])
                self.server.runs[message["id"]] += 1
                self.server.write(*message["params"])
                answers = [
                    {"msg": "result", "id": message["id"], "result": message["params"]},
                    {"msg": "updated", "methods": [message["id"]]},
                ]
                # Either may be first.
                for answer in answers if int(message["id"]) % 2 else reversed(answers):
                    self.say(**answer)


class NaiveServer:
    def __init__(self):
        self.rows = {}
        self.sessions = {}
        self.runs = Counter()
        self.numbers = itertools.count(1)

    def write(self, key, n):
        self.rows.pop(key, None) if n is None else self.rows.update({key: n})
        for session in self.sessions.values():
            session.sync()

    def connect(self, message, wire):
        session = self.sessions.get(message.get("session"))
        if session is None:
            session = Session(self, f"session {next(self.numbers)}")
            self.sessions = {session.id: session}  # an older one of this client is over
            session.attach(wire, 0)
        else:
            session.attach(wire, message["receivedCount"])
        return session


class Model(RuleBasedStateMachine):
    """The client, the server, and what is under way between them."""

    @initialize()
    def begin(self):
        self.server = NaiveServer()
        self.machine = Machine(self, heartbeat_interval=0)
        self.up = False
        self.out, self.back, self.session = deque(), deque(), None
        self.shadow = {}
        self.calls, self.over = {}, Counter()
        self.subs, self.were_ready, self.ended = [], Counter(), Counter()
        self.lost_calls = set()

    # Effects

    def send(self, text):
        assert self.up
        self.out.append(json.loads(text))

    def close(self, reason, *, at_once=False):
        raise AssertionError(reason)

    def refused(self, reason):
        raise AssertionError(reason)

    def logged_out(self, error):
        raise AssertionError(error)

    def connected(self, resumed):
        assert resumed == (self.last == self.machine.session)

    def done(self, call):
        self.over[call.id] += 1
        if call.error is not None:
            self.lost_calls.add(call.id)
            assert not call.retry
        else:
            assert call.result == call.params
            assert call.result is not UNSET

    def ready(self, sub):
        self.were_ready[sub.id] += 1

    def stopped(self, sub):
        self.ended[sub.id] += 1

    def changed(self, change):
        assert self.up, "documents change only by what a server says"
        if change.kind == "removed":
            del self.shadow[change.id]
            return
        assert (change.id in self.shadow) == (change.kind == "changed")
        assert change.kind == "added" or change.fields
        self.shadow[change.id] = {**self.shadow.get(change.id, {}), **change.fields}

    # What happens

    @precondition(lambda self: not self.up)
    @rule()
    def open(self):
        self.up, self.last = True, self.machine.session
        self.machine.opened(0.0)

    @precondition(lambda self: self.up)
    @rule(forgotten=st.booleans())
    def drop(self, forgotten):
        """The socket is gone with all that is under way, and perhaps the session."""
        self.up = False
        self.out.clear()
        self.back = deque()
        if self.session is not None:
            self.session.wire = None
            if forgotten:
                self.server.sessions.clear()
        self.session = None
        self.machine.lost()

    @precondition(lambda self: self.out)
    @rule(count=st.integers(1, 5))
    def deliver(self, count):
        for _ in range(min(count, len(self.out))):
            message = self.out.popleft()
            if message["msg"] == "connect":
                self.session = self.server.connect(message, self.back)
            else:
                self.session.take(message)

    @precondition(lambda self: self.back)
    @rule(count=st.integers(1, 9))
    def bring(self, count):
        for _ in range(min(count, len(self.back))):
            self.machine.receive(json.dumps(self.back.popleft()), 0.0)

    @rule(key=KEYS, n=st.none() | st.integers(0, 3))
    def write(self, key, n):
        self.server.write(key, n)

    @rule(key=KEYS, n=st.none() | st.integers(0, 3), retry=st.booleans())
    def call(self, key, n, retry):
        call = self.machine.call("write", [key, n], retry=retry)
        self.calls[call.id] = call

    @rule(name=st.sampled_from(sorted(SHOWN)))
    def subscribe(self, name):
        self.subs.append(self.machine.subscribe(name))

    @precondition(lambda self: self.subs)
    @rule(data=st.data())
    def unsubscribe(self, data):
        self.machine.unsubscribe(data.draw(st.sampled_from(self.subs)))

    @invariant()
    def what_is_told_is_what_there_is(self):
        if hasattr(self, "shadow"):
            assert self.machine.documents.of("c") == self.shadow

    def teardown(self):
        """With time and a connection everything is answered, and as the server has it."""
        if not hasattr(self, "shadow"):
            return
        if not self.up:
            self.open()
        while self.out or self.back:
            if self.out:
                self.deliver(1)
            if self.back:
                self.bring(1)
        assert not self.machine.reviving
        wanted = {key: {"n": n} for key, n in self.server.rows.items()}
        active = [sub for sub in self.subs if sub.id in self.machine._subs]
        visible = {key for sub in active for key in SHOWN[sub.name]}
        assert self.shadow == {key: each for key, each in wanted.items() if key in visible}
        assert self.over == Counter(self.calls.keys())
        for id, call in self.calls.items():
            assert self.server.runs[id] >= 1 or not call.retry
            assert call.retry or self.server.runs[id] <= 1
        for sub in self.subs:
            assert self.ended[sub.id] == (sub not in active)
            assert self.were_ready[sub.id] <= 1
            assert sub.ready or sub not in active
        assert self.machine._stopping == {}


def test_any_order_of_events():
    run_state_machine_as_test(Model, settings=settings(max_examples=300, stateful_step_count=40))
