"""What a client is told of a collection, by publication strategy; numbers are of the list of
conformance."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import ddpcore
from ddpcore import (
    NO_MERGE,
    NO_MERGE_MULTI,
    NO_MERGE_NO_HISTORY,
    SERVER_MERGE,
    UNSET,
    DDPError,
    Document,
    PublicationStrategy,
)
from ddpcore.live.document import Step
from ddpcore.session.mergebox import MergeBox, Part
from ddpcore.session.outbox import Outbox
from ddpcore.transport import MemoryTransport

ALL = list(PublicationStrategy)
UNCHECKED = [NO_MERGE, NO_MERGE_NO_HISTORY]
CHECKED = [SERVER_MERGE, NO_MERGE_MULTI]


def added(id: str = "1", collection: str = "c", **fields: Any) -> dict[str, Any]:
    return {"msg": "added", "collection": collection, "id": id} | (
        {"fields": fields} if fields else {}
    )


def changed(id: str = "1", collection: str = "c", cleared: Any = (), **fields: Any) -> Any:
    message: dict[str, Any] = {"msg": "changed", "collection": collection, "id": id}
    if fields:
        message["fields"] = fields
    if cleared:
        message["cleared"] = list(cleared)
    return message


def removed(id: str = "1", collection: str = "c") -> dict[str, Any]:
    return {"msg": "removed", "collection": collection, "id": id}


class Box:
    """A merge box, its parts by number; every call returns what was sent for it."""

    def __init__(self, strategy: PublicationStrategy) -> None:
        self.asked: list[str] = []
        self.strategy = strategy
        self.frames: list[dict[str, Any]] = []
        self.outbox = Outbox(self._wake)
        self.merge_box = MergeBox(self.outbox, self._strategy)
        self.parts: dict[int, Part] = {}

    def _strategy(self, collection: str) -> PublicationStrategy:
        self.asked.append(collection)
        return self.strategy

    def _wake(self) -> None:
        self.frames += [json.loads(frame.data) for frame in self.outbox.take()]

    def _sent(self) -> list[dict[str, Any]]:
        frames, self.frames = self.frames, []
        return frames

    def part(self, number: int) -> Part:
        return self.parts.setdefault(number, Part())

    # By hand

    def add(self, number: int, id: str = "1", collection: str = "c", **fields: Any) -> Any:
        step = Step(None, Document.of(collection, id, fields))
        self.merge_box.say(self.part(number), step)
        return self._sent()

    def change(self, number: int, id: str = "1", collection: str = "c", **fields: Any) -> Any:
        self.merge_box.say(self.part(number), Step.change(collection, id, fields))
        return self._sent()

    def remove(self, number: int, id: str = "1", collection: str = "c") -> Any:
        step = Step(Document(collection, id, {}), None)
        self.merge_box.say(self.part(number), step)
        return self._sent()

    # As live queries do

    def put(self, number: int, id: str = "1", collection: str = "c", **fields: Any) -> Any:
        held = self.part(number).get(collection, id)
        step = Step(held, Document.of(collection, id, fields))
        self.merge_box.apply(self.part(number), step)
        return self._sent()

    def take(self, number: int, id: str = "1", collection: str = "c") -> Any:
        held = self.part(number).get(collection, id)
        assert held is not None
        self.merge_box.apply(self.part(number), Step(held, None))
        return self._sent()

    # Both

    def drop(self, number: int) -> Any:
        self.merge_box.drop(self.parts.pop(number))
        return self._sent()

    def begin(self) -> None:
        self.merge_box.begin_rerun()
        self.parts.clear()

    def finish(self) -> Any:
        self.merge_box.finish_rerun()
        return self._sent()

    def fields(self, id: str = "1") -> dict[str, Any]:
        return self.merge_box.documents("c")[id].fields


# --- steps ---------------------------------------------------------------------------------------


def test_a_step_is_taken_from_whatever_is_held():
    one, two = (Document.of("c", "1", fields) for fields in ({"a": 1, "b": 1}, {"a": 2}))
    held = Document.of("c", "1", {"a": 0, "b": 0, "c": 0})
    assert Step(None, two).onto(None) is Step(one, two).onto(one) is two
    assert Step(None, two).onto(held).fields == {"a": 2, "b": 0, "c": 0}
    assert Step(one, two).onto(held).fields == {"a": 2, "c": 0}
    assert held.updated({"a": 1, "b": UNSET}).fields == {"a": 1, "c": 0}
    assert repr(Step(one, two)) == 'Step(Document(c/1 {"a":1,"b":1}) → Document(c/1 {"a":2}))'


def test_names_that_look_like_ejson_are_escaped_in_a_change():
    frame = Step.change("c", "1", {"$date": 5}).frame
    assert frame is not None
    assert json.loads(frame.data)["fields"] == {"$escape": {"$date": 5}}


# --- _id -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ALL)
def test_073_an_underscore_id_never_travels(strategy):
    box = Box(strategy)
    assert box.add(1, _id="x", a=1) == [added(a=1)]
    assert box.change(1, _id="y", a=2) == [changed(a=2)]
    assert box.change(1, _id=UNSET) == []
    assert box.put(2, id="2", _id="x", a=1) == [added("2", a=1)]


# --- who may change and remove -------------------------------------------------------------------


@pytest.mark.parametrize("strategy", CHECKED)
def test_080_what_this_subscription_never_added_it_cannot_change_or_remove(strategy):
    box = Box(strategy)
    box.add(2, a=1)
    with pytest.raises(DDPError, match="Could not find element with id 1 to change"):
        box.change(1, a=2)
    with pytest.raises(DDPError, match="Removed nonexistent document 1"):
        box.remove(1)
    assert box.frames == []


@pytest.mark.parametrize("strategy", UNCHECKED)
def test_080_where_no_view_is_kept_everything_is_forwarded(strategy):
    box = Box(strategy)
    assert box.change(1, a=2, b=UNSET) == [changed(a=2, cleared=["b"])]
    assert box.remove(1) == [removed()]
    assert box.change(1) == []
    assert box.drop(1) == []


@pytest.mark.parametrize("strategy", ALL)
def test_what_cannot_travel_is_refused_and_changes_nothing(strategy):
    box = Box(strategy)
    box.add(1, a=1)
    for wrong in ({"a": object()}, {1: UNSET}, {1: 1}):
        with pytest.raises(TypeError):
            box.merge_box.say(box.part(1), Step.change("c", "1", wrong))
    assert box.frames == []
    if strategy is not NO_MERGE_NO_HISTORY:
        assert box.fields() == {"a": 1}


# --- SERVER_MERGE, by hand -----------------------------------------------------------------------


def test_063_what_is_said_again_is_not_sent_again():
    box = Box(SERVER_MERGE)
    box.add(1, a=1, b=1)
    assert box.change(1, a=1, x=UNSET) == []
    assert box.add(1, a=2) == [changed(a=2)]
    assert box.change(1, a=3, b=UNSET) == [changed(a=3, cleared=["b"])]
    assert box.remove(1) == [removed()]


# --- NO_MERGE ------------------------------------------------------------------------------------


def test_082_no_merge_two_adds_are_two_added_and_each_stop_removes():
    box = Box(NO_MERGE)
    assert box.add(1, a=1) == [added(a=1)]
    assert box.add(2, a=1) == [added(a=1)]
    assert box.drop(1) == [removed()]
    assert box.drop(2) == [removed()]
    assert box.merge_box._views == {}


def test_082_no_merge_of_live_queries():
    box = Box(NO_MERGE)
    assert box.put(1, a=1) == [added(a=1)]
    assert box.put(2, a=1) == [added(a=1)]
    assert box.put(1, a=2) == [changed(a=2)]
    assert box.put(2, a=2, b="x") == [changed(a=2, b="x")]
    assert box.put(2, a=2, b="y") == [changed(b="y")]
    assert box.put(2, a=2) == [changed(cleared=["b"])]
    assert box.take(1) == [removed()]
    assert box.drop(1) == []
    assert box.drop(2) == [removed()]


def test_no_merge_forwards_what_changes_nothing():
    box = Box(NO_MERGE)
    box.add(1, a=1)
    assert box.add(1, a=1) == [added(a=1)]
    assert box.change(1, a=1, b=UNSET) == [changed(a=1, cleared=["b"])]


def test_no_merge_removes_only_what_was_added_in_the_order_it_came():
    box = Box(NO_MERGE)
    for id in "312":
        box.add(1, id)
    box.change(1, "4", a=1)
    box.remove(1, "1")
    assert box.drop(1) == [removed("3"), removed("2")]


def test_no_merge_takes_back_what_the_new_user_may_not_see():
    box = Box(NO_MERGE)
    box.add(1, "gone", a=1)
    box.add(1, "same", a=1)
    box.add(1, "less", a=1, b=1)
    box.begin()
    assert box.add(1, "new", a=1) == []
    assert box.add(1, "less", a=2) == []
    assert box.add(2, "same", a=1) == []
    assert box.change(2, "same", b=1) == []
    assert box.add(1, "x", collection="d") == []
    assert box.finish() == [
        removed("gone"),
        changed("less", cleared=["b"]),
        added("new", a=1),
        added("less", a=2),
        added("same", a=1),
        changed("same", b=1),
        added("x", "d"),
    ]


def test_no_merge_forwards_after_a_rerun_also_what_was_said_of_unknown_documents():
    box = Box(NO_MERGE)
    box.begin()
    assert box.change(1, a=1) == box.remove(1, "2") == []
    assert box.finish() == [changed(a=1), removed("2")]


def test_a_rerun_keeps_the_strategy():
    box = Box(NO_MERGE)
    box.add(1, a=1)
    box.begin()
    box.strategy = SERVER_MERGE
    box.add(1, a=1)
    assert box.finish() == [added(a=1)]
    assert box.asked == ["c"]


# --- NO_MERGE_NO_HISTORY -------------------------------------------------------------------------


def test_083_no_merge_no_history_a_stop_removes_nothing():
    box = Box(NO_MERGE_NO_HISTORY)
    assert box.add(1, a=1) == [added(a=1)]
    assert box.add(2, a=1) == [added(a=1)]
    assert box.change(1, a=1) == [changed(a=1)]
    assert box.put(3, a=1) == [added(a=1)]
    assert box.drop(1) == box.drop(2) == box.drop(3) == []
    assert box.merge_box.documents("c") == {}


def test_no_history_is_told_after_the_difference_of_a_rerun_and_compared_to_nothing():
    box = Box(NO_MERGE_NO_HISTORY)
    box.add(1, a=1)
    box.begin()
    assert box.add(1, a=1) == []
    assert box.change(1, a=2) == []
    box.strategy = SERVER_MERGE
    assert box.add(1, "x", collection="d") == []
    assert box.finish() == [added("x", "d"), added(a=1), changed(a=2)]
    box.begin()
    assert box.finish() == [removed("x", "d")]


# --- NO_MERGE_MULTI ------------------------------------------------------------------------------


def test_084_no_merge_multi_a_second_add_changes_all_and_only_the_last_stop_removes():
    box = Box(NO_MERGE_MULTI)
    assert box.add(1, a=1, b=1) == [added(a=1, b=1)]
    assert box.add(2, a=1) == [changed(a=1)]
    assert box.drop(1) == []
    assert box.drop(2) == [removed()]
    assert box.merge_box._views == {}


def test_084_no_merge_multi_of_live_queries():
    box = Box(NO_MERGE_MULTI)
    assert box.put(1, a=1) == [added(a=1)]
    assert box.put(2, a=1) == [changed(a=1)]
    assert box.put(1, a=2) == [changed(a=2)]
    assert box.put(2, b=1) == [changed(b=1, cleared=["a"])]
    assert box.take(1) == []
    assert box.put(1) == []
    assert box.take(2) == []
    assert box.take(1) == [removed()]


def test_no_merge_multi_forwards_what_changes_nothing():
    box = Box(NO_MERGE_MULTI)
    box.add(1, a=1)
    assert box.add(1, a=1) == [changed(a=1)]
    assert box.change(1, a=1, b=UNSET) == [changed(a=1, cleared=["b"])]
    assert box.remove(1) == [removed()]
    assert box.add(1, a=1) == [added(a=1)]


@pytest.mark.parametrize("strategy", CHECKED)
def test_a_live_step_from_a_version_that_is_not_held_is_made_from_what_is(strategy):
    box = Box(strategy)
    lost = Document.of("c", "1", {"a": 1})
    box.merge_box.apply(box.part(1), Step(lost, None))
    assert box._sent() == []
    box.merge_box.apply(box.part(1), Step(lost, Document.of("c", "1", {"a": 1})))
    assert box._sent() == [added(a=1)]


def test_no_merge_multi_sends_the_new_values_of_a_rerun():
    box = Box(NO_MERGE_MULTI)
    box.add(1, "gone", a=1)
    box.add(1, "same", a=1, b=1)
    box.begin()
    assert box.add(1, "same", a=2) == []
    assert box.add(2, "same", c=1) == []
    assert box.finish() == [removed("gone"), changed("same", a=2, c=1, cleared=["b"])]


def test_no_merge_multi_takes_fields_that_were_left_behind_back_from_another_user():
    box = Box(NO_MERGE_MULTI)
    box.add(1, mail="m")
    box.add(2, name="n")
    box.add(3, phone="p")
    assert box.drop(1) == box.drop(3) == []
    box.begin()
    box.add(2, name="n")
    box.add(1, fax="f")
    assert box.drop(1) == []
    assert box.finish() == [changed(name="n", cleared=["mail", "phone"])]


# --- the naive models ----------------------------------------------------------------------------


def difference(old: dict[str, Any], new: dict[str, Any], **where: str) -> list[Any]:
    fields = {name: value for name, value in new.items() if old.get(name, ...) != value}
    return said(fields, [name for name in old if name not in new], **where)


def said(fields: dict[str, Any], cleared: Any, **where: str) -> list[Any]:
    return [changed(**where, cleared=cleared, **fields)] if fields or cleared else []


class Client:
    """A client as lenient as Meteor's: it adds what it has and changes what it has not."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}

    def replay(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            id = message["id"]
            if message["msg"] == "removed":
                self.documents.pop(id, None)
            else:
                document = self.documents.setdefault(id, {})
                document.update(message.get("fields", {}))
                for name in message.get("cleared", ()):
                    document.pop(name, None)


class Model:
    """NO_MERGE, told as simply as can be: what each part says is expected on the wire."""

    strategy = NO_MERGE

    def __init__(self) -> None:
        self.held: dict[int, dict[str, dict[str, Any]]] = {}

    def holds(self, number: int, id: str) -> bool:
        return id in self.held.get(number, {})

    def held_by_any(self, id: str) -> bool:
        return any(id in documents for documents in self.held.values())

    def refuses(self, number: int, id: str) -> bool:
        return False

    def add(self, number: int, id: str, fields: dict[str, Any]) -> list[Any]:
        self.held.setdefault(number, {}).setdefault(id, {}).update(fields)
        return [added(id, **fields)]

    def change(self, number: int, id: str, fields: dict[str, Any]) -> list[Any]:
        values = {name: value for name, value in fields.items() if value is not UNSET}
        cleared = [name for name, value in fields.items() if value is UNSET]
        if self.holds(number, id):
            document = self.held[number][id]
            document.update(values)
            for name in cleared:
                document.pop(name, None)
        return said(values, cleared, id=id)

    def put(self, number: int, id: str, fields: dict[str, Any]) -> list[Any]:
        if not self.holds(number, id):
            return self.add(number, id, fields)
        old, self.held[number][id] = self.held[number][id], dict(fields)
        return difference(old, fields, id=id)

    def remove(self, number: int, id: str) -> list[Any]:
        self.held.get(number, {}).pop(id, None)
        return [removed(id)]

    def drop(self, number: int) -> list[Any]:
        messages = []
        for id in list(self.held.get(number, {})):
            messages += self.remove(number, id)
        return messages


class NoHistory(Model):
    strategy = NO_MERGE_NO_HISTORY

    def add(self, number: int, id: str, fields: dict[str, Any]) -> list[Any]:
        return [added(id, **fields)]


class Multi(Model):
    strategy = NO_MERGE_MULTI

    def refuses(self, number: int, id: str) -> bool:
        return not self.holds(number, id)

    def add(self, number: int, id: str, fields: dict[str, Any]) -> list[Any]:
        known = self.held_by_any(id)
        super().add(number, id, fields)
        return said(fields, [], id=id) if known else [added(id, **fields)]

    def remove(self, number: int, id: str) -> list[Any]:
        super().remove(number, id)
        return [] if self.held_by_any(id) else [removed(id)]


names = st.sampled_from("ab")
values = st.sampled_from([0, "x", None])
numbers = st.integers(1, 3)
ids = st.sampled_from("12")
documents = st.dictionaries(names, values)


class AgainstTheModel(RuleBasedStateMachine):
    make: type[Model]

    def __init__(self) -> None:
        super().__init__()
        self.model = self.make()
        self.box = Box(self.model.strategy)
        self.client = Client()
        # What was changed by those who never added it, no view can know.
        self.unknown: set[str] = set()
        self.rerunning = False
        self.late: list[Any] = []

    def expect(self, expected: list[Any], got: list[Any]) -> None:
        if self.rerunning:
            assert got == []
            self.late += expected
        else:
            assert got == expected
            self.client.replay(got)
        self.unknown -= {each["id"] for each in expected if each["msg"] == "removed"}

    @rule(number=numbers, id=ids, fields=documents)
    def add(self, number, id, fields):
        self.expect(self.model.add(number, id, fields), self.box.add(number, id, **fields))

    @rule(number=numbers, id=ids, fields=st.dictionaries(names, values | st.just(UNSET)))
    def change(self, number, id, fields):
        if self.model.refuses(number, id):
            with pytest.raises(DDPError):
                self.box.change(number, id, **fields)
        else:
            if not self.model.holds(number, id):
                self.unknown.add(id)
            expected = self.model.change(number, id, fields)
            self.expect(expected, self.box.change(number, id, **fields))

    @rule(number=numbers, id=ids)
    def remove(self, number, id):
        if self.model.refuses(number, id):
            with pytest.raises(DDPError):
                self.box.remove(number, id)
        else:
            self.expect(self.model.remove(number, id), self.box.remove(number, id))

    @rule(number=numbers, id=ids, fields=documents)
    def put(self, number, id, fields):
        expected = self.model.put(number, id, fields)
        self.expect(expected, self.box.put(number, id, **fields))

    @precondition(lambda self: self.model.held)
    @rule(number=numbers, id=ids)
    def take(self, number, id):
        if self.model.holds(number, id):
            self.expect(self.model.remove(number, id), self.box.take(number, id))

    @rule(number=numbers)
    def drop(self, number):
        self.box.part(number)
        self.expect(self.model.drop(number), self.box.drop(number))

    @precondition(lambda self: not self.rerunning)
    @rule()
    def begin_rerun(self):
        self.box.begin()
        self.before = {id for each in self.model.held.values() for id in each}
        self.model = self.make()
        self.late = []
        self.rerunning = True

    @precondition(lambda self: self.rerunning)
    @rule()
    def finish_rerun(self):
        self.rerunning = False
        sent = self.box.finish()
        self.client.replay(sent)
        if self.make is not Multi:
            assert sent[len(sent) - len(self.late) :] == self.late
            assert self.make is Model or sent == self.late
            # As if nothing had been before.
            fresh = Client()
            fresh.replay(self.late)
            for id in {"1", "2"} - self.unknown if self.make is Model else ():
                assert self.client.documents.get(id) == fresh.documents.get(id)
            return
        for id in self.before - self.unknown:
            assert (id in self.client.documents) == self.model.held_by_any(id)
        for id, document in self.client.documents.items():
            held = [each[id] for each in self.model.held.values() if id in each]
            if id not in self.unknown:
                assert document.keys() == {name for each in held for name in each}
                for name, value in document.items():
                    assert value in [each[name] for each in held if name in each]

    @invariant()
    def what_is_held_is_known_to_the_view(self):
        seen = self.box.merge_box.documents("c")
        held = {id for each in self.model.held.values() for id in each}
        assert seen.keys() == held
        if self.make is Multi and not self.rerunning:
            assert self.client.documents.keys() == held


def against(model: type[Model]) -> Any:
    case = type(f"Against{model.__name__}", (AgainstTheModel,), {"make": model}).TestCase
    case.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
    return case


TestNoMerge = against(Model)
TestNoHistory = against(NoHistory)
TestMulti = against(Multi)


# --- which strategy ------------------------------------------------------------------------------


def test_a_strategy_is_asked_for_once_as_long_as_the_client_sees_the_collection():
    box = Box(NO_MERGE)
    box.add(1, "1")
    box.add(2, "2")
    assert box.asked == ["c"]
    box.strategy = SERVER_MERGE
    assert box.add(2, "1") == [added("1")]
    box.drop(1)
    box.drop(2)
    box.add(1, "1")
    assert box.asked == ["c", "c"]
    assert box.add(2, "1") == []


def test_without_a_strategy_it_is_server_merge():
    outbox = Outbox(lambda: None)
    merge_box = MergeBox(outbox)
    for _ in range(2):
        merge_box.apply(Part(), Step(None, Document.of("c", "1", {"a": 1})))
    assert len(outbox.take()) == 1


class Plugin:
    def __init__(self, **strategies: Any) -> None:
        self.strategies = strategies
        self.asked: list[str] = []

    @ddpcore.hookimpl
    def ddpcore_publication_strategy(self, collection: str) -> Any:
        self.asked.append(collection)
        return self.strategies.get(collection)


def test_a_server_has_a_strategy_per_collection():
    server = ddpcore.Server()
    assert server.publication_strategy("c") is SERVER_MERGE
    server.set_publication_strategy("c", NO_MERGE)
    assert server.publication_strategy("c") is NO_MERGE
    assert server.publication_strategy("d") is SERVER_MERGE


def test_a_plugin_is_asked_once_and_overruled():
    plugin = Plugin(c=NO_MERGE, d=NO_MERGE_MULTI)
    server = ddpcore.Server(plugins=[plugin])
    for _ in range(2):
        assert server.publication_strategy("c") is NO_MERGE
        assert server.publication_strategy("e") is SERVER_MERGE
    server.set_publication_strategy("c", SERVER_MERGE)
    server.set_publication_strategy("d", NO_MERGE_NO_HISTORY)
    assert server.publication_strategy("c") is SERVER_MERGE
    assert server.publication_strategy("d") is NO_MERGE_NO_HISTORY
    assert plugin.asked == ["c", "e"]


@pytest.mark.parametrize("wrong", ["NO_MERGE", None, 0, {"useCollectionView": True}])
def test_an_unknown_strategy_is_refused(wrong):
    server = ddpcore.Server(plugins=[Plugin(c=wrong)])
    with pytest.raises(DDPError, match="Invalid merge strategy: "):
        server.set_publication_strategy("c", wrong)
    if wrong is not None:
        named = "ddpcore_publication_strategy of the plugin 'Plugin' failed: .* PublicationStrategy"
        with pytest.raises(DDPError, match=named):
            server.publication_strategy("c")


# --- through a server ----------------------------------------------------------------------------

DATA = {"added", "changed", "removed", "nosub", "ready"}


class Query(ddpcore.LiveQuery):
    collection = "c"
    topics = frozenset({"t"})

    def __init__(self, key: str, rows: dict[str, Any]) -> None:
        self.key = key
        self.rows = rows

    async def fetch(self):
        return {id: Document.of("c", id, fields) for id, fields in self.rows.items()}


class Wire(MemoryTransport):
    def __init__(self, server: ddpcore.Server) -> None:
        super().__init__()
        self.session = server.accept(self)
        self.session.receive('{"msg":"connect","version":"1","support":["1"]}')

    async def tell(self, **message: Any) -> list[dict[str, Any]]:
        """Send a message; what comes for it, of data and subscriptions."""
        self.frames.clear()
        self.session.receive(json.dumps(message))
        for _ in range(50):
            await asyncio.sleep(0)
        messages = [json.loads(frame.data) for frame in self.frames]
        return [message for message in messages if message["msg"] in DATA]


def through_a_server(strategy: PublicationStrategy, live: bool) -> list[list[dict[str, Any]]]:
    """Two subscriptions to one document; the first one's end, a log-in, a change, the last end."""
    server = ddpcore.Server()
    server.set_publication_strategy("c", strategy)
    rows = {"1": {"_id": "x", "a": 1}}

    @server.publish("p")
    async def p(ctx, key):
        if live:
            return Query(key, rows)
        ctx.added("c", "1", {"_id": "x", "a": 1})
        ctx.ready()
        return None

    @server.method
    async def login(ctx):
        await ctx.set_user_id("u")

    @server.method
    async def write(ctx):
        rows["1"] = {"_id": "x", "a": 2}
        await ctx.server.bus.publish(ddpcore.Change("t", ddpcore.Op.UPDATE, "1"))

    async def story() -> list[list[dict[str, Any]]]:
        await server.start()
        try:
            wire = Wire(server)
            return [
                await wire.tell(msg="sub", id="s1", name="p", params=["one"]),
                await wire.tell(msg="sub", id="s2", name="p", params=["two"]),
                await wire.tell(msg="unsub", id="s1"),
                await wire.tell(msg="method", id="m1", method="login"),
                await wire.tell(msg="method", id="m2", method="write"),
                await wire.tell(msg="unsub", id="s2"),
            ]
        finally:
            await server.stop()

    return asyncio.run(story())


READY1, READY2 = ({"msg": "ready", "subs": [id]} for id in ("s1", "s2"))
NOSUB1, NOSUB2 = ({"msg": "nosub", "id": id} for id in ("s1", "s2"))

STORIES: dict[PublicationStrategy, list[list[dict[str, Any]]]] = {
    SERVER_MERGE: [
        [added(a=1), READY1],
        [READY2],
        [NOSUB1],
        [READY2],
        [changed(a=2)],
        [removed(), NOSUB2],
    ],
    NO_MERGE: [
        [added(a=1), READY1],
        [added(a=1), READY2],
        [removed(), NOSUB1],
        [added(a=1), READY2],
        [changed(a=2)],
        [removed(), NOSUB2],
    ],
    NO_MERGE_NO_HISTORY: [
        [added(a=1), READY1],
        [added(a=1), READY2],
        [NOSUB1],
        [added(a=1), READY2],
        [changed(a=2)],
        [NOSUB2],
    ],
    NO_MERGE_MULTI: [
        [added(a=1), READY1],
        [changed(a=1), READY2],
        [NOSUB1],
        [changed(a=1), READY2],
        [changed(a=2)],
        [removed(), NOSUB2],
    ],
}


@pytest.mark.parametrize("live", [False, True], ids=["by hand", "live"])
@pytest.mark.parametrize("strategy", ALL)
def test_082_083_084_through_a_server(strategy, live):
    expected = [list(each) for each in STORIES[strategy]]
    if not live:
        expected[4] = []  # nobody watches
    assert through_a_server(strategy, live) == expected
