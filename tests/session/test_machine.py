"""The protocol machine of one session, driven by hand: no loop, no clock, no sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from machine_world import ID, World, connected

from ddpcore import DDPError, MeteorError
from ddpcore.session.machine import Invocation, State, Subscription


def error(reason: str, offending: Any = None) -> list[dict[str, Any]]:
    return [{"msg": "error", "reason": reason} | ({"offendingMessage": offending} if offending is not None else {})]  # fmt: skip


# --- connection and parsing ----------------------------------------------------------------------


def test_001_nothing_is_said_before_connect():
    assert World().said == []


@pytest.mark.parametrize("text", ["", "{", "no", '{"msg":', "5", '"text"', "null", "NaN", "[1] 2"])
def test_002_003_what_is_no_json_object_is_a_bad_request(text):
    assert connected().put_text(text) == error("Bad request")


@pytest.mark.parametrize("offending", [[], [1], {}, {"a": 1}, {"msg": ""}, {"msg": 0}])
def test_004_an_object_without_msg_comes_back(offending):
    assert World().put_text(json.dumps(offending)) == error("Bad request", offending)


@pytest.mark.parametrize("member", ["params", "fields", "result"])
def test_005_undecodable_ejson_is_a_parse_error(member):
    assert connected().put(msg="x", **{member: {"$type": "?", "$value": 1}}) == error("Parse error")


def test_006_cleared_that_is_no_list_is_a_parse_error():
    assert connected().put(msg="x", cleared={"a": 1}) == error("Parse error")


def test_006_cleared_vanishes_from_the_offending_message():
    said = connected().put(msg="x", fields={"a": 1, "b": 2}, cleared=["b", "c"])
    assert said == error("Bad request", {"msg": "x", "fields": {"a": 1}})


@pytest.mark.parametrize("kind", ["method", "sub", "unsub", "pong", "nonsense"])
def test_007_must_connect_first(kind):
    assert World().put(msg=kind) == error("Must connect first", {"msg": kind})


def test_008_a_ping_before_connect_gets_no_pong():
    assert World().put(msg="ping") == error("Must connect first", {"msg": "ping"})


def test_009_a_second_connect_is_refused_and_harmless():
    world = connected()
    again = {"msg": "connect", "version": "1", "support": ["1"]}
    assert world.put(**again) == error("Already connected", again)
    assert world.put(msg="ping") == [{"msg": "pong"}]


def test_010_an_unknown_message_waits_for_its_turn():
    world = connected()
    world.put(msg="method", id="1", method="work")
    assert world.put(msg="constructor") == []
    world.done(world.methods[0])
    assert world.said[-1:] == error("Bad request", {"msg": "constructor"})


def test_012_unknown_keys_are_ignored():
    world = connected()
    world.put(msg="method", id="1", method="work", what="ever", params=[])
    assert [each.name for each in world.methods] == ["work"]


@pytest.mark.parametrize(
    ("version", "support", "answer"),
    [
        pytest.param("1", ["1", "pre2", "pre1"], None, id="014"),
        pytest.param("pre2", ["1", "pre2"], "1", id="015"),
        pytest.param("pre2", ["pre2", "1"], None, id="016"),
        pytest.param("3", ["3", "pre2"], "pre2", id="017"),
        pytest.param("9", ["9"], "1", id="017-unknown"),
        pytest.param("1", ["3", "1"], None, id="unknown-first"),
        pytest.param(1, ["1"], "1", id="013-number"),
        pytest.param("1", "1", "1", id="013-no-list"),
        pytest.param("1", ["1", 2], "1", id="013-no-strings"),
        pytest.param("2", ["1"], "1", id="013-not-among-them"),
        pytest.param(None, None, "1", id="013-missing"),
        pytest.param({"a": 1}, [{"a": 1}], "1", id="013-objects"),
    ],
)
def test_013_to_017_negotiation(version, support, answer):
    world = World()
    said = world.put(msg="connect", version=version, support=support)
    if answer is None:
        assert said == [{"msg": "connected", "session": ID}]
        assert world.session.version == version
    else:
        assert said == [{"msg": "failed", "version": answer}]
        assert world.closed == (1000, "Normal closure")  # 023


def test_018_the_session_a_client_asks_for_is_never_echoed():
    world = World()
    said = world.put(msg="connect", session="old", version="1", support=["1"])
    assert said == [{"msg": "connected", "session": ID}]


def test_021_what_follows_a_refused_connect_has_no_effect():
    world = World()
    world.put(msg="connect", version="9", support=["9"])
    assert world.put(msg="method", id="1", method="work") == []
    assert world.put(msg="connect", version="1", support=["1"]) == []
    assert world.methods == []


def test_022_connected_comes_before_universal_publications():
    world = World()
    world.put(msg="connect", version="1", support=["1"])
    assert world.events == ["connected", "opened"]


def test_024_a_pre1_session_knows_no_pings():
    world = World(heartbeat_interval=1)
    world.put(msg="connect", version="pre1", support=["pre1"])
    assert world.put(msg="ping") == error("Bad request", {"msg": "ping"})
    assert world.put(msg="pong") == error("Bad request", {"msg": "pong"})
    assert world.session.deadline is None


# --- heartbeat -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ping", [{}, {"id": "x"}, {"id": ""}, {"id": None}, {"id": 0}, {"id": [1]}]
)
def test_025_a_pong_has_the_id_of_the_ping(ping):
    assert connected().put(msg="ping", **ping) == [{"msg": "pong", **ping}]


def test_026_pongs_pass_by_the_queue():
    world = connected()
    world.put(msg="method", id="1", method="work")
    assert world.put(msg="ping") == [{"msg": "pong"}]


def test_027_a_pong_says_nothing():
    assert connected().put(msg="pong", id="x") == []


def test_028_a_ping_has_no_id():
    world = connected(heartbeat_interval=10, heartbeat_timeout=5)
    world.session.tick(10)
    assert world.said == [{"msg": "ping"}]


def test_030_a_dead_client_is_left_and_its_subscriptions_end():
    world = connected(heartbeat_interval=10, heartbeat_timeout=5)
    world.put(msg="sub", id="a", name="books", now=9)
    world.session.tick(10)
    world.session.tick(20)
    assert world.session.deadline == 25
    world.session.tick(25)
    assert world.closed == (1000, "Normal closure")
    assert world.events == ["ping", "stopped"]


def test_033_a_socket_that_never_connects_is_dropped():
    world = World(connect_timeout=45)
    world.put(msg="ping", now=44)
    assert world.session.deadline == 45
    world.session.tick(45)
    assert world.closed is not None


# --- subscriptions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"id": "a"},
        {"name": "books"},
        {"id": 1, "name": "books"},
        {"id": "a", "name": ["books"]},
        {"id": "a", "name": "books", "params": None},  # 035
        {"id": "a", "name": "books", "params": {}},
    ],
)
def test_034_035_malformed_subscription(wrong):
    world = connected()
    assert world.put(msg="sub", **wrong) == error("Malformed subscription", {"msg": "sub", **wrong})


def test_036_an_unknown_publication():
    [said] = connected().put(msg="sub", id="a", name="__class__")
    assert said["msg"] == "nosub"
    assert said["id"] == "a"
    assert said["error"]["error"] == 404
    assert said["error"]["reason"] == "Subscription '__class__' not found"


def test_038_a_duplicate_id_is_ignored():
    world = connected()
    world.put(msg="sub", id="a", name="books")
    world.session.handler_settled(world.publications[0])
    assert world.put(msg="sub", id="a", name="pens") == []
    assert len(world.publications) == 1


def test_039_a_duplicate_id_with_an_unknown_name_is_told_so():
    world = connected()
    world.put(msg="sub", id="a", name="books")
    subscription = world.publications[0]
    world.session.handler_settled(subscription)
    assert world.put(msg="sub", id="a", name="x")[0]["error"]["error"] == 404
    world.publish(subscription, "1")
    assert world.store.docs("c") == {"1": {}}


def test_040_042_unsub_removes_then_runs_callbacks_then_says_nosub():
    world = connected()
    world.put(msg="sub", id="a", name="books")
    world.publish(world.publications[0], "1")
    world.session.handler_settled(world.publications[0])
    world.events.clear()
    assert world.put(msg="unsub", id="a")[-1] == {"msg": "nosub", "id": "a"}
    assert world.events == ["removed", "stopped", "nosub"]


def test_041_unsub_is_always_answered():
    world = connected()
    assert world.put(msg="unsub", id="a") == [{"msg": "nosub", "id": "a"}]
    assert world.put(msg="unsub") == [{"msg": "nosub"}]


def test_unsub_with_an_id_that_is_no_string_wedges_nothing():
    world = connected()
    assert world.put(msg="unsub", id=5)[0]["msg"] == "error"
    assert world.put(msg="unsub", id="a") == [{"msg": "nosub", "id": "a"}]


def test_a_subscription_with_an_empty_id_is_one_like_any_other():
    world = connected()
    world.put(msg="sub", id="", name="books")
    world.session.ready(world.publications[0])
    world.session.handler_settled(world.publications[0])
    assert world.said == [{"msg": "ready", "subs": [""]}]
    assert world.put(msg="unsub", id="") == [{"msg": "nosub", "id": ""}]


def test_047_ready_counts_once():
    world = connected()
    world.put(msg="sub", id="a", name="books")
    world.session.ready(world.publications[0])
    world.session.ready(world.publications[0])
    assert world.said == [{"msg": "ready", "subs": ["a"]}]


def test_048_after_the_stop_nothing_counts():
    world = connected()
    world.put(msg="sub", id="a", name="books")
    subscription = world.publications[0]
    world.session.stop(subscription, MeteorError(1))
    world.said.clear()
    world.session.ready(subscription)
    world.session.stop(subscription)
    world.publish(subscription, "1")
    world.session.changed(subscription, "c", "1", {})
    world.session.removed(subscription, "c", "1")
    assert world.said == []


def test_056_unsub_waits_for_the_handler():
    world = connected()
    world.put(msg="sub", id="a", name="books")
    assert world.put(msg="unsub", id="a") == []
    world.session.ready(world.publications[0])
    world.session.handler_settled(world.publications[0])
    assert [message["msg"] for message in world.said] == ["ready", "nosub"]


def test_059_a_lost_client_runs_all_callbacks_and_hears_nothing():
    world = connected()
    for id in "ab":
        world.put(msg="sub", id=id, name="books")
        world.publish(world.publications[-1], "1", a=id)
        world.session.unblock(world.publications[-1])
    world.events.clear()
    world.session.lost(0.0)
    world.session.lost(0.0)
    world.session.close()
    assert world.events == ["stopped", "stopped"]
    assert world.closed is None


def test_080_changes_of_what_was_never_added_are_the_publishers_mistake():
    world = connected()
    world.put(msg="sub", id="a", name="books")
    with pytest.raises(DDPError, match="Could not find element with id 1 to change"):
        world.session.changed(world.publications[0], "c", "1", {"a": 1})
    with pytest.raises(DDPError, match="Removed nonexistent document 1"):
        world.session.removed(world.publications[0], "c", "1")
    assert world.said == []


def test_adding_a_document_twice_keeps_the_fields_of_before():
    world = connected()
    world.put(msg="sub", id="a", name="books")
    world.publish(world.publications[0], "1", a=1, b=1)
    world.publish(world.publications[0], "1", b=2)
    assert world.store.docs("c") == {"1": {"a": 1, "b": 2}}


# --- methods -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"id": "1"},
        {"method": "work"},
        {"id": 1, "method": "work"},
        {"id": "1", "method": 1},
        {"id": "1", "method": "work", "params": None},
        {"id": "1", "method": "work", "params": {}},
        {"id": "1", "method": "work", "randomSeed": None},
        {"id": "1", "method": "work", "randomSeed": 1},
    ],
)
def test_097_malformed_method(wrong):
    world = connected()
    said = world.put(msg="method", **wrong)
    assert said == error("Malformed method invocation", {"msg": "method", **wrong})


def test_098_an_unknown_method_gets_result_then_updated():
    result, updated = connected().put(msg="method", id="1", method="__init__")
    assert result["error"]["reason"] == "Method '__init__' not found"
    assert result["error"]["error"] == 404
    assert updated == {"msg": "updated", "methods": ["1"]}


def test_102_methods_run_one_after_another():
    world = connected()
    for id in "123":
        world.put(msg="method", id=id, method="work")
    assert len(world.methods) == 1
    world.done(world.methods[0])
    assert [each.id for each in world.methods] == ["1", "2"]


def test_103_unblock_lets_later_messages_overtake():
    world = connected()
    for id in "12":
        world.put(msg="method", id=id, method="work")
    world.session.unblock(world.methods[0])
    world.done(world.methods[1])
    world.done(world.methods[0])
    results = [message["id"] for message in world.said if message["msg"] == "result"]
    assert results == ["2", "1"]


def test_updated_precedes_the_result_unless_data_is_outstanding():
    world = connected()
    world.put(msg="method", id="1", method="work")
    world.done(world.methods[0])
    world.put(msg="method", id="2", method="work")
    world.done(world.methods[1], outstanding=True)
    world.session.method_updated(world.methods[1])
    assert [m["msg"] for m in world.said] == ["updated", "result", "result", "updated"]


def test_100_000_methods_that_complete_at_once_take_no_stack():
    world = connected()
    world.put(msg="method", id="0", method="work")
    text = json.dumps({"msg": "method", "id": "1", "method": "work"})
    for _ in range(100_000):
        world.session.receive(text, 0.0)
    world.on_method = world.done
    world.done(world.methods[0])
    assert len(world.methods) == 100_001


# --- another user --------------------------------------------------------------------------------


def test_087_093_a_rerun_opens_every_subscription_again():
    world = connected()
    world.put(msg="sub", id="a", name="books", params=[1])
    world.session.ready(world.publications[0])
    world.session.handler_settled(world.publications[0])
    universal = world.session.start_universal("handler")
    again = world.session.begin_rerun("me")
    assert [(each.id, each.name, each.params, each.handler) for each in again] == [
        ("a", "books", [1], None),
        (None, None, [], "handler"),
    ]
    assert not universal.active
    for each in again:
        world.session.ready(each)
    world.session.finish_rerun()
    assert world.said == [{"msg": "ready", "subs": ["a"]}] * 2


def test_089_090_a_rerun_with_the_same_documents_says_ready_alone():
    world = connected()
    for id in "ab":
        world.put(msg="sub", id=id, name="books")
        world.publish(world.publications[-1], id, a=1)
        world.session.handler_settled(world.publications[-1])
    world.said.clear()
    for each in world.session.begin_rerun("me"):
        world.publish(each, str(each.id), a=1)
        world.session.ready(each)
    world.session.finish_rerun()
    assert world.said == [{"msg": "ready", "subs": ["a", "b"]}]


def test_091_an_error_in_a_rerun_comes_before_the_difference():
    world = connected()
    world.put(msg="sub", id="a", name="books")
    world.publish(world.publications[0], "1")
    world.said.clear()
    [again] = world.session.begin_rerun("me")
    world.publish(again, "1")
    world.session.stop(again, MeteorError(403))
    world.session.finish_rerun()
    assert [message["msg"] for message in world.said] == ["nosub", "removed"]


# --- callbacks that do what they like ------------------------------------------------------------


def two_subscriptions() -> World:
    world = connected()
    for id in "ab":
        world.put(msg="sub", id=id, name="books")
        world.session.unblock(world.publications[-1])
    return world


def test_a_stop_callback_may_close_the_connection():
    world = two_subscriptions()
    world.on_stopped = lambda _: world.session.close()
    world.put(msg="unsub", id="a")
    assert world.closed is not None
    assert "nosub" not in world.events
    assert world.events.count("stopped") == 2


def test_a_stop_callback_of_a_rerun_may_close_the_connection():
    world = two_subscriptions()
    world.on_stopped = lambda _: world.session.close()
    assert world.session.begin_rerun("me") == []
    world.session.finish_rerun()
    assert world.events.count("stopped") == 2
    assert world.session.subscriptions == {}


def test_a_stop_callback_of_a_rerun_may_stop_another_subscription():
    world = two_subscriptions()
    other = world.publications[1]
    world.on_stopped = lambda _: world.session.stop(other)
    assert [each.id for each in world.session.begin_rerun("me")] == ["a"]
    world.session.finish_rerun()
    assert world.said == [{"msg": "nosub", "id": "b"}]
    assert world.events.count("stopped") == 2


def test_a_stop_callback_may_let_the_same_id_in_again():
    world = connected()
    world.put(msg="method", id="1", method="work")
    world.session.unblock(world.methods[0])
    world.put(msg="sub", id="a", name="books")
    first = world.publications[0]
    world.put(msg="sub", id="a", name="pens")  # waits
    world.on_stopped = lambda _: world.session.unblock(first)
    world.session.stop(first)
    assert world.session.subscriptions["a"].name == "pens"


def test_a_document_of_three_subscriptions_goes_with_the_last():
    world = connected()
    for id in "abc":
        world.put(msg="sub", id=id, name="books")
        world.publish(world.publications[-1], "1", **{id: 1})
        world.session.handler_settled(world.publications[-1])
    for subscription in world.publications:
        world.session.stop(subscription)
    assert world.store.docs("c") == {}
    told = [(m["msg"], m.get("cleared")) for m in world.said if m["msg"] != "nosub"]
    assert told == [
        ("added", None),
        ("changed", None),
        ("changed", None),
        ("changed", ["a"]),
        ("changed", ["b"]),
        ("removed", None),
    ]


def test_a_universal_subscription_ends_without_nosub():
    world = connected()
    universal = world.session.start_universal("handler")
    world.publish(universal, "1", a=1)
    world.session.stop(universal)
    assert world.session.universal == []
    assert [message["msg"] for message in world.said] == ["added", "removed"]


# --- anything at all -----------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
keys = st.sampled_from(
    [
        *("msg", "id", "name", "method", "params", "fields", "cleared", "result"),
        *("version", "support", "session", "randomSeed"),
        *("$date", "$binary", "$escape", "$type", "$value", "$InfNaN", "$regexp", "$flags"),
    ]
)
kinds = st.sampled_from(["connect", "method", "sub", "unsub", "ping", "pong", "books", "1"])
json_values = st.recursive(
    scalars | kinds,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
wild = st.dictionaries(keys, json_values, max_size=5) | json_values
tame = st.builds(lambda kind, rest: rest | {"msg": kind}, kinds, st.dictionaries(keys, json_values))


@given(st.lists(st.builds(json.dumps, wild | tame) | st.text(max_size=9) | st.binary(max_size=9)))
@settings(max_examples=150, deadline=None)
def test_011_no_text_breaks_a_connected_session(texts):
    world = connected()
    for text in texts:
        world.session.receive(text, 0.0)
        while world.session._blocker is not None:
            world.session.unblock(world.session._blocker)
    assert world.session.state is State.CONNECTED
    assert world.closed is None


# --- interleavings -------------------------------------------------------------------------------


class Interleavings(RuleBasedStateMachine):
    """Messages, completions, clock and close in any order; the promises hold all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.world = connected(heartbeat_interval=10, heartbeat_timeout=10)
        self.session = self.world.session
        self.now = 0.0
        self.asked: list[str] = []  # ids of the methods, in order
        self.running: list[Invocation] = []
        self.writing: list[Invocation] = []
        self.written: list[Invocation] = []  # during a rerun: what they wrote comes with its end
        self.seen = 0
        self.subs: dict[int, str] = {}  # id(subscription) → how it ended
        self.settled: list[Subscription] = []
        self.rerunning: list[Subscription] | None = None

    def collect(self) -> None:
        new = self.world.methods[self.seen :]
        self.running += new
        self.seen += len(new)

    connected = precondition(lambda self: self.world.closed is None)
    busy = precondition(lambda self: self.running)

    @rule(name=st.sampled_from(["work", "more"]))
    @connected
    def method(self, name):
        self.asked.append(str(len(self.asked)))
        self.world.put(self.now, msg="method", id=self.asked[-1], method=name)

    @rule(id=st.sampled_from("abc"))
    @connected
    def sub(self, id):
        self.world.put(self.now, msg="sub", id=id, name="books")

    @rule(id=st.sampled_from("abc"))
    @connected
    def unsub(self, id):
        self.world.put(self.now, msg="unsub", id=id)

    @rule()
    @connected
    def ping(self):
        assert self.world.put(self.now, msg="ping", id="p") == [{"msg": "pong", "id": "p"}]

    @rule(data=st.data(), outstanding=st.booleans())
    @busy
    def finish_method(self, data, outstanding):
        invocation = data.draw(st.sampled_from(self.running))
        self.running.remove(invocation)
        self.world.done(invocation, outstanding=outstanding)
        if outstanding:
            self.writing.append(invocation)

    @rule(data=st.data())
    @precondition(lambda self: self.writing)
    def finish_writing(self, data):
        invocation = data.draw(st.sampled_from(self.writing))
        self.writing.remove(invocation)
        if self.rerunning is not None:
            self.written.append(invocation)
        self.session.method_updated(invocation)

    @rule(data=st.data())
    @busy
    def unblock(self, data):
        self.session.unblock(data.draw(st.sampled_from(self.running)))

    @rule(data=st.data(), id=st.sampled_from("12"), value=st.integers(0, 2))
    @precondition(lambda self: self.world.publications)
    def publish(self, data, id, value):
        self.world.publish(data.draw(st.sampled_from(self.world.publications)), id, a=value)

    @rule(data=st.data(), how=st.sampled_from(["ready", "stop", "error"]))
    @precondition(lambda self: self.world.publications)
    def settle(self, data, how):
        subscription = data.draw(st.sampled_from(self.world.publications))
        if how == "ready":
            self.session.ready(subscription)
        else:
            self.session.stop(subscription, MeteorError(500) if how == "error" else None)
        self.session.handler_settled(subscription)
        self.settled.append(subscription)

    @rule()
    @precondition(lambda self: self.rerunning is None)
    def begin_rerun(self):
        self.rerunning = self.session.begin_rerun("me")

    @rule(publishing=st.booleans())
    @precondition(lambda self: self.rerunning is not None)
    def finish_rerun(self, publishing):
        for subscription in self.rerunning:
            if publishing:
                self.world.publish(subscription, "1", a=5)
            self.session.ready(subscription)
            self.settled.append(subscription)
        self.written.clear()
        self.session.finish_rerun()
        self.rerunning = None

    @rule(pause=st.floats(1, 9))
    def tick(self, pause):
        self.now += pause
        self.session.tick(self.now)

    @rule(how=st.sampled_from(["close", "lost"]))
    @precondition(lambda self: len(self.asked) > 8)
    def end(self, how):
        if how == "lost":
            self.session.lost(self.now)
        else:
            self.session.close()
        self.world.closed = self.world.closed or (0, "lost")  # from now on nothing may be sent

    @invariant()
    def methods_start_in_order(self):
        self.collect()
        started = [each.id for each in self.world.methods]
        assert started == self.asked[: len(started)]

    @invariant()
    def one_method_at_a_time_holds_the_queue(self):
        self.collect()
        assert sum(not each.unblocked for each in self.running) <= 1

    @invariant()
    def each_method_is_answered_once(self):
        self.collect()
        results = [m["id"] for m in self.world.said if m["msg"] == "result"]
        updated = [m["methods"][0] for m in self.world.said if m["msg"] == "updated"]
        assert len(set(results)) == len(results)
        assert len(set(updated)) == len(updated)
        if self.world.closed is None:
            over = {each.id for each in self.world.methods} - {each.id for each in self.running}
            assert set(results) == over
            assert set(updated) == over - {each.id for each in self.writing + self.written}

    @invariant()
    def what_settled_is_ready_or_over(self):
        for subscription in self.settled:
            assert subscription.ready or not subscription.active

    @invariant()
    def the_client_has_what_is_published(self):
        if self.world.closed is None and self.rerunning is None:
            ids = {
                id
                for subscription in self.session.subscriptions.values()
                for id in subscription.part.documents.get("c", ())
            }
            assert set(self.world.store.docs("c")) == ids

    @invariant()
    def nothing_is_stuck(self):
        if self.world.closed is None and self.session._blocker is None:
            assert not self.session._queue


Interleavings.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestInterleavings = Interleavings.TestCase
