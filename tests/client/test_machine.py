"""The client's machine, message by message: no loop, no clock, no sockets."""

from __future__ import annotations

import json

import pytest

from ddpcore.client import Change, Machine
from ddpcore.errors import MeteorError
from ddpcore.wire.unset import UNSET


class World:
    """Carries out what a machine wants, by writing it down."""

    def __init__(self, **options):
        self.said = []
        self.events = []
        self.closed = None
        self.machine = Machine(self, **options)

    def send(self, text):
        self.said.append(json.loads(text))

    def close(self, reason, *, at_once=False):
        self.closed = (reason, at_once)
        self.machine.lost()

    def connected(self, resumed):
        self.events.append(("connected", resumed))

    def refused(self, reason):
        self.events.append(("refused", reason))

    def done(self, call):
        self.events.append(("done", call.name, call.error or call.result))

    def ready(self, sub):
        self.events.append(("ready", sub.name))

    def stopped(self, sub):
        self.events.append(("stopped", sub.name, sub.error and sub.error.error))

    def changed(self, change):
        self.events.append((change.kind, change.id, dict(change.fields), change.cleared))

    def logged_out(self, error):
        self.events.append(("logged out", error.error))

    # Shorthands

    def hear(self, msg, **members):
        """The server says something; what happens by it."""
        self.events.clear()
        self.machine.receive(json.dumps({"msg": msg, **members}), 0.0)
        return self.events[:]

    def open(self, session="one"):
        """Connect; what is said after the greeting."""
        self.machine.opened(0.0)
        mark = len(self.said)
        self.hear("connected", session=session)
        return self.said[mark:]

    def answer(self, call, **result):
        self.hear("result", id=call.id, **result)
        return self.hear("updated", methods=[call.id])


@pytest.fixture
def world():
    world = World()
    world.open()
    world.said.clear()
    return world


# --- greeting ----------------------------------------------------------------------------------


def test_the_first_greeting_names_no_session():
    world = World()
    world.machine.call("early")
    world.machine.subscribe("early")
    world.machine.opened(0.0)
    greeting = {"msg": "connect", "version": "1", "support": ["1", "pre2", "pre1"]}
    assert world.said == [greeting]  # nothing else before it is answered
    assert world.hear("connected", session="one") == [("connected", False)]
    assert [each["msg"] for each in world.said[1:]] == ["method", "sub"]


def test_a_later_greeting_tells_what_came(world):
    world.hear("added", collection="c", id="1")
    world.hear("ping")
    world.hear("pong")
    world.hear("unheard of")
    world.machine.receive('{"server_id":"0"}', 0.0)
    world.machine.lost()
    world.said.clear()
    world.machine.opened(0.0)
    assert list(world.said[0]) == ["msg", "session", "receivedCount", "version", "support"]
    assert (world.said[0]["session"], world.said[0]["receivedCount"]) == ("one", 3)
    # The same session goes on counting, another begins anew.
    world.hear("connected", session="one")
    world.machine.lost()
    world.machine.opened(0.0)
    assert world.said[-1]["receivedCount"] == 4
    world.hear("connected", session="two")
    world.machine.lost()
    world.machine.opened(0.0)
    assert world.said[-1]["receivedCount"] == 1


def test_another_version_is_tried_at_once():
    world = World()
    world.machine.opened(0.0)
    world.hear("failed", version="pre2")
    assert world.closed is not None
    assert world.closed[1] is True
    world.machine.opened(0.0)
    assert world.said[-1]["version"] == "pre2"


@pytest.mark.parametrize("version", ["2", "1", None, ["1"]])
def test_a_server_of_another_kind_is_left(version):
    world = World()
    call = world.machine.call("echo")
    world.machine.opened(0.0)
    events = world.hear("failed", version=version)
    assert [event[0] for event in events] == ["done", "refused"]
    assert isinstance(call.error, ConnectionError)


def test_a_server_that_does_not_greet_is_left():
    world = World(connect_timeout=10)
    world.machine.opened(5.0)
    assert world.machine.deadline == 15.0
    world.machine.tick(14.9)
    assert world.closed is None
    world.machine.tick(15.0)
    assert world.closed is not None


# --- heartbeats --------------------------------------------------------------------------------


def test_pings_are_answered_with_their_ids(world):
    for id in ({}, {"id": "x"}, {"id": ""}, {"id": None}):
        world.hear("ping", **id)
        assert world.said.pop() == {"msg": "pong", **id}


