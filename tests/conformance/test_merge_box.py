"""60-84: documents, several subscriptions to the same, and strategies. See docs/reference/conformance.md.

Every client here checks by itself that no document is added twice, or changed or removed before it
was added (81), except where a strategy gives that up.
"""

from __future__ import annotations

import random
from contextlib import asynccontextmanager

import pytest
from drivers import MemoryDriver, Stage, added, changed, nosub, removed

from ddpcore import (
    NO_MERGE,
    NO_MERGE_MULTI,
    NO_MERGE_NO_HISTORY,
    SERVER_MERGE,
    UNSET,
    DDPError,
    Server,
)
from ddpcore.wire.ejson import ObjectID, decode
from ddpcore.wire.ids import id_stringify


class Scene:
    """A client with two subscriptions, `one` and `two`, which publish document 1 of "c"."""

    def __init__(self, client, one, two):
        self.client = client
        self.one = one
        self.two = two

    async def sends(self, *messages):
        """Exactly these messages have been sent since."""
        assert await self.client.rest() == list(messages)

    async def stop(self, sub, *messages):
        """The client stops a subscription and gets exactly these messages."""
        id = "one" if sub is self.one else "two"
        await self.client.say(msg="unsub", id=id)
        await self.sends(*messages, nosub(id))


@pytest.fixture
def scene(ddp):
    """`async with scene() as s`: see `Scene`."""

    @asynccontextmanager
    async def scene(strategy=SERVER_MERGE):
        stage = Stage()
        stage.server.set_publication_strategy("c", strategy)
        async with ddp.client(stage.server) as client:
            client.strict = strategy is SERVER_MERGE or strategy is NO_MERGE_MULTI
            one, two = [await stage.enter(client, id) for id in ("one", "two")]
            yield Scene(client, one, two)

    return scene


async def test_060_added_without_fields(scene):
    async with scene() as s:
        s.one.added("c", "1", {})
        await s.sends({"msg": "added", "collection": "c", "id": "1"})


async def test_061_changed_carries_what_differs(scene):
    async with scene() as s:
        s.one.added("c", "1", {"a": 1, "b": 2, "d": 3})
        s.one.changed("c", "1", {"a": 1, "b": 3})
        await s.sends(added("c", "1", a=1, b=2, d=3), changed("c", "1", b=3))


async def test_062_a_field_that_goes_is_cleared(scene):
    async with scene() as s:
        s.one.added("c", "1", {"a": 1, "b": 2})
        s.one.changed("c", "1", {"a": UNSET})
        s.one.changed("c", "1", {"b": UNSET, "d": 1})
        assert await s.client.rest() == [
            added("c", "1", a=1, b=2),
            {"msg": "changed", "collection": "c", "id": "1", "cleared": ["a"]},
            changed("c", "1", ["b"], d=1),
        ]


async def test_063_nothing_visible_nothing_sent(scene):
    async with scene() as s:
        s.one.added("c", "1", {"a": 1})
        s.one.changed("c", "1", {"a": 1})
        s.one.changed("c", "1", {"b": UNSET})
        s.one.changed("c", "1", {})
        await s.sends(added("c", "1", a=1))


async def test_064_a_second_holder_adds_its_extra_field(scene):
    async with scene() as s:
        s.one.added("c", "1", {"a": 1})
        s.two.added("c", "1", {"a": 1, "b": 2})
        await s.sends(added("c", "1", a=1), changed("c", "1", b=2))


async def test_065_a_second_holder_cannot_override(scene):
    async with scene() as s:
        s.one.added("c", "1", {"a": 1})
        s.two.added("c", "1", {"a": 2})
        await s.sends(added("c", "1", a=1))


async def test_066_what_the_first_clears_shows_the_second(scene):
    async with scene() as s:
        s.one.added("c", "1", {"a": 1})
        s.two.added("c", "1", {"a": 2})
        s.one.changed("c", "1", {"a": UNSET})
        await s.sends(added("c", "1", a=1), changed("c", "1", a=2))


async def test_067_what_the_first_clears_may_look_the_same(scene):
    async with scene() as s:
        s.one.added("c", "1", {"a": 1})
        s.two.added("c", "1", {"a": 1})
        s.one.changed("c", "1", {"a": UNSET})
        await s.sends(added("c", "1", a=1))


async def test_068_a_hidden_change_is_revealed_later(scene):
    async with scene() as s:
        s.one.added("c", "1", {"a": 1})
        s.two.added("c", "1", {"a": 1})
        s.two.changed("c", "1", {"a": 3})
        await s.sends(added("c", "1", a=1))
        s.one.changed("c", "1", {"a": UNSET})
        await s.sends(changed("c", "1", a=3))


