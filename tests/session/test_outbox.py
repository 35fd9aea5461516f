"""What waits for a client: in order, no more than it must be, and nothing of it old."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from memory_client import Store

from ddpcore import Document
from ddpcore.live.document import Step
from ddpcore.session import outbox as module
from ddpcore.session.mergebox import LivePart, MergeBox
from ddpcore.session.outbox import SLICE, Outbox, Traffic
from ddpcore.wire import messages
from ddpcore.wire.frame import UNCOUNTED, Frame


def document(id: str, version: int, size: int = 0) -> Document:
    return Document.of("c", id, {"version": version, "text": "x" * size})


def said(frames: list[Frame]) -> list[Any]:
    """Messages in short: the kind, the document, its version; or what an answer is about."""
    short = []
    for frame in frames:
        message = json.loads(frame.data)
        match message["msg"]:
            case "added" | "changed":
                short.append((message["msg"], message["id"], message["fields"]["version"]))
            case "removed":
                short.append(("removed", message["id"]))
            case "ready":
                short.append(("ready", message["subs"][0]))
            case other:
                short.append(other)
    return short


class Waking:
    """An outbox, and how often it asked to be taken from."""

    def __init__(self, **options: Any) -> None:
        self.wakes = 0
        self.crowds = 0
        self.traffic = Traffic()
        self.outbox = Outbox(self._wake, self._crowd, traffic=self.traffic, **options)

    def _wake(self) -> None:
        self.wakes += 1

    def _crowd(self) -> None:
        self.crowds += 1

    def all(self) -> list[Any]:
        frames = []
        while self.outbox.pending:
            frames += self.outbox.take()
        return said(frames)


def test_a_turn_of_frames_wakes_once_and_leaves_together():
    w = Waking()
    for n in range(3):
        w.outbox.step(Step(None, document(str(n), 1)))
    w.outbox.send(messages.ready(["s"]))
    assert w.wakes == 1
    assert w.all() == [("added", "0", 1), ("added", "1", 1), ("added", "2", 1), ("ready", "s")]
    assert w.outbox.sent == 4
    assert not w.outbox.pending


def test_a_blocked_client_is_told_each_document_once_and_as_it_is_now():
    w = Waking()
    versions = [document("1", n) for n in range(4)]
    other = document("2", 1)
    w.outbox.block()
    w.outbox.step(Step(versions[0], versions[1]))
    w.outbox.step(Step(None, other))
    w.outbox.step(Step(versions[1], versions[2]))
    w.outbox.step(Step(versions[2], versions[3]))
    assert w.outbox.take() == []
    assert not w.wakes
    w.outbox.drain()
    assert w.wakes == 1
    assert w.all() == [("changed", "1", 3), ("added", "2", 1)]
    assert (w.traffic.slowed, w.traffic.blocked, w.traffic.put_together) == (1, 0, 2)


def test_what_comes_and_goes_while_a_client_is_blocked_it_never_hears_of():
    w = Waking()
    w.outbox.block()
    w.outbox.step(Step(None, document("1", 1)))
    w.outbox.step(Step(document("1", 1), None))
    w.outbox.step(Step(document("2", 1), document("2", 2)))
    w.outbox.step(Step(document("2", 2), document("2", 1)))
    w.outbox.drain()
    assert w.all() == []


def test_what_went_and_came_back_is_a_change():
    w = Waking()
    w.outbox.block()
    w.outbox.step(Step(document("1", 1), None))
    w.outbox.step(Step(None, document("1", 2)))
    w.outbox.drain()
    assert w.all() == [("changed", "1", 2)]


def test_what_comes_and_goes_and_comes_again_is_new():
    w = Waking()
    w.outbox.block()
    w.outbox.step(Step(None, document("1", 1)))
    w.outbox.step(Step(document("1", 1), None))
    w.outbox.send(messages.ready(["s"]))
    w.outbox.step(Step(None, document("1", 2)))
    w.outbox.drain()
    assert w.all() == [("ready", "s"), ("added", "1", 2)]


def test_of_what_came_and_went_nothing_is_kept():
    """There may be thousands in the minute that a client is given to take anything."""
    w = Waking()
    w.outbox.block()
    for n in range(1000):
        w.outbox.step(Step(None, document(str(n), 1)))
        w.outbox.step(Step(document(str(n), 1), None))
    assert not w.outbox._order


def test_who_takes_slices_and_then_need_not_be_told_anything_is_told_what_comes_next():
    w = Waking()
    for n in range(2):
        w.outbox.step(Step(None, document(str(n), 1, SLICE)))
    assert len(w.outbox.take()) == 1
    w.outbox.step(Step(None, document("2", 1)))
    assert len(w.outbox.take()) == 1
    w.outbox.step(Step(document("2", 1), None))
    assert w.outbox.take() == []
    assert w.outbox.flowing
    w.outbox.step(Step(None, document("3", 1)))
    assert w.all() == [("added", "3", 1)]


def test_a_connected_that_never_left_is_not_sent_behind_the_next():
    """A client that comes back, takes nothing, is gone again, and comes back."""
    w = Waking(replay=10)
    w.outbox.send(messages.connected("me"))
    w.outbox.take()
    w.outbox.send(messages.ready(["a"]))
    w.outbox.detach()
    w.outbox.resume(1, messages.connected("me"))
    w.outbox.block()
    w.outbox.detach()
    assert w.outbox.covers(1)
    again = w.outbox.resume(1, messages.connected("me"))
    assert said(again) == ["connected", ("ready", "a")]
    assert w.all() == ["connected", ("ready", "a")]
    assert w.outbox.sent == 3


def test_answers_keep_their_order_and_follow_the_data_they_promise():
    w = Waking()
    w.outbox.block()
    w.outbox.step(Step(None, document("1", 1)))
    w.outbox.send(messages.ready(["a"]))
    w.outbox.step(Step(None, document("2", 1)))
    w.outbox.step(Step(document("1", 1), document("1", 2)))
    w.outbox.send(messages.ready(["b"]))
    assert (w.outbox.held, w.crowds) == (2, 2)
    assert w.outbox.waiting == len(messages.ready(["a"]).data) * 2
    w.outbox.drain()
    assert w.all() == [("added", "1", 2), ("ready", "a"), ("added", "2", 1), ("ready", "b")]
    assert (w.outbox.held, w.outbox.waiting) == (0, 0)


def test_a_burst_leaves_in_slices_and_what_changes_meanwhile_is_put_together():
    w = Waking()
    large = [document(str(n), 1, SLICE // 4) for n in range(10)]
    for each in large:
        w.outbox.step(Step(None, each))
    first = w.outbox.take()
    assert 3 <= len(first) <= 4
    assert w.outbox.pending
    after = document("0", 2)
    w.outbox.step(Step(large[0], after))
    w.outbox.step(Step(after, document("0", 3)))
    assert w.wakes == 1  # whoever takes goes on while anything is pending
    rest = w.all()
    assert [each[1] for each in rest] == [*map(str, range(len(first), 10)), "0"]
    assert rest[-1] == ("changed", "0", 3)
    assert w.outbox.flowing


def test_one_large_frame_leaves_alone():
    w = Waking()
    w.outbox.step(Step(None, document("1", 1, 3 * SLICE)))
    w.outbox.send(messages.ready(["s"]))
    assert said(w.outbox.take()) == [("added", "1", 1)]
    assert said(w.outbox.take()) == [("ready", "s")]


def test_who_blocks_before_anything_left_gets_it_first_afterwards():
    w = Waking()
    w.outbox.step(Step(None, document("1", 1)))
    w.outbox.block()
    w.outbox.block()
    w.outbox.step(Step(document("1", 1), document("1", 2)))
    w.outbox.drain()
    w.outbox.drain()
    assert w.all() == [("added", "1", 1), ("changed", "1", 2)]
    assert w.traffic.slowed == 1


def test_a_drained_outbox_flows_again():
    w = Waking()
    w.outbox.block()
    assert not w.outbox.flowing
    w.outbox.drain()
    assert w.outbox.flowing
    assert w.wakes == 0


def test_after_the_end_nothing_waits():
    w = Waking(replay=10)
    w.outbox.send(messages.ready(["s"]))
    w.outbox.take()
    w.outbox.block()
    w.outbox.step(Step(None, document("1", 1)))
    w.outbox.end()
    w.outbox.step(Step(document("1", 1), document("1", 2)))
    w.outbox.send(messages.ready(["s"]))
    w.outbox.drain()
    w.outbox.block()
    w.outbox.wake()  # of nobody
    assert w.outbox.sent == 1
    assert (w.outbox.pending, w.outbox.take(), w.outbox.held) == (False, [], 0)
    assert w.traffic.blocked == 0


def test_a_client_that_is_gone_is_owed_no_heartbeat():
    w = Waking(replay=10)
    w.outbox.send_uncounted(messages.PING)
    assert said(w.outbox.take()) == ["ping"]
    assert w.outbox.sent == 0
    w.outbox.send_uncounted(messages.PONG)
    w.outbox.send(messages.ready(["a"]))
    w.outbox.block()
    w.outbox.send_uncounted(messages.PONG)
    w.outbox.send(messages.ready(["b"]))
    w.outbox.step(Step(None, document("1", 1)))
    w.outbox.detach()
    assert w.traffic.blocked == 0
    assert w.outbox.held == 1
    w.outbox.resume(0, messages.connected("me"))
    assert w.all() == ["connected", ("ready", "a"), ("ready", "b"), ("added", "1", 1)]
    assert w.outbox.sent == 4


def test_the_first_documents_of_a_crowd_are_one_frame_each():
    step = Step(None, document("1", 1))
    frames = []
    for blocked in (False, True):
        w = Waking()
        if blocked:
            w.outbox.block()
        w.outbox.step(step)
        w.outbox.drain()
        frames += w.outbox.take()
    assert frames[0] is frames[1]


IDS = st.sampled_from("abcd")


class Slowness(RuleBasedStateMachine):
    """Two live queries over one collection, a client that is slow, or gone, and comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.wire: list[Frame] = []  # has left, has not arrived
        self.store = Store()
        self.received = 0
        self.here = True
        self.outbox = Outbox(lambda: None, replay=1000)
        self.box = MergeBox(self.outbox)
        self.version = 0
        self.published: list[dict[str, Document]] = [{}, {}]
        self.parts = [self._part(0), self._part(1)]
        self.promises: dict[str, dict[str, int]] = {}
        self.seen: dict[str, int] = {}

    def _part(self, which: int) -> LivePart:
        part = self.box.live_part()
        for each in self.published[which].values():
            part.take(Step(None, each))
        part.follow(self.published[which])
        return part

    def _should(self) -> dict[str, dict[str, Any]]:
        visible = self.box.documents("c")
        return {id: document.fields for id, document in visible.items()}

    @rule()
    def look(self) -> None:
        expected: dict[str, set[str]] = {}
        for documents in self.published:
            for id, each in documents.items():
                expected.setdefault(id, set()).update(each.fields)
        assert {id: set(fields) for id, fields in self._should().items()} == expected

    @rule(which=st.integers(0, 1), id=IDS, size=st.sampled_from([0, 0, SLICE // 2]))
    def write(self, which: int, id: str, size: int) -> None:
        self.version += 1
        field = f"f{which}"
        after = Document.of("c", id, {field: self.version, f"text{which}": "x" * size})
        self._step(which, id, after)

    @rule(which=st.integers(0, 1), id=IDS)
    def remove(self, which: int, id: str) -> None:
        if id in self.published[which]:
            self._step(which, id, None)

    def _step(self, which: int, id: str, after: Document | None) -> None:
        documents = self.published[which]
        step = Step(documents.get(id), after)
        if after is None:
            del documents[id]
        else:
            documents[id] = after
        self.parts[which].take(step)

    @rule(which=st.integers(0, 1))
    def leave(self, which: int) -> None:
        self.box.drop(self.parts[which])
        self.parts[which].take(Step(None, document("z", 1)))  # what comes late
        self.published[which] = {}
        self.parts[which] = self._part(which)

    @rule(which=st.integers(0, 1))
    def change_user(self, which: int) -> None:
        self.box.begin_rerun()
        for part in self.parts:
            part.retire()
        self.published[1 - which] = {}
        self.parts = [self._part(0), self._part(1)]
        self.box.finish_rerun()

    @rule()
    def promise(self) -> None:
        self.version += 1
        name = str(self.version)
        self.promises[name] = {
            field: value
            for documents in self.published
            for each in documents.values()
            for field, value in ((f"{each.id} {k}", v) for k, v in each.fields.items())
            if isinstance(value, int)
        }
        self.outbox.send(messages.ready([name]))

    @rule()
    def block(self) -> None:
        if self.here:
            self.outbox.block()

    @rule()
    def drain(self) -> None:
        if self.here:
            self.outbox.drain()

    @rule()
    def take(self) -> None:
        self.wire += self.outbox.take()

    @precondition(lambda self: self.here)
    @rule(count=st.integers(1, 5))
    def arrive(self, count: int) -> None:
        for _ in range(min(count, len(self.wire))):
            self._arrive(self.wire.pop(0))

    def _arrive(self, frame: Frame) -> None:
        self.received += 1
        message = json.loads(frame.data)
        if message["msg"] == "ready":
            self._check(self.promises.pop(message["subs"][0]))
        elif message["msg"] != "connected":
            self.store.take(message)
            for name, value in message.get("fields", {}).items():
                if isinstance(value, int):
                    key = f"{message['id']} {name}"
                    self.seen[key] = max(value, self.seen.get(key, 0))

    def _check(self, promised: dict[str, int]) -> None:
        # That value, or a later one, or the document or its part has gone since.
        for key, value in promised.items():
            id, field = key.split()
            held = self.store.docs("c").get(id, {}).get(field)
            assert held is None or held >= value or self.seen.get(key, 0) >= value

    @precondition(lambda self: self.here)
    @rule()
    def lose(self) -> None:
        self.wire.clear()
        self.here = False
        self.outbox.detach()

    @precondition(lambda self: not self.here)
    @rule()
    def come_back(self) -> None:
        assert self.outbox.covers(self.received)
        self.here = True
        self.outbox.resume(self.received, messages.connected("me"))

    @invariant()
    def what_waits_is_bounded_by_the_documents(self) -> None:
        assert len(self.outbox._order or ()) <= 5 + self.outbox.held

    def teardown(self) -> None:
        if not self.here:
            self.come_back()
        self.outbox.drain()
        while self.outbox.pending:
            self.wire += self.outbox.take()
        while self.wire:
            self._arrive(self.wire.pop(0))
        assert self.store.docs("c") == self._should()
        assert not self.promises
        assert self.received == self.outbox.sent
        assert self.outbox.flowing
        assert (self.outbox._order, self.outbox._rest) == (None, None)


Slowness.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSlowness = Slowness.TestCase


def test_frames_kept_to_be_sent_again_are_not_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "REPLAY_BYTES", 1000)
    monkeypatch.setattr(module, "LARGE", 0)
    w = Waking(replay=100)
    for n in range(500):
        w.outbox.send(messages.ready([str(n)]))
        w.outbox.take()
        kept = w.outbox.log
        assert len(kept) <= 200
        assert sum(len(frame.data) for frame in kept) <= 1100


@pytest.mark.parametrize("count", [1, 3])
def test_clients_that_are_sent_the_same_are_given_one_list(count):
    w, other = Waking(), Waking()
    other.outbox._traffic = w.traffic
    frames = [messages.ready([str(n)]) for n in range(count)]
    for each in frames:
        w.outbox.send(each)
        other.outbox.send(each)
    taken = w.outbox.take()
    assert taken == frames
    assert other.outbox.take() is taken
    assert w.traffic.last_size == sum(len(each.data) for each in frames)


def test_what_nobody_can_come_back_for_is_not_kept():
    w = Waking()
    for n in range(3):
        w.outbox.send(messages.ready([str(n)]))
        w.outbox.take()
    assert w.outbox.log == []
    assert w.outbox.sent == 3


def test_what_leaves_next_is_not_taken_for_what_is_kept(monkeypatch: pytest.MonkeyPatch):
    """A client that comes back while its old socket is still there, and more is on its way to it."""
    monkeypatch.setattr(module, "REPLAY_BYTES", 1000)
    w = Waking(replay=10)
    for n in range(5):
        w.outbox.step(Step(None, document(str(n), 1, 2000)))
    w.all()
    for n in range(3):
        w.outbox.send(messages.ready([str(n)]))
    assert w.outbox.sent == 5
    assert w.outbox.covers(5)
    assert not w.outbox.covers(3)


class Side:
    """A client: its outbox, what it was to get, and what it got."""

    def __init__(self, traffic: Traffic) -> None:
        self.outbox = Outbox(self._wake, replay=REPLAY, traffic=traffic)
        self.awake = False
        self.result: dict[str, Document] = {}
        self.part = MergeBox(self.outbox).live_part()
        first = Step(None, document("first", 0))
        self.result["first"] = first.document
        self.part.take(first)
        self.part.follow(self.result)
        assert first.frame is not None
        self.said = [first.frame]
        self.got: list[tuple[Frame, int]] = []  # what is counted, and the bytes it came with
        self.least = 0  # what it said when it came back
        self.here = True

    def _wake(self) -> None:
        assert not self.awake
        self.awake = True

    def take(self) -> None:
        self.awake = False
        frames = self.outbox.take()
        size = sum(len(frame.data) for frame in frames)
        assert size < SMALL_SLICE or size - len(frames[-1].data) < SMALL_SLICE
        self.got += [(frame, size) for frame in frames if frame.about is not UNCOUNTED]
        assert self.outbox.sent == len(self.got)
        if self.outbox.pending:
            self.awake = True

    def come_back(self, received: int) -> None:
        lacks = [size for _, size in self.got[received:]]
        is_little = len(lacks) <= REPLAY and sum(lacks) <= SMALL_REPLAY // 2
        if not self.outbox.covers(received):
            assert received > len(self.got) or received < self.least or not is_little
            return
        assert len(lacks) <= REPLAY
        self.outbox.resume(received, messages.connected("me"))
        self.awake = True
        del self.got[received:]
        self.least = received
        self.here = True

    def check(self) -> None:
        got = [frame for frame, _ in self.got if frame.about != module.CONNECTED]
        assert [id(frame) for frame in got] == [id(frame) for frame in self.said]


REPLAY, SMALL_REPLAY, SMALL_SLICE, SMALL_LARGE = 4, 1000, 300, 50


class Log(RuleBasedStateMachine):
    """Two clients that are sent the same, or not, and come back: each gets all of it, once."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(module, "SLICE", SMALL_SLICE)
        self.patch.setattr(module, "REPLAY_BYTES", SMALL_REPLAY)
        self.patch.setattr(module, "LARGE", SMALL_LARGE)
        self.traffic = Traffic()
        self.sides = [Side(self.traffic), Side(self.traffic)]
        self.made = 0

    def _new(self, size: int) -> Step:
        self.made += 1
        return Step(None, document(str(self.made), 1, size))

    @rule(
        sizes=st.lists(st.sampled_from([0, 10, 250, 700, 1200]), min_size=1, max_size=3),
        first=st.integers(0, 1),
    )
    def tell(self, sizes: list[int], first: int) -> None:
        steps = [self._new(size) for size in sizes]
        frames = [step.frame for step in steps]
        for side in self.sides:
            side.result.update({step.document.id: step.document for step in steps})
            side.said += frames
        parts = [self.sides[first].part, self.sides[1 - first].part]
        LivePart.take_together(parts, steps, frames)

    @rule(which=st.integers(0, 1))
    def answer(self, which: int) -> None:
        self.made += 1
        frame = messages.ready([str(self.made)])
        self.sides[which].said.append(frame)
        self.sides[which].outbox.send(frame)

    @rule(which=st.integers(0, 1))
    def ping(self, which: int) -> None:
        self.sides[which].outbox.send_uncounted(messages.PING)

    @rule(which=st.integers(0, 1))
    def take(self, which: int) -> None:
        while self.sides[which].awake:
            self.sides[which].take()

    @rule(which=st.integers(0, 1), what=st.sampled_from(["block", "drain", "drain", "detach"]))
    def turn_away(self, which: int, what: str) -> None:
        side = self.sides[which]
        if what != "drain" or side.here:
            side.awake = False
            getattr(side.outbox, what)()
            side.here = what != "detach" and side.here

    @rule(which=st.integers(0, 1), lacks=st.integers(-1, 5))
    def come_back(self, which: int, lacks: int) -> None:
        side = self.sides[which]
        side.awake = False
        side.come_back(max(len(side.got) - lacks, 0))
        side.awake = side.outbox.pending

    def teardown(self) -> None:
        for side in self.sides:
            if not side.here:
                side.come_back(len(side.got))
            side.outbox.drain()
            while side.outbox.pending:
                side.take()
            side.check()
            assert side.outbox.flowing
            kept = sum(len(frame.data) for frame in side.outbox.log)
            assert kept <= 1.5 * SMALL_REPLAY + 2 * REPLAY * SMALL_LARGE
        self.patch.undo()


Log.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestLog = Log.TestCase


def test_what_waits_for_a_client_that_takes_nothing_is_counted():
    outbox = Waking().outbox
    assert outbox.documents_waiting == 0
    outbox.block()
    for id in ("1", "2"):
        outbox.send(messages.ready([id]))
    assert outbox.documents_waiting == 2
