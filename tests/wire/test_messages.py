"""What messages and frames do beyond what the tests of sessions see of them."""

from __future__ import annotations

import threading

import pytest

from ddpcore import UNSET, MeteorError
from ddpcore.wire import ejson, messages
from ddpcore.wire.ejson import MAX_DEPTH
from ddpcore.wire.frame import Frame


def test_what_is_too_deep_is_told_so():
    with pytest.raises(messages.Malformed) as caught:
        messages.parse("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    assert b"Bad request: Nested deeper than 128 levels" in caught.value.frame.data


def test_an_escape_counts_as_deep_as_what_it_holds():
    def nested(levels):
        value = {"$escape": {}}
        for _ in range(levels):
            value = [value]
        return value

    ejson.decode(nested(MAX_DEPTH - 2))
    with pytest.raises(ejson.TooDeep):
        ejson.decode(nested(MAX_DEPTH - 1))


def test_a_frame_is_wrapped_once_for_each_framing():
    calls = []

    def brackets(data):
        calls.append(data)
        return b"[" + data + b"]"

    def braces(data):
        return b"{" + data + b"}"

    frame = Frame(b"1")
    assert [frame.wrapped(brackets), frame.wrapped(brackets)] == [b"[1]", b"[1]"]
    assert [frame.wrapped(braces), frame.wrapped(braces)] == [b"{1}", b"{1}"]
    assert frame.wrapped(bytes) == b"1"
    assert calls == [b"1"]


def test_a_frame_may_be_wrapped_in_two_threads():
    """A ping is one frame for all servers of a process, and each may have a loop of its own."""
    meanwhile = []

    def brackets(data):
        if not meanwhile:
            meanwhile.append(b"")
            thread = threading.Thread(target=lambda: meanwhile.append(frame.wrapped(brackets)))
            thread.start()
            thread.join()
        return b"[" + data + b"]"

    frame = Frame(b"1")
    assert [frame.wrapped(brackets), meanwhile[1]] == [b"[1]", b"[1]"]


def test_frames_and_unset_show_what_they_are():
    assert repr(messages.PING) == 'Frame({"msg":"ping"})'
    assert repr(UNSET) == "UNSET"
    assert not UNSET


def test_an_error_carries_what_it_was_given_and_a_message():
    assert str(MeteorError(404)) == "[404]"
    assert str(MeteorError("gone", "It is gone")) == "It is gone [gone]"
    assert MeteorError(404).as_dict() == {
        "isClientSafe": True,
        "error": 404,
        "message": "[404]",
        "errorType": "Meteor.Error",
    }
    assert MeteorError(403, "No", {"a": 1}).as_dict() == {
        "isClientSafe": True,
        "error": 403,
        "reason": "No",
        "details": {"a": 1},
        "message": "No [403]",
        "errorType": "Meteor.Error",
    }