async def test_069_clearing_and_setting_again_loses_precedence(scene):
    async with scene() as s:
        s.one.added("c", "1", {"a": 1})
        s.two.added("c", "1", {"a": 2})
        s.one.changed("c", "1", {"a": UNSET})
        s.one.changed("c", "1", {"a": 1})
        await s.sends(added("c", "1", a=1), changed("c", "1", a=2))


async def test_070_stopping_one_of_two_reveals_and_clears(scene):
    async with scene() as s:
        s.one.added("c", "1", {"a": 1, "b": 1})
        s.two.added("c", "1", {"a": 2})
        await s.sends(added("c", "1", a=1, b=1))
        await s.stop(s.one, changed("c", "1", ["b"], a=2))


async def test_071_stopping_the_last_removes(scene):
    async with scene() as s:
        s.one.added("c", "1", {"a": 1})
        s.two.added("c", "1", {"a": 1})
        await s.sends(added("c", "1", a=1))
        await s.stop(s.one)
        await s.stop(s.two, removed("c", "1"))


async def test_072_a_shared_field_is_cleared_by_the_last(scene):
    async with scene() as s:
        s.one.added("c", "1", {"a": 1})
        s.two.added("c", "1", {"a": 1})
        s.one.changed("c", "1", {"a": UNSET})
        await s.sends(added("c", "1", a=1))
        s.two.changed("c", "1", {"a": UNSET})
        await s.sends(changed("c", "1", ["a"]))


@pytest.mark.parametrize("strategy", [SERVER_MERGE, NO_MERGE, NO_MERGE_NO_HISTORY, NO_MERGE_MULTI])
async def test_073_an_underscore_id_never_travels(scene, strategy):
    async with scene(strategy) as s:
        s.one.added("c", "1", {"_id": "2", "a": 1})
        s.one.changed("c", "1", {"_id": "3", "b": 1})
        s.one.changed("c", "1", {"_id": UNSET, "b": 2})
        await s.sends(added("c", "1", a=1), changed("c", "1", b=1), changed("c", "1", b=2))


NAMES = ["constructor", "__proto__", "length", "hasOwnProperty", "toString", "", "$date", "a.b"]


@pytest.mark.parametrize("name", NAMES)
async def test_074_any_name_will_do(scene, name):
    async with scene() as s:
        s.one.added(name, name, {name: 1, "x": 0})
        s.two.added(name, name, {name: 2})
        s.one.changed(name, name, {name: UNSET})
        await s.sends(
            added(name, name, **{name: 1, "x": 0}),
            {"msg": "changed", "collection": name, "id": name, "fields": (
                {"$escape": {name: 2}} if name == "$date" else {name: 2})},
        )  # fmt: skip


@pytest.mark.parametrize("name", [name for name in NAMES if name])
async def test_074_also_of_methods_and_publications(ddp, name):
    server = Server()
    server.method(name)(lambda ctx: name)
    server.publish(name)(lambda ctx: [])
    async with ddp.client(server) as client:
        assert (await client.result(name))["result"] == name
        assert len(await client.subscribed("s", name)) == 1


async def test_075_a_value_that_is_mutated_afterwards(scene):
    async with scene() as s:
        value = [{"a": 1}]
        fields = {"a": value}
        s.one.added("c", "1", fields)
        value[0]["a"] = 2
        value.append(3)
        fields["b"] = 1
        s.two.added("c", "1", {"a": [{"a": 1}]})
        await s.sends(added("c", "1", a=[{"a": 1}]))
        await s.stop(s.one)
        s.two.changed("c", "1", {"a": value})
        value.clear()
        await s.sends(changed("c", "1", a=[{"a": 2}, 3]))


async def test_076_a_nested_change_resends_the_whole_value(scene):
    async with scene() as s:
        s.one.added("c", "1", {"a": {"b": {"d": 1}, "e": 2}, "f": 3})
        s.one.changed("c", "1", {"a": {"b": {"d": 2}, "e": 2}})
        _, message = await s.client.rest()
        assert message == changed("c", "1", a={"b": {"d": 2}, "e": 2})


@pytest.mark.parametrize(
    ("value", "other"),
    [({"a": 1, "b": [2]}, {"b": [2], "a": 1}), (1, 1.0), (0, -0.0), (float("nan"), float("nan"))],
    ids=str,
)
async def test_077_equal_values_are_no_change(scene, value, other):
    async with scene() as s:
        s.one.added("c", "1", {"x": value, "y": 1})
        s.one.changed("c", "1", {"x": other})
        s.one.changed("c", "1", {"y": 2})
        assert len(await s.client.rest()) == 2


