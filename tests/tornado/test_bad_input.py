"""Whatever a client sends: an answer, a connection that lives on, and others that notice nothing."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
from ddp_client import connect
from served import answers, connected, hear, make_server, raw, say, served


@asynccontextmanager
async def victim():
    """A connection to be mistreated; afterwards it and another one must be as good as new."""
    server = make_server()
    async with served(server) as address, connected(address) as socket, connect(address) as other:
        await other.sub("things", 1)
        yield socket
        assert await answers(socket)
        assert await other.call("echo", "still here") == ["still here"]
        assert other.docs("things") == {"t0": {"value": 1}}
        assert len(server.sessions) == 2


def error(reason, **offending):
    return {"msg": "error", "reason": reason, **offending}


NO_MESSAGES = {
    "not JSON": "not JSON",
    "nothing": "",
    "half": '{"msg":"ping"',
    "two": '{"msg":"ping"}{"msg":"ping"}',
    "zero bytes": "\0\0\0",
    "byte order mark": '\ufeff{"msg":"ping"}',
    "number": "5",
    "string": '"ping"',
    "null": "null",
    "NaN": '{"msg":"method","id":"1","method":"echo","params":[NaN]}',
    "binary": b"\xff\xfe\xfd",
    "binary surrogate": b'{"msg":"\xed\xa0\x80"}',
    "single quotes": "{'msg':'ping'}",
    "control character": '{"msg":"pi\nng"}',
}


@pytest.mark.parametrize("sent", NO_MESSAGES.values(), ids=NO_MESSAGES)
async def test_what_is_no_message_is_a_bad_request(sent):
    async with victim() as socket:
        await socket.send(sent)
        assert await hear(socket) == error("Bad request")


@pytest.mark.parametrize(
    "sent", [[], [1], ["ping"], {}, {"msg": ""}, {"msg": 0}, {"msg": None}, {"id": "1"}], ids=str
)
async def test_messages_of_no_kind(sent):
    async with victim() as socket:
        await socket.send(json.dumps(sent))
        assert await hear(socket) == error("Bad request", offendingMessage=sent)


@pytest.mark.parametrize(
    "kind",
    ["nonsense", "constructor", "__proto__", "connected", 5, True, ["ping"], {"a": 1}],
    ids=str,
)
async def test_unknown_kinds(kind):
    async with victim() as socket:
        await say(socket, msg=kind)
        assert await hear(socket) == error("Bad request", offendingMessage={"msg": kind})


WRONG = [None, 5, 1.5, True, [], ["1"], {}, {"a": 1}]
NO_STRING = WRONG
NO_LIST = [None, 5, True, "1", {}, {"a": [1]}]

MALFORMED = [
    *({"msg": "method", "id": each, "method": "echo"} for each in NO_STRING),
    *({"msg": "method", "id": "1", "method": each} for each in NO_STRING),
    *({"msg": "method", "id": "1", "method": "echo", "params": each} for each in NO_LIST),
    *({"msg": "method", "id": "1", "method": "echo", "randomSeed": each} for each in NO_STRING),
    {"msg": "method", "method": "echo"},
    {"msg": "method", "id": "1"},
    *({"msg": "sub", "id": each, "name": "things"} for each in NO_STRING),
    *({"msg": "sub", "id": "1", "name": each} for each in NO_STRING),
    *({"msg": "sub", "id": "1", "name": "things", "params": each} for each in NO_LIST),
    {"msg": "sub", "name": "things"},
    {"msg": "sub", "id": "1"},
    *({"msg": "unsub", "id": each} for each in NO_STRING),
]
REASONS = {
    "method": "Malformed method invocation",
    "sub": "Malformed subscription",
    "unsub": "Malformed unsubscription",
}


async def test_members_of_wrong_types():
    async with victim() as socket:
        for sent in MALFORMED:
            await say(socket, **sent)
            assert await hear(socket) == error(REASONS[sent["msg"]], offendingMessage=sent)


async def test_a_second_connect():
    async with victim() as socket:
        for sent in (
            {"msg": "connect", "version": "1", "support": ["1"]},
            {"msg": "connect", "version": {}, "support": 5},
        ):
            await say(socket, **sent)
            assert await hear(socket) == error("Already connected", offendingMessage=sent)


@pytest.mark.parametrize("strange", WRONG, ids=str)
async def test_a_ping_with_a_strange_id(strange):
    async with victim() as socket:
        await say(socket, msg="ping", id=strange)
        assert await hear(socket) == {"msg": "pong", "id": strange}


@pytest.mark.parametrize("message", [{"id": 5}, {"id": None}, {"fields": 7}, {}], ids=str)
async def test_a_pong_of_any_kind_is_no_answer(message):
    async with victim() as socket:
        await say(socket, msg="pong", **message)


@pytest.mark.parametrize(
    "message",
    [
        {"msg": "method", "id": "1", "method": "echo", "params": [{"$date": "now"}]},
        {"msg": "method", "id": "1", "method": "echo", "params": [{"$binary": 5}]},
        {"msg": "method", "id": "1", "method": "echo", "params": [{"$type": "x", "$value": 1}]},
        {"msg": "sub", "id": "1", "name": "things", "params": [{"$type": "x", "$value": 1}]},
        {"msg": "ping", "cleared": "a"},
        {"msg": "ping", "cleared": ["a"], "fields": 5},
        {"msg": "ping", "cleared": [["a"]]},
        {"msg": "ping", "cleared": [{}]},
    ],
    ids=str,
)
async def test_json_that_is_no_ejson_is_a_parse_error(message):
    async with victim() as socket:
        await say(socket, **message)
        assert await hear(socket) == error("Parse error")


@pytest.mark.parametrize("name", ["nonsense", "constructor", "", "\0", "\ud800", "x" * 100_000])
async def test_unknown_methods_and_publications(name):
    async with victim() as socket:
        await say(socket, msg="method", id="1", method=name)
        result, updated = await hear(socket), await hear(socket)
        assert result["error"]["error"] == 404
        assert result["error"]["reason"] == f"Method '{name}' not found"
        assert updated == {"msg": "updated", "methods": ["1"]}
        await say(socket, msg="sub", id="1", name=name)
        nosub = await hear(socket)
        assert nosub["error"]["error"] == 404
        assert nosub["error"]["reason"] == f"Subscription '{name}' not found"
        await say(socket, msg="unsub", id=name)
        assert await hear(socket) == {"msg": "nosub", "id": name}


@pytest.mark.parametrize("depth", [1_000, 100_000])
@pytest.mark.parametrize("brackets", ["[]", ('{"a":', "}")], ids=["lists", "objects"])
async def test_deep_messages(depth, brackets):
    opening, closing = brackets
    params = opening * depth + "1" * (opening != "[") + closing * depth
    async with victim() as socket:
        await socket.send(f'{{"msg":"method","id":"1","method":"echo","params":[{params}]}}')
        answer = await hear(socket)
        assert answer == error(answer["reason"])
        assert answer["reason"].startswith("Bad request")


async def echoed(socket, params):
    """What a method and a publication make of params, given and returned as JSON text."""
    await socket.send(f'{{"msg":"method","id":"1","method":"echo","params":[{params}]}}')
    assert await hear(socket) == {"msg": "updated", "methods": ["1"]}
    result = await socket.recv()
    await socket.send(f'{{"msg":"sub","id":"1","name":"things","params":[{params}]}}')
    added = await socket.recv()
    assert await hear(socket) == {"msg": "ready", "subs": ["1"]}
    prefixes = (
        '{"msg":"result","id":"1","result":[',
        '{"msg":"added","collection":"things","id":"t0","fields":{"value":',
    )
    assert result.startswith(prefixes[0])
    assert added.startswith(prefixes[1])
    value = result.removeprefix(prefixes[0]).removesuffix("]}")
    assert added.removeprefix(prefixes[1]).removesuffix("}}") == value
    return value


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ('"\\ud800"', '"\\ud800"'),
        ('"\\udc00\\ud800"', '"\\udc00\\ud800"'),
        ('"\\u0000"', '"\\u0000"'),
        ('"\\u2028</script>"', None),
        ("1e400", '{"$InfNaN":1}'),
        ("-1e400", '{"$InfNaN":-1}'),
        ("9" * 5_000, '{"$InfNaN":1}'),
        ("9" * 600, "9" * 600),
        ("12345678901234567890", "12345678901234567890"),
        ("1e-400", None),
        ("-0.0", None),
        ('{"\\ud800":{"":[[],{}]}}', '{"\\ud800":{"":[[],{}]}}'),
        ('{"__proto__":1,"constructor":2,"length":-1}', None),
        ('{"a":1,"a":2}', '{"a":2}'),
        ('{"$date":1,"x":2}', None),
        ('{"$escape":{"$date":1}}', None),
        ('"' + "é" * 300_000 + '"', None),
        ("[" * 100 + "]" * 100, "[" * 100 + "]" * 100),
    ],
    ids=lambda text: None if text is None else text[:20],
)
async def test_strange_values_come_back(sent, expected):
    async with victim() as socket:
        value = await echoed(socket, sent)
        if expected is not None:
            assert value == expected
        elif "$" not in sent:
            assert json.loads(value) == json.loads(sent)


async def test_before_connect():
    async with served() as address, connected(address) as other:
        async with raw(address) as socket:
            for kind in ("ping", "pong", "method", "sub", "unsub", "nonsense"):
                sent = {"msg": kind, "id": "1"}
                await say(socket, **sent)
                assert await hear(socket) == error("Must connect first", offendingMessage=sent)
            await socket.send("[" * 100_000)
            assert (await hear(socket))["msg"] == "error"
        assert await answers(other)


async def test_everything_at_once():
    async with victim() as socket:
        for _ in range(20):
            for sent in NO_MESSAGES.values():
                await socket.send(sent)
            for sent in MALFORMED:
                await say(socket, **sent)
        for _ in range(20 * (len(NO_MESSAGES) + len(MALFORMED))):
            assert (await hear(socket))["msg"] == "error"
