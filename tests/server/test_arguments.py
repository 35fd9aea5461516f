"""Typed arguments: what the annotations of a handler let through, and as what."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, Optional, TypedDict
from uuid import UUID

import pytest
from memory_client import Client, running

from ddpcore import DDPError, Server, ejson
from ddpcore.server.arguments import Arguments, Mismatch

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SOME_ID = UUID(int=7)


@dataclass
class Point:
    x: int
    y: int = 0


class Options(TypedDict):
    name: str
    sizes: list[int]


def bind(annotation: Any, value: Any) -> Any:
    def handler(ctx, value): ...

    handler.__annotations__["value"] = annotation
    [bound] = Arguments("handler", handler).bind([value])
    return bound


@pytest.mark.parametrize(
    ("annotation", "value", "bound"),
    [
        (str, "a", "a"),
        (str, "\ud800", "\ud800"),
        (int, 2**70, 2**70),
        (float, 1, 1.0),
        (bool, True, True),
        (None, None, None),
        (Any, {"$date": {}}, {"$date": {}}),
        (list[int], [1, 2], [1, 2]),
        (list, [1, "a", None], [1, "a", None]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Optional[int], None, None),  # noqa: UP045
        (str | None, "a", "a"),
        (Literal["asc", "desc"], "asc", "asc"),
        (Literal[1, 2], 2, 2),
        (datetime, NOW, NOW),
        (bytes, b"a", b"a"),
        (ejson.ObjectID, ejson.ObjectID("0" * 24), ejson.ObjectID("0" * 24)),
        (date, "2026-11-20", date(2026, 11, 20)),
        (UUID, str(SOME_ID), SOME_ID),
        (Decimal, "1.10", Decimal("1.10")),
        (Point, {"x": 1}, Point(1, 0)),
        (list[Point], [{"x": 1, "y": 2}], [Point(1, 2)]),
        (Options, {"name": "a", "sizes": [1]}, {"name": "a", "sizes": [1]}),
    ],
)
def test_what_fits_is_let_through(annotation, value, bound):
    result = bind(annotation, value)
    assert result == bound
    assert type(result) is type(bound)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (str, {"$ne": ""}),
        (str, 1),
        (str, None),
        (int, True),
        (int, 1.5),
        (int, "1"),
        (float, "1"),
        (float, True),
        (bool, 1),
        (None, 0),
        (list[int], [1, "a"]),
        (list[str], "abc"),
        (dict[str, int], {"a": "b"}),
        (Optional[int], "a"),  # noqa: UP045
        (Literal["asc", "desc"], "up"),
        (datetime, "2026-11-20T00:00:00Z"),
        (datetime, 0),
        (bytes, "YQ=="),
        (ejson.ObjectID, "0" * 24),
        (UUID, "nonsense"),
        (Point, {"y": 1}),
        (Point, {"x": "1"}),
        (Options, {"name": "a"}),
    ],
)
def test_what_does_not_fit_is_refused(annotation, value):
    with pytest.raises(Mismatch):
        bind(annotation, value)


def test_how_many():
    def handler(ctx, a: int, b: str | None = None, *rest: float): ...

    arguments = Arguments("handler", handler)
    assert arguments.bind([1]) == [1]  # the default is the function's own
    assert arguments.bind([1, None]) == [1, None]
    assert arguments.bind([1, "b", 2, 3.5]) == [1, "b", 2.0, 3.5]
    for wrong in ([], ["a"], [1, 2], [1, "b", "c"]):
        with pytest.raises(Mismatch):
            arguments.bind(wrong)
    with pytest.raises(Mismatch):
        Arguments("none", lambda ctx: None).bind([1])
    assert Arguments("any", lambda *everything: None).bind([1, "a"]) == [1, "a"]


def unknown_name(ctx, a: Nowhere): ...  # noqa: F821


def two_lists(ctx, a: list[int] | set[int]): ...


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda: None, "the first one is the context"),
        (lambda *, a: None, "the first one is the context"),
        (lambda ctx, *, a: None, "can never be given"),
        (unknown_name, "'Nowhere' is not defined"),
        (two_lists, "more than one array-like"),
    ],
)
def test_what_cannot_be_enforced_is_refused_at_the_registration(function, text):
    with pytest.raises(DDPError, match=text):
        Server().method("m")(function)


async def test_046_111_only_the_log_says_why(caplog):
    server, ran = Server(), []

    @server.method
    def m(ctx, secret: int):
        ran.append(secret)

    @server.publish("p")
    def p(ctx, secret: int):
        ran.append(secret)

    caplog.set_level(logging.INFO, "ddpcore")
    async with running(server):
        client = Client(server)
        client.connect()
        error = (await client.outcome("m", "text"))["error"]
        assert (error["error"], error["reason"], error.get("details")) == (
            400,
            "Match failed",
            None,
        )
        error = (await client.nosub(client.sub("p", "text")))["error"]
        assert (error["error"], error["reason"], error.get("details")) == (
            400,
            "Match failed",
            None,
        )
    assert ran == []
    assert caplog.text.count("Expected `int`, got `str`") == 2


def test_keyword_arguments_are_none_of_the_clients():
    def handler(ctx, a: int, **more): ...

    assert Arguments("handler", handler).bind([1]) == [1]
    with pytest.raises(Mismatch):
        Arguments("handler", handler).bind([1, 2])
