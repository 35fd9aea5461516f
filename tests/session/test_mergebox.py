"""What one client sees of several subscriptions: the merge box against a naive model of Meteor's."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)
from memory_client import Store

from ddpcore import UNSET, Document
from ddpcore.live.document import Step
from ddpcore.session.mergebox import LivePart, MergeBox, Part
from ddpcore.session.outbox import Outbox


class Box:
    """A merge box, its parts by number, and the client at the other end."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.store = Store()
        self.outbox = Outbox(self._wake)
        self.merge_box = MergeBox(self.outbox)
        self.parts: dict[int, Part] = {}

    def _wake(self) -> None:
        for frame in self.outbox.take():
            self.frames.append(json.loads(frame.data))
            self.store.take(self.frames[-1])

    def part(self, number: int) -> Part:
        return self.parts.setdefault(number, Part())

    def put(self, number: int, id: str, collection: str = "c", **fields: Any) -> list[Any]:
        """Let a part hold a document with just these fields; what was sent for it."""
        part = self.part(number)
        held = part.get(collection, id)
        return self._apply(part, Step(held, Document.of(collection, id, fields)))

    def take(self, number: int, id: str, collection: str = "c") -> list[Any]:
        part = self.part(number)
        return self._apply(part, Step(part.get(collection, id), None))

    def drop(self, number: int) -> list[Any]:
        self.frames.clear()
        self.merge_box.drop(self.parts.pop(number))
        return list(self.frames)

    def _apply(self, part: Part, step: Step) -> list[Any]:
        self.frames.clear()
        self.merge_box.apply(part, step)
        return list(self.frames)


def changed(**fields: Any) -> dict[str, Any]:
    return {"msg": "changed", "collection": "c", "id": "1", "fields": fields}


def cleared(*names: str) -> dict[str, Any]:
    return {"msg": "changed", "collection": "c", "id": "1", "cleared": list(names)}


REMOVED = {"msg": "removed", "collection": "c", "id": "1"}


def test_060_added_without_fields_has_no_fields_key():
    assert Box().put(1, "1") == [{"msg": "added", "collection": "c", "id": "1"}]


def test_061_changed_carries_only_what_differs():
    box = Box()
    box.put(1, "1", a=1, b=2)
    assert box.put(1, "1", a=1, b=3) == [changed(b=3)]


def test_062_a_field_that_went_away_is_cleared_and_empty_fields_are_omitted():
    box = Box()
    box.put(1, "1", a=1, b=2)
    assert box.put(1, "1", a=1) == [cleared("b")]


def test_063_nothing_visible_nothing_sent():
    box = Box()
    box.put(1, "1", a=1)
    assert box.put(1, "1", a=1) == []


def test_064_a_second_holder_adds_only_its_extra_field():
    box = Box()
    box.put(1, "1", a=1)
    assert box.put(2, "1", a=1, b=2) == [changed(b=2)]


def test_065_a_second_holder_cannot_override():
    box = Box()
    box.put(1, "1", a=1)
    assert box.put(2, "1", a=2) == []


def test_066_a_field_cleared_by_the_first_shows_the_second():
    box = Box()
    box.put(1, "1", a=1)
    box.put(2, "1", a=2)
    assert box.put(1, "1") == [changed(a=2)]


def test_067_a_field_cleared_by_the_first_and_equal_in_the_second_is_silent():
    box = Box()
    box.put(1, "1", a=1)
    box.put(2, "1", a=1)
    assert box.put(1, "1") == []


def test_068_a_hidden_change_is_silent_and_revealed_later():
    box = Box()
    box.put(1, "1", a=1)
    box.put(2, "1", a=2)
    assert box.put(2, "1", a=3) == []
    assert box.take(1, "1") == [changed(a=3)]


def test_069_clearing_and_setting_again_loses_precedence():
    box = Box()
    box.put(1, "1", a=1)
    box.put(2, "1", a=2)
    box.put(1, "1")
    assert box.put(1, "1", a=1) == []
    assert box.store.docs("c") == {"1": {"a": 2}}


def test_070_dropping_one_of_two_reveals_and_clears():
    box = Box()
    box.put(1, "1", a=1, b=1)
    box.put(2, "1", a=2)
    assert box.drop(1) == [changed(a=2) | {"cleared": ["b"]}]


def test_071_dropping_the_last_removes():
    box = Box()
    box.put(1, "1", a=1)
    box.put(2, "1", a=1)
    assert box.drop(1) == []
    assert box.drop(2) == [REMOVED]


def test_072_a_shared_field_is_cleared_with_its_last_holder():
    box = Box()
    box.put(1, "1", a=1)
    box.put(2, "1", a=1)
    assert box.put(1, "1") == []
    assert box.put(2, "1") == [cleared("a")]


def test_076_a_nested_change_resends_the_top_level_value():
    box = Box()
    box.put(1, "1", a={"x": 1, "y": 2})
    assert box.put(1, "1", a={"x": 1, "y": 3}) == [changed(a={"x": 1, "y": 3})]