def test_a_silent_server_is_pinged_and_then_left():
    world = World(heartbeat_interval=10, heartbeat_timeout=5)
    world.open()
    world.machine.tick(10.0)  # `connected` came within it... not counted: a new heartbeat
    assert world.said[-1] == {"msg": "ping"}
    world.machine.receive('{"msg":"pong"}', 12.0)
    world.machine.tick(20.0)
    assert world.closed is None
    world.machine.tick(30.0)
    assert world.said[-1] == {"msg": "ping"}
    world.machine.tick(35.0)
    assert world.closed is not None


def test_the_first_version_has_no_pings():
    world = World(heartbeat_interval=10)
    world.machine.opened(0.0)
    world.hear("failed", version="pre1")
    world.open()
    assert world.machine.deadline is None


# --- methods -----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["result", "updated"])
def test_a_call_is_over_with_result_and_updated(world, first):
    call = world.machine.call("add", [1, b"x"], random_seed="seed")
    assert world.said == [
        {"msg": "method", "id": call.id, "method": "add", "params": [1, {"$binary": "eA=="}],
         "randomSeed": "seed"}
    ]  # fmt: skip
    messages = {
        "result": {"id": call.id, "result": {"$date": 0}},
        "updated": {"methods": [call.id]},
    }
    assert world.hear(first, **messages.pop(first)) == []
    ((kind, members),) = messages.items()
    ((done, name, result),) = world.hear(kind, **members)
    assert (done, name, result.timestamp()) == ("done", "add", 0)
    # Once more, by a server that has run it twice.
    assert world.hear("result", id=call.id) == []
    assert world.hear("updated", methods=[call.id]) == []


def test_no_result_is_none(world):
    world.answer(world.machine.call("void"))
    assert world.events == [("done", "void", UNSET)]


def test_an_error_is_what_the_server_says(world):
    call = world.machine.call("fail")
    world.answer(call, error={"error": 403, "reason": "no", "details": [1]}, result=1)
    error = call.error
    assert isinstance(error, MeteorError)
    assert (error.error, error.reason, error.details) == (403, "no", [1])


def test_a_result_that_cannot_be_read_is_an_error(world):
    call = world.machine.call("odd")
    world.answer(call, result={"$binary": "=x"})
    assert isinstance(call.error, ValueError)


def test_a_call_is_sent_again_until_it_is_answered(world):
    call = world.machine.call("work")
    world.machine.lost()
    assert [each["id"] for each in world.open("one")] == [call.id]
    world.machine.lost()
    assert [each["id"] for each in world.open("two")] == [call.id]
    world.hear("result", id=call.id, result=1)
    world.machine.lost()
    assert world.open("two") == []  # the same session still owes `updated`
    world.machine.lost()
    assert world.open("three") == []
    # That session will never say `updated`: with its documents it is over.
    assert ("done", "work", 1) in world.events


def test_an_updated_of_a_session_that_is_no_more_does_not_count(world):
    call = world.machine.call("work")
    world.hear("updated", methods=[call.id])
    world.machine.lost()
    world.open("two")
    assert world.hear("result", id=call.id, result=1) == []
    assert world.hear("updated", methods=[call.id]) == [("done", "work", 1)]


def test_a_call_not_to_be_repeated_fails_when_it_is_lost(world):
    down = World()
    unsent = down.machine.call("later", retry=False)
    assert [each["id"] for each in down.open()] == [unsent.id]

    call = world.machine.call("once", retry=False)
    world.events.clear()
    world.machine.lost()
    ((_, _, error),) = world.events
    assert error.error == "invocation-failed"
    assert world.open("one") == []
    assert call.answered


def test_a_call_nobody_waits_for_is_not_sent_again(world):
    sent = world.machine.call("work")
    world.machine.forget(sent)
    world.machine.lost()
    unsent = world.machine.call("more")
    world.machine.forget(unsent)
    assert world.open("two") == []


# --- subscriptions -----------------------------------------------------------------------------


def test_a_subscription_gets_ready_and_ends(world):
    sub = world.machine.subscribe("books", ["x"])
    assert world.said == [{"msg": "sub", "id": sub.id, "name": "books", "params": ["x"]}]
    assert world.hear("ready", subs=["unknown", sub.id]) == [("ready", "books")]
    assert world.hear("ready", subs=[sub.id]) == []  # after a log-in
    world.machine.unsubscribe(sub)
    world.machine.unsubscribe(sub)
    assert world.said[1:] == [{"msg": "unsub", "id": sub.id}]
    assert world.hear("nosub", id=sub.id) == [("stopped", "books", None)]
    assert world.hear("nosub", id=sub.id) == []


def test_a_subscription_that_is_refused(world):
    sub = world.machine.subscribe("secrets")
    assert world.hear("nosub", id=sub.id, error={"error": 403}) == [("stopped", "secrets", 403)]
    world.machine.lost()
    assert world.open("two") == []


