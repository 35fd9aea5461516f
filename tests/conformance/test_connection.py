"""1-24 and 148: connecting, versions, and what is no message. See docs/reference/conformance.md."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from drivers import SocketDriver, Stage, added, changed

from ddpcore import Server
from ddpcore.testing import FakeClock


def wrong(reason, offending):
    return {"msg": "error", "reason": reason, "offendingMessage": offending}


BAD_REQUEST = {"msg": "error", "reason": "Bad request"}
PARSE_ERROR = {"msg": "error", "reason": "Parse error"}
CONNECT = {"msg": "connect", "version": "1", "support": ["1"]}


async def before_and_after(ddp, text):
    """What is answered to a text before and after `connect`; then all must go on."""
    async with ddp.stranger(Server()) as client:
        await client.text(text)
        before = await client.hear()
        assert (await client.connect())["msg"] == "connected"
        await client.text(text)
        after = await client.rest()
        assert after == [before]
        return before


# --- what is no message --------------------------------------------------------------------------


async def test_001_nothing_is_sent_before_connect(ddp):
    async with ddp.stranger(Server()) as client:
        await client.say(msg="ping")
        assert (await client.hear())["reason"] == "Must connect first"


@pytest.mark.parametrize(
    "text", ["{", "hello", '{"msg":"ping"', "'ping'", '{"msg":"ping"}}', "NaN"]
)
async def test_002_no_json_is_a_bad_request(ddp, text):
    assert await before_and_after(ddp, text) == BAD_REQUEST


@pytest.mark.parametrize("text", ["5", '"ping"', "null", "true", "-1.5e3"])
async def test_003_json_that_is_a_scalar_is_a_bad_request(ddp, text):
    assert await before_and_after(ddp, text) == BAD_REQUEST


@pytest.mark.parametrize(
    "offending", [[], [{"msg": "ping"}], {}, {"a": 1}, {"msg": ""}, {"msg": 0}, {"msg": None}]
)
async def test_004_json_without_msg_is_a_bad_request_and_comes_back(ddp, offending):
    assert await before_and_after(ddp, json.dumps(offending)) == wrong("Bad request", offending)


@pytest.mark.parametrize("member", ["params", "fields", "result"])
@pytest.mark.parametrize("value", [{"$type": "unknown", "$value": 1}, {"$binary": 5}])
async def test_005_undecodable_ejson_is_a_parse_error(ddp, member, value):
    text = json.dumps({"msg": "method", "id": "1", "method": "m", member: [value]})
    assert await before_and_after(ddp, text) == PARSE_ERROR


@pytest.mark.parametrize("cleared", ["a", {"a": 1}, 5, None])
async def test_006_cleared_must_be_a_list(ddp, cleared):
    text = json.dumps({"msg": "changed", "id": "1", "cleared": cleared})
    assert await before_and_after(ddp, text) == PARSE_ERROR


@pytest.mark.parametrize("kind", ["method", "sub", "unsub", "pong", "nonsense"])
async def test_007_must_connect_first(ddp, kind):
    message = {"msg": kind, "id": "1"}
    async with ddp.stranger(Server()) as client:
        await client.say(**message)
        assert await client.hear() == wrong("Must connect first", message)
        assert (await client.connect())["msg"] == "connected"


async def test_008_a_ping_before_connect_gets_no_pong(ddp):
    async with ddp.stranger(Server()) as client:
        await client.say(msg="ping", id="1")
        assert await client.hear() == wrong("Must connect first", {"msg": "ping", "id": "1"})
        await client.say(**CONNECT)
        assert (await client.hear())["msg"] == "connected"


async def test_009_a_second_connect_is_refused_and_the_session_goes_on(ddp):
    stage = Stage()
    async with ddp.client(stage.server) as client:
        sub = await stage.enter(client, "s")
        await client.say(**CONNECT)
        assert await client.hear() == wrong("Already connected", CONNECT)
        sub.added("c", "1", {})
        assert await client.rest() == [added("c", "1")]


@pytest.mark.parametrize(
    "kind", ["nonsense", "connected", "result", "constructor", "__proto__", 5, ["ping"], {"a": 1}]
)
async def test_010_an_unknown_message_is_a_bad_request_in_its_turn(ddp, kind):
    server, gate = Server(), asyncio.Event()

    @server.method
    async def wait(ctx):
        await gate.wait()

    message = {"msg": kind, "id": "1"}
    async with ddp.client(server) as client:
        await client.method("wait")
        await client.say(**message)
        assert await client.pinged() == []
        gate.set()
        heard = await client.rest()
        assert [each["msg"] for each in heard] == ["updated", "result", "error"]
        assert heard[-1] == wrong("Bad request", message)


async def test_010_after_a_return_an_unknown_message_is_still_one(ddp):
    server, gate = Server(), asyncio.Event()

    @server.method
    async def wait(ctx):
        await gate.wait()

    async with ddp.place(server) as place:
        client = await place.client()
        await client.method("wait")
        await client.leave()
        returned = await place.stranger()
        await returned.connect(session=client.session, receivedCount=1)
        assert returned.session == client.session
        await returned.say(msg=["method"], id="m")
        gate.set()
        heard = await returned.rest()
        assert [each["msg"] for each in heard] == ["updated", "result", "error"]


async def test_011_none_of_these_closes_the_socket(ddp):
    texts = ["{", "5", "[]", '{"msg":"x","params":[{"$type":"x","$value":1}]}', '{"msg":"x"}']
    texts += ['{"msg":"x","cleared":1}', json.dumps(CONNECT), '{"msg":"sub"}', '{"msg":"method"}']
    async with ddp.stranger(Server()) as client:
        await client.text("{")
        assert await client.hear() == BAD_REQUEST
        await client.connect()
        for text in texts:
            await client.text(text)
        heard = await client.rest()
        assert [each["msg"] for each in heard] == ["error"] * len(texts)
        assert await client.pinged() == []


async def test_012_unknown_keys_are_ignored(ddp):
    stage = Stage()
    stage.server.method("echo")(lambda ctx, value: value)
    async with ddp.stranger(stage.server) as client:
        await client.say(**CONNECT, colour="blue")
        assert (await client.hear())["msg"] == "connected"
        await client.say(msg="ping", colour="blue")
        assert await client.hear() == {"msg": "pong"}
        await client.say(msg="method", id="1", method="echo", params=[5], colour={"$date": 1})
        assert (await client.answered("1"))[1]["result"] == 5
        await client.say(msg="sub", id="s", name="p", params=[], colour=["blue"])
        assert await client.hear() == {"msg": "ready", "subs": ["s"]}
        await client.say(msg="unsub", id="s", colour=None)
        assert await client.hear() == {"msg": "nosub", "id": "s"}


# --- versions ------------------------------------------------------------------------------------


async def negotiated(ddp, **offer):
    async with ddp.stranger(Server()) as client:
        await client.say(msg="connect", **offer)
        answer = await client.hear()
        if answer["msg"] == "failed":
            closed = await client.closed()
            assert (closed.code, closed.reason) == (1000, "Normal closure")
        else:
            assert await client.pinged() == []
        return answer


@pytest.mark.parametrize(
    "offer",
    [
        {},
        {"version": "1"},
        {"support": ["1"]},
        {"version": 1, "support": [1]},
        {"version": None, "support": ["1"]},
        {"version": "1", "support": "1"},
        {"version": "1", "support": {"0": "1"}},
        {"version": "1", "support": ["1", 2]},
        {"version": "1", "support": []},
        {"version": "1", "support": ["pre2", "pre1"]},
    ],
    ids=str,
)
async def test_013_an_offer_that_makes_no_sense_fails(ddp, offer):
    assert await negotiated(ddp, **offer) == {"msg": "failed", "version": "1"}


async def test_014_a_session_has_an_id_of_17_letters(ddp):
    answer = await negotiated(ddp, version="1", support=["1", "pre2", "pre1"])
    session = answer.pop("session")
    assert answer == {"msg": "connected"}
    assert re.fullmatch("[23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz]{17}", session)


async def test_015_the_best_version_of_both_is_asked_for(ddp):
    answer = await negotiated(ddp, version="pre2", support=["1", "pre2"])
    assert answer == {"msg": "failed", "version": "1"}


async def test_016_the_clients_order_counts(ddp):
    assert (await negotiated(ddp, version="pre2", support=["pre2", "1"]))["msg"] == "connected"
    assert (await negotiated(ddp, version="1", support=["3", "1"]))["msg"] == "connected"


@pytest.mark.parametrize(
    ("version", "support", "answer"), [("3", ["3", "pre2"], "pre2"), ("9", ["9"], "1")]
)
async def test_017_an_unknown_version_fails(ddp, version, support, answer):
    failed = await negotiated(ddp, version=version, support=support)
    assert failed == {"msg": "failed", "version": answer}


async def test_018_an_old_session_is_not_echoed(ddp):
    async with ddp.place(Server()) as place:
        one = await place.client()
        for session in ("abcdefghijkmnopqr", one.session, 5, None):
            client = await place.stranger()
            await client.say(**CONNECT, session=session)
            connected = await client.hear()
            assert connected["msg"] == "connected"
            assert connected["session"] not in (session, one.session)


async def test_018_unless_the_client_can_go_on_with_it(ddp):
    async with ddp.place(Server()) as place:
        one = await place.client()
        await one.leave()
        two = await place.stranger()
        await two.connect(session=one.session, receivedCount=1)
        assert two.session == one.session
        assert await two.rest() == []


async def test_019_no_two_connections_share_a_session(ddp):
    async with ddp.place(Server()) as place:
        assert len({(await place.client()).session for _ in range(20)}) == 20


async def test_020_what_follows_connect_at_once_is_answered_in_order(ddp):
    stage = Stage()
    stage.server.method("echo")(lambda ctx, value: value)
    async with ddp.stranger(stage.server) as client:
        await client.say(**CONNECT)
        await client.method("echo", 1, id="1")
        await client.sub("s", "p")
        await client.method("echo", 2, id="2")
        heard = [await client.hear(), *await client.rest()]
        assert [each["msg"] for each in heard] == [
            "connected", "updated", "result", "ready", "updated", "result"
        ]  # fmt: skip
        assert [each["result"] for each in heard if each["msg"] == "result"] == [1, 2]


async def test_021_what_follows_a_refused_connect_has_no_effect(ddp):
    server, calls = Server(), []

    @server.method
    async def work(ctx):
        calls.append(1)

    async with ddp.place(server) as place:
        client = await place.stranger()
        await client.say(msg="connect", version="9", support=["9"])
        await client.method("work")
        await client.say(**CONNECT)
        await client.method("work")
        assert (await client.hear())["msg"] == "failed"
        assert (await client.closed()).code == 1000
        other = await place.client()
        assert await other.rest() == []
        assert calls == []


async def test_022_connected_comes_before_any_data(ddp):
    server = Server()

    @server.publish(None)
    async def everyone(ctx):
        ctx.added("c", "1", {})

    async with ddp.stranger(server) as client:
        await client.say(**CONNECT)
        assert (await client.hear())["msg"] == "connected"
        assert await client.hear() == added("c", "1")


async def test_023_a_refused_connection_is_closed_normally(ddp):
    async with ddp.stranger(Server()) as client:
        await client.say(msg="connect", version="9", support=["9"])
        assert (await client.hear())["msg"] == "failed"
        assert (await client.closed()).args == (1000, "Normal closure")


async def test_024_a_pre1_session_knows_no_pings(ddp):
    clock = FakeClock()
    stage = Stage(clock=clock)
    async with ddp.client(stage.server, "pre1") as client:
        sub = await stage.enter(client, "s")
        for kind in ("ping", "pong"):
            await client.say(msg=kind, id="1")
            assert await client.hear() == wrong("Bad request", {"msg": kind, "id": "1"})
        await clock.advance(1_000)
        sub.added("c", "1", {"a": 1})
        sub.changed("c", "1", {"a": 2})
        assert await client.rest() == [added("c", "1", a=1), changed("c", "1", a=2)]


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/websocket", "/websocket/", "/sockjs/websocket"])
async def test_148_one_message_in_each_text_frame(path):
    async with SocketDriver("raw", path).stranger(Server()) as client:
        await client.say(**CONNECT)
        for id in ("1", "2"):
            await client.say(msg="ping", id=id)
        texts = [await client.receive() for _ in range(3)]
        assert [json.loads(each)["msg"] for each in texts] == ["connected", "pong", "pong"]