def test_077_equal_under_ejson_is_no_change():
    box = Box()
    box.put(1, "1", a={"x": 1, "y": 2}, b=1)
    assert box.put(1, "1", a={"y": 2, "x": 1}, b=1.0) == []


def test_drop_takes_documents_back_in_the_order_they_came():
    box = Box()
    for id in "312":
        box.put(1, id)
    assert [frame["id"] for frame in box.drop(1)] == ["3", "1", "2"]


def test_a_step_shared_by_all_is_encoded_once():
    outbox = Outbox(lambda: None)
    boxes = [MergeBox(outbox) for _ in range(3)]
    step = Step(None, Document.of("c", "1", {"a": 1}))
    for box in boxes:
        box.apply(Part(), step)
    first, second, third = outbox.take()
    assert first is second is third


def test_an_empty_box_keeps_nothing():
    box = Box()
    for number in (1, 2):
        for id in "123":
            box.put(number, id, a=number)
    box.drop(2)
    box.drop(1)
    assert box.merge_box._views == {}


def test_088_a_rerun_sends_differences_in_the_order_of_what_was_there():
    box = Box()
    box.put(1, "gone", a=1)
    box.put(1, "same", a=1)
    box.put(1, "other", a=1, b=1)
    box.frames.clear()
    box.merge_box.begin_rerun()
    box.parts.clear()
    for id in ("new", "other", "same"):
        box.put(1, id, a=2 if id == "other" else 1)
    box.put(1, "x", collection="d")
    assert box.frames == []
    box.merge_box.finish_rerun()
    assert box.frames == [
        {"msg": "removed", "collection": "c", "id": "gone"},
        {"msg": "changed", "collection": "c", "id": "other", "fields": {"a": 2}, "cleared": ["b"]},
        {"msg": "added", "collection": "c", "id": "new", "fields": {"a": 1}},
        {"msg": "added", "collection": "d", "id": "x"},
    ]


# --- the naive model -----------------------------------------------------------------------------


class Model:
    """Meteor's merge box, told as simply as can be: of each field, who has it, the first seen."""

    def __init__(self) -> None:
        self.held: dict[int, dict[tuple[str, str], dict[str, Any]]] = {}
        self.order: dict[tuple[str, str, str], list[int]] = {}

    def put(self, number: int, where: tuple[str, str], fields: dict[str, Any] | None) -> None:
        mine = self.held.setdefault(number, {})
        old, new = mine.get(where, {}), fields or {}
        for name in old.keys() - new.keys():
            self.order[*where, name].remove(number)
        for name in new.keys() - old.keys():
            self.order.setdefault((*where, name), []).append(number)
        if fields is None:
            mine.pop(where, None)
        else:
            mine[where] = dict(fields)

    def drop(self, number: int) -> None:
        for where in list(self.held.get(number, {})):
            self.put(number, where, None)
        self.held.pop(number, None)

    def seen(self) -> dict[str, dict[str, dict[str, Any]]]:
        visible: dict[str, dict[str, dict[str, Any]]] = {}
        for documents in self.held.values():
            for collection, id in documents:
                visible.setdefault(collection, {}).setdefault(id, {})
        for (collection, id, name), holders in self.order.items():
            if holders:
                fields = self.held[holders[0]][collection, id]
                visible[collection][id][name] = fields[name]
        return visible


names = st.sampled_from(["a", "b", "$date"])
values = st.sampled_from([0, 1, "x", None, {"k": 1}, {"k": [2, {}]}, UNSET])
numbers = st.integers(1, 4)
places = st.tuples(st.sampled_from(["c", "d"]), st.sampled_from(["1", "2", "3"]))


class AgainstTheModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.box = Box()
        self.model = Model()
        self.rerunning = False

    @rule(number=numbers, where=places, fields=st.dictionaries(names, values, max_size=3))
    def put(self, number, where, fields):
        fields = {name: value for name, value in fields.items() if value is not UNSET}
        self.box.put(number, where[1], collection=where[0], **fields)
        self.model.put(number, where, fields)
        assert len(self.box.frames) <= 1

    @rule(number=numbers, where=places, fields=st.dictionaries(names, values, min_size=1))
    def change(self, number, where, fields):
        held = self.box.part(number).get(*where)
        if held is not None:
            self.box.merge_box.apply(self.box.part(number), Step(held, held.updated(fields)))
            now = self.model.held[number][where] | fields
            known = {name: value for name, value in now.items() if value is not UNSET}
            self.model.put(number, where, known)

    @rule(number=numbers, where=places)
    def take(self, number, where):
        if self.box.part(number).get(*where) is not None:
            self.box.take(number, where[1], collection=where[0])
            self.model.put(number, where, None)

    @rule(number=numbers)
    def drop(self, number):
        self.box.part(number)
        self.box.drop(number)
        self.model.drop(number)

    @precondition(lambda self: not self.rerunning)
    @rule()
    def begin_rerun(self):
        self.box.merge_box.begin_rerun()
        self.box.parts.clear()
        self.model = Model()
        self.before = json.dumps(self.box.store.collections)
        self.rerunning = True

    @precondition(lambda self: self.rerunning)
    @rule()
    def finish_rerun(self):
        self.box.merge_box.finish_rerun()
        self.rerunning = False

    @invariant()
    def the_client_sees_what_it_should(self):
        if self.rerunning:
            assert json.dumps(self.box.store.collections) == self.before
        else:
            store = {name: docs for name, docs in self.box.store.collections.items() if docs}
            assert store == self.model.seen()
            for name, docs in store.items():
                documents = self.box.merge_box.documents(name)
                assert {id: doc.fields for id, doc in documents.items()} == docs


AgainstTheModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAgainstTheModel = AgainstTheModel.TestCase


def test_a_part_that_follows_tells_nothing_that_does_not_show():
    outbox = Outbox(lambda: None)
    part, result = MergeBox(outbox).live_part(), {}
    part.follow(result)
    for fields in ({"a": 1}, {"a": 1}):
        before, result["1"] = result.get("1"), Document.of("c", "1", fields)
        part.take(Step(before, result["1"]))
    assert len(outbox.take()) == 1


def test_a_part_that_follows_puts_off_what_a_slow_client_is_to_be_told():
    outbox = Outbox(lambda: None)
    part, result = MergeBox(outbox).live_part(), {"1": Document.of("c", "1", {"a": 1})}
    part.take(Step(None, result["1"]))
    part.follow(result)
    outbox.block()
    for value in (2, 3):
        before, result["1"] = result["1"], Document.of("c", "1", {"a": value})
        part.take(Step(before, result["1"]))
    outbox.drain()
    assert [json.loads(frame.data)["fields"] for frame in outbox.take()] == [{"a": 1}, {"a": 3}]


def test_parts_are_told_together_whatever_becomes_of_one(expect_log):
    expect_log("ddpcore.session", "A client could not be told of a change")
    documents = [Document.of("c", "1", {"a": n}) for n in range(3)]
    result, wakes = {"1": documents[0]}, []

    def broken():
        raise OSError("broken")

    outboxes = [Outbox(lambda n=n: wakes.append(n)) for n in range(3)]
    boxes = [MergeBox(each) for each in outboxes]
    parts = [box.live_part() for box in boxes]
    for part, outbox in zip(parts, outboxes, strict=True):
        part.take(Step(None, documents[0]))
        outbox.take()
        part.follow(result)
    outboxes[0].wake = broken
    outboxes[1].block()
    wakes.clear()
    LivePart.take_together(parts, [Step(documents[0], documents[0])], [])
    assert wakes == []
    result["1"] = documents[2]
    steps = [Step(documents[0], documents[1]), Step(documents[1], documents[2])]
    LivePart.take_together(parts, steps, [step.frame for step in steps])
    assert wakes == [2]
    outboxes[1].drain()
    assert [len(outbox.take()) for outbox in outboxes[1:]] == [1, 2]
    assert [box.documents("c") for box in boxes] == [{"1": documents[2]}] * 3


def test_a_part_among_others_is_told_together_with_parts_that_follow():
    outbox = Outbox(lambda: None)
    box = MergeBox(outbox)
    first, second = box.live_part(), box.live_part()
    first.take(Step(None, Document.of("c", "1", {"a": 1})))
    old, new = (Document.of("c", "1", {"a": 2, "b": n}) for n in (1, 2))
    second.take(Step(None, old))
    second.follow({"1": new})
    outbox.take()
    step = Step(old, new)
    LivePart.take_together([second], [step], [step.frame])
    assert box.documents("c")["1"].fields == {"a": 1, "b": 2}
    assert [json.loads(frame.data)["fields"] for frame in outbox.take()] == [{"b": 2}]


def test_a_part_that_has_left_holds_what_the_client_has():
    outbox = Outbox(lambda: None)
    box = MergeBox(outbox)
    part, document = box.live_part(), Document.of("c", "1", {"a": 1})
    part.take(Step(None, document))
    result = {"1": document}
    part.follow(result)
    outbox.take()
    part.leave()
    part.leave()
    step = Step(result.pop("1"), None)
    LivePart.take_together([part], [step], [step.frame])
    part.take(step)
    assert outbox.take() == []
    assert box.documents("c") == {"1": document}
    box.drop(part)
    assert [frame.data for frame in outbox.take()] == [step.frame.data]


def test_a_part_that_follows_wakes_the_outbox_once():
    wakes = []
    outbox = Outbox(lambda: wakes.append(outbox.fresh))
    part, result = MergeBox(outbox).live_part(), {"1": Document.of("c", "1", {"a": 1})}
    part.take(Step(None, result["1"]))
    part.follow(result)
    outbox.take()
    for value in (2, 3):
        before, result["1"] = result["1"], Document.of("c", "1", {"a": value})
        part.take(Step(before, result["1"]))
    assert wakes == [1, 1]
    assert len(outbox.take()) == 2