def test_one_that_was_never_sent_ends_at_once():
    world = World()
    world.machine.unsubscribe(world.machine.subscribe("books"))
    assert world.events == [("stopped", "books", None)]
    assert world.open() == []


def test_unsub_is_said_again_to_the_session_that_may_not_know(world):
    sub = world.machine.subscribe("books")
    world.hear("ready", subs=[sub.id])
    world.machine.lost()
    world.machine.unsubscribe(sub)
    assert not sub.stopped
    assert world.open("one") == [{"msg": "unsub", "id": sub.id}]
    world.machine.lost()
    # Another session never had it.
    assert world.open("two") == []
    assert ("stopped", "books", None) in world.events


# --- documents ---------------------------------------------------------------------------------


def test_documents_are_merged_by_field(world):
    assert world.hear("added", collection="c", id="1", fields={"a": 1, "b": {"$date": 0}})
    before = world.machine.documents.of("c")["1"]
    assert world.hear("changed", collection="c", id="1", fields={"a": 2}, cleared=["b"]) == [
        ("changed", "1", {"a": 2}, ("b",))
    ]
    assert world.machine.documents.of("c") == {"1": {"a": 2}}
    assert before.keys() == {"a", "b"}  # whoever holds it keeps it
    assert world.hear("removed", collection="c", id="1") == [("removed", "1", {}, ())]


def test_what_a_server_does_not_merge_is_tolerated(world):
    world.hear("changed", collection="c", id="1", fields={"a": 1})
    assert world.hear("added", collection="c", id="1", fields={"a": 1, "b": 2}) == [
        ("changed", "1", {"b": 2}, ())
    ]
    assert world.hear("added", collection="c", id="1", fields={"a": 1}) == []
    assert world.hear("removed", collection="c", id="2") == []


def test_a_change_is_the_message_it_came_by():
    change = Change("changed", "c", "1", {"a": b""}, ("b",))
    assert change.as_message() == {
        "msg": "changed", "collection": "c", "id": "1",
        "fields": {"a": {"$binary": ""}}, "cleared": ["b"],
    }  # fmt: skip


# --- another session ---------------------------------------------------------------------------


def test_documents_stay_until_all_is_answered_then_the_difference_is_told(world):
    one, two = world.machine.subscribe("one"), world.machine.subscribe("two")
    pending = world.machine.subscribe("pending")
    for id in "abc":
        world.hear("added", collection="c", id=id, fields={"n": 1})
    world.hear("ready", subs=[one.id, two.id])
    call = world.machine.call("work")
    world.machine.lost()
    again = world.open("two")
    assert [each["id"] for each in again] == [call.id, one.id, two.id, pending.id]

    assert world.hear("added", collection="c", id="a", fields={"n": 1}) == []
    assert world.hear("added", collection="c", id="b", fields={"n": 2, "m": 1}) == []
    assert world.hear("ready", subs=[one.id]) == []
    assert world.hear("nosub", id=two.id, error={"error": 403}) == []
    assert world.hear("added", collection="c", id="d", fields={}) == []
    assert world.hear("result", id=call.id, result=1) == []
    assert world.machine.documents.of("c").keys() == {"a", "b", "c"}
    # The last thing awaited. The subscription that never was ready is not.
    assert world.hear("updated", methods=[call.id]) == [
        ("removed", "c", {}, ()),
        ("changed", "b", {"n": 2, "m": 1}, ()),
        ("added", "d", {}, ()),
        ("stopped", "two", 403),
        ("done", "work", 1),
    ]
    assert world.hear("added", collection="c", id="e") == [("added", "e", {}, ())]


def test_without_anything_awaited_the_old_documents_go_at_once(world):
    world.hear("added", collection="c", id="a")
    world.machine.lost()
    world.open("two")
    assert world.events == [("connected", False), ("removed", "a", {}, ())]


def test_a_second_loss_while_waiting(world):
    sub = world.machine.subscribe("one")
    world.hear("added", collection="c", id="a", fields={"n": 1})
    world.hear("ready", subs=[sub.id])
    world.machine.lost()
    world.open("two")
    world.hear("added", collection="c", id="b", fields={"n": 1})
    world.machine.lost()
    assert world.machine.documents.of("c").keys() == {"a"}
    world.open("three")
    assert world.hear("ready", subs=[sub.id]) == [("removed", "a", {}, ())]