@pytest.mark.parametrize(
    ("value", "other"),
    [(1, True), (0, False), (1, "1"), (None, 0), ([1], {"0": 1}), ([], {})],
    ids=str,
)
async def test_077_values_of_other_types_are(scene, value, other):
    async with scene() as s:
        s.one.added("c", "1", {"x": value})
        s.one.changed("c", "1", {"x": other})
        _, message = await s.client.rest()
        assert message == changed("c", "1", x=other)


async def test_077_expressions_and_dates_are_compared(scene):
    values = [{"$regexp": "a", "$flags": ""}, {"$regexp": "b", "$flags": ""}, {"$date": 1}, {}]
    async with scene() as s:
        s.one.added("c", "1", {})
        for value in values * 2:
            s.one.changed("c", "1", {"x": decode(value)})
            s.one.changed("c", "1", {"x": decode(value)})
        await s.sends(added("c", "1"), *(changed("c", "1", x=value) for value in values * 2))


@pytest.mark.parametrize(
    ("id", "text"),
    [
        (ObjectID("0123456789abcdef01234567"), "0123456789abcdef01234567"),
        ("0123456789abcdef01234567", "-0123456789abcdef01234567"),
        ("-a", "--a"),
        ("~a", "-~a"),
        ("{a", "-{a"),
        (5, "~5"),
        ("5", "5"),
    ],
    ids=str,
)
async def test_078_ids_as_text(scene, id, text):
    async with scene() as s:
        s.one.added("c", id_stringify(id), {})
        await s.sends(added("c", text))


def test_079_upper_case_digits_are_no_object_id():
    assert id_stringify("0123456789ABCDEF01234567") == "0123456789ABCDEF01234567"


async def test_080_changing_what_was_never_added_is_the_servers_mistake():
    stage = Stage()
    async with MemoryDriver().client(stage.server) as client:
        sub = await stage.enter(client, "s")
        with pytest.raises(DDPError, match="Could not find element with id 1 to change"):
            sub.changed("c", "1", {"a": 1})
        with pytest.raises(DDPError, match="Removed nonexistent document 1"):
            sub.removed("c", "1")
        assert await client.rest() == []


@pytest.mark.parametrize("seed", range(3))
async def test_081_a_document_is_added_before_all_and_removed_after_all(scene, seed):
    chance = random.Random(seed)
    async with scene() as s:
        held = {s.one: set(), s.two: set()}
        for _ in range(300):
            sub, id = chance.choice((s.one, s.two)), chance.choice("123")
            value = chance.choice((1, 2, UNSET))
            if id not in held[sub]:
                sub.added("c", id, {chance.choice("ab"): value})
                held[sub].add(id)
            elif chance.random() < 0.7:
                sub.changed("c", id, {chance.choice("ab"): value})
            else:
                sub.removed("c", id)
                held[sub].remove(id)
        heard = await s.client.rest()  # the client has checked the order
        assert len(heard) > 50
        there = {each["id"]: each["msg"] != "removed" for each in heard}
        assert {id for id in there if there[id]} == held[s.one] | held[s.two]


async def test_082_no_merge_forwards_everything(scene):
    async with scene(NO_MERGE) as s:
        s.one.added("c", "1", {"a": 1})
        s.two.added("c", "1", {"a": 2})
        s.one.changed("c", "1", {"a": 1})
        await s.sends(added("c", "1", a=1), added("c", "1", a=2), changed("c", "1", a=1))
        await s.stop(s.one, removed("c", "1"))
        await s.stop(s.two, removed("c", "1"))


async def test_083_no_merge_no_history_removes_nothing(scene):
    async with scene(NO_MERGE_NO_HISTORY) as s:
        s.one.added("c", "1", {"a": 1})
        s.two.added("c", "1", {"a": 2})
        await s.sends(added("c", "1", a=1), added("c", "1", a=2))
        await s.stop(s.one)
        await s.stop(s.two)


async def test_084_no_merge_multi_knows_who_is_first_and_last(scene):
    async with scene(NO_MERGE_MULTI) as s:
        s.one.added("c", "1", {"a": 1, "b": 1})
        s.two.added("c", "1", {"a": 1, "d": 2})
        await s.sends(added("c", "1", a=1, b=1), changed("c", "1", a=1, d=2))
        await s.stop(s.one)
        await s.stop(s.two, removed("c", "1"))
