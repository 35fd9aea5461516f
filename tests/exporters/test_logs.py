"""Logs for machines, and what is not in them."""

from __future__ import annotations

import datetime as dt
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_client import client_of

from ddpcore import MeteorError, Server
from ddpcore.exporters.logs import REDACTED, EventLog, JsonFormatter, redacted
from ddpcore.wire import ejson


def test_a_record_is_one_line_of_json():
    record = logging.makeLogRecord(
        {"name": "shop", "levelname": "ERROR", "msg": "two\nlines of %s", "args": ("ä",)}
    )
    record.created, record.msecs, record.order = 1_700_000_000.25, 250.0, {1, 2}
    try:
        raise KeyError("x")
    except KeyError:
        import sys

        record.exc_info = sys.exc_info()
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert line.pop("exception").endswith("KeyError: 'x'")
    assert line == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "ERROR",
        "logger": "shop",
        "message": "two\nlines of ä",
        "order": "{1, 2}",
    }


async def test_what_clients_do(caplog, expect_log):
    expect_log("ddpcore.events", "method ended: .* call=find user=me .* error=403")
    expect_log("ddpcore.events", "subscription ended: .* call=find user=me .* error=403")
    caplog.set_level(logging.INFO, "ddpcore.events")
    server = Server(plugins=[EventLog(show_params=["find"])])

    @server.method
    async def login(ctx, options):
        await ctx.set_user_id("me")

    @server.method
    @server.publish("find")
    def find(ctx, words):
        raise MeteorError(403, "No")

    async with client_of(server) as client:
        await client.outcome("login", {"password": "s3cret"})
        await client.outcome("find", {"word": "tea", "token": "s3cret"})
        await client.nosub(client.sub("find", {"word": "tea"}))
        server.publish("good")(lambda ctx: [])
        await client.ready(client.sub("good"))
        session = client.messages[0]["session"]
    lines = [json.loads(JsonFormatter().format(each)) for each in caplog.records]
    told = [
        (line["event"], line.get("call"), line.get("user"), line.get("error")) for line in lines
    ]
    assert told == [
        ("session opened", None, None, None),
        ("user changed", None, "me", None),
        ("method ended", "login", "me", None),
        ("method ended", "find", "me", "403"),
        ("subscription ended", "find", "me", "403"),
        ("subscription ready", "good", "me", None),
        ("subscription ended", "good", "me", None),
        ("session closed", None, None, None),
    ]
    assert {line["connection"] for line in lines} == {session[:8]}
    assert [line["level"] for line in lines if line.get("error")] == ["WARNING", "WARNING"]
    assert lines[3]["params"] == [{"word": "tea", "token": REDACTED}]
    assert "s3cret" not in caplog.text


def test_what_is_shown_of_arguments():
    assert redacted({"user": {"email": "a@b"}, "password": {"digest": "x"}, "author": "ann"}) == {
        "user": {"email": "a@b"},
        "password": REDACTED,
        "author": "ann",
    }
    assert redacted(["x" * 201, 1, None, True, b"\0", object()]) == [
        "x" * 200 + "… (201 characters)", 1, None, True, {"$binary": "AA=="}, "<object>",
    ]  # fmt: skip
    moment = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    assert redacted(moment) == {"$date": 1577836800000}


secret = st.text("0123456789abcdef", min_size=20, max_size=20)


@given(
    secret,
    st.sampled_from(["password", "newPassword", "resumeToken", "authKey", "cardNumber", "PIN"]),
    st.lists(st.sampled_from(["list", "dict"]), max_size=4),
)
def test_no_secret_by_its_name_is_shown(value, key, path):
    held = {key: value}
    for step in path:
        held = [held] if step == "list" else {"inner": held}
    assert value not in json.dumps(redacted(held))


class Login:
    """A type of a project's own."""

    def __init__(self, password):
        self.password = password


def test_neither_is_one_within_a_type_of_somebodys_own():
    ejson.add_type(
        "logs.Login", Login, lambda it: {"password": it.password}, lambda it: Login(**it)
    )
    assert "s3cret" not in json.dumps(redacted([Login("s3cret")]))


def test_what_is_shown_is_json_and_short():
    json.dumps(redacted([float("nan"), float("inf")]), allow_nan=False)
    assert len(json.dumps(redacted(b"x" * 10_000))) < 400


@pytest.mark.parametrize("key", ["pwd", "userPwd", "credentials", "cvc", "sessionId", "jwt"])
def test_secrets_have_many_names(key):
    assert redacted({key: "s3cret"}) == {key: REDACTED}


def test_a_line_tells_its_own_time_and_takes_any_keys():
    record = logging.makeLogRecord({"msg": "x", "levelname": "INFO", "level": "high"})
    record.rows = {(1, 2): 3, "a": 1}
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["rows"]) == ("INFO", {"a": 1})