def test_a_resumed_session_goes_on_waiting(world):
    sub = world.machine.subscribe("one")
    world.hear("added", collection="c", id="a", fields={"n": 1})
    world.hear("ready", subs=[sub.id])
    world.machine.lost()
    world.open("two")
    world.hear("added", collection="c", id="b", fields={"n": 1})
    world.machine.lost()
    # Its `sub` may have been lost in flight.
    assert [each["msg"] for each in world.open("two")] == ["sub"]
    assert [event[:2] for event in world.hear("ready", subs=[sub.id])] == [
        ("removed", "a"),
        ("added", "b"),
    ]


def test_a_call_that_failed_by_the_loss_is_not_waited_for(world):
    world.hear("added", collection="c", id="a")
    world.machine.lost()
    world.machine.call("once", retry=False)
    world.open("two")
    assert world.machine.reviving
    world.machine.lost()
    world.open("two")
    assert world.machine.documents.of("c") == {}


def test_a_resumed_session_is_told_only_what_it_may_not_know(world):
    ready, pending = world.machine.subscribe("ready"), world.machine.subscribe("pending")
    world.hear("added", collection="c", id="a")
    world.hear("ready", subs=[ready.id])
    world.machine.lost()
    assert [each["id"] for each in world.open("one")] == [pending.id]
    assert world.machine.documents.of("c").keys() == {"a"}


# --- log-in ------------------------------------------------------------------------------------


def logged_in(world):
    call = world.machine.call("login", [{}], login=True)
    world.answer(call, result={"id": "u", "token": "t"})
    assert (world.machine.user_id, world.machine.token) == ("u", "t")


def test_who_is_logged_in_comes_back_so_before_anything_else(world):
    logged_in(world)
    sub = world.machine.subscribe("mine")
    world.hear("ready", subs=[sub.id])
    call = world.machine.call("work")
    world.machine.lost()
    resume, *others = world.open("two")
    assert (resume["method"], resume["params"]) == ("login", [{"resume": "t"}])
    assert [each["id"] for each in others] == [call.id, sub.id]
    # Half way it is lost again: the next attempt has a log-in of its own, and only one.
    world.machine.lost()
    assert [each["msg"] for each in world.open("three")] == ["method", "method", "sub"]
    # A session that goes on knows its user.
    world.machine.lost()
    assert [each.get("method") for each in world.open("three")] == ["login", "work", None]


def test_a_session_that_goes_on_needs_no_log_in(world):
    logged_in(world)
    world.machine.lost()
    assert world.open("one") == []


@pytest.mark.parametrize(("code", "token"), [(403, None), ("too-many-requests", "t")])
def test_a_token_that_is_no_good_any_more(world, code, token):
    logged_in(world)
    world.machine.lost()
    (resume,) = world.open("two")
    assert world.hear("result", id=resume["id"], error={"error": code})[0] == ("logged out", code)
    assert (world.machine.user_id, world.machine.token) == (None, token)


def test_a_refused_log_in_changes_nothing(world):
    logged_in(world)
    call = world.machine.call("login", [{}], login=True)
    world.answer(call, error={"error": 403})
    assert (world.machine.user_id, world.machine.token) == ("u", "t")


# --- leaving, and nonsense ---------------------------------------------------------------------


def test_leaving_says_so_and_fails_what_is_open(world):
    call, sub = world.machine.call("work"), world.machine.subscribe("books")
    world.machine.leave()
    assert world.said[-1] == {"msg": "disconnect"}
    assert isinstance(call.error, ConnectionError)
    assert sub.stopped
    assert world.hear("added", collection="c", id="1") == []


NONSENSE = [
    '{"msg":"added"}', '{"msg":"added","collection":1,"id":"1"}',
    '{"msg":"added","collection":"c","id":7}', '{"msg":"added","collection":"c","id":"1","fields":[]}',
    '{"msg":"changed","collection":"c","id":"1","cleared":"x"}',
    '{"msg":"added","collection":"c","id":"1","fields":{"a":{"$binary":"=x"}}}',
    '{"msg":"ready"}', '{"msg":"ready","subs":"1"}', '{"msg":"updated","methods":[{}]}',
    '{"msg":"result"}', '{"msg":"result","id":{}}', '{"msg":"nosub","id":[]}', '{"msg":[]}', "{", "[" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_told_to_the_log_and_passed_by(world, text, expect_log):
    expect_log("ddpcore.client", "no message of DDP", required=False)
    world.machine.receive(text, 0.0)
    assert world.hear("added", collection="c", id="1") == [("added", "1", {}, ())]


def test_complaints_are_logged(world, expect_log):
    expect_log("ddpcore.client", "complains: Bad request")
    world.hear("error", reason="Bad request")


@pytest.mark.parametrize("text", ["[]", "7", "null", '{"msg":""}', "{}"])
def test_what_has_no_msg_is_passed_by(world, text):
    world.machine.receive(text, 0.0)
    assert world.machine.received == 1
