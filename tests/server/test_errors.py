"""What clients learn of errors, and what they do not."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from memory_client import client_of

from ddpcore import MeteorError, Server


async def error_of(problem, via):
    server = Server()

    @server.method
    def work(ctx):
        raise problem

    @server.publish("raised")
    def raised(ctx):
        raise problem

    @server.publish("told")
    def told(ctx):
        ctx.error(problem)

    async with client_of(server) as client:
        if via == "method":
            return (await client.outcome("work"))["error"]
        return (await client.nosub(client.sub(via)))["error"]


everywhere = pytest.mark.parametrize("via", ["method", "raised", "told"])
INTERNAL = {
    "isClientSafe": True,
    "error": 500,
    "reason": "Internal server error",
    "message": "Internal server error [500]",
    "errorType": "Meteor.Error",
}


@everywhere
async def test_109_an_error_for_the_client_arrives_whole(via):
    assert await error_of(MeteorError("no-pens", "No pens", {"left": [0]}), via) == {
        "isClientSafe": True,
        "error": "no-pens",
        "reason": "No pens",
        "details": {"left": [0]},
        "message": "No pens [no-pens]",
        "errorType": "Meteor.Error",
    }


@everywhere
async def test_109_an_error_without_a_reason(via):
    error = await error_of(MeteorError(403), via)
    assert error["message"] == "[403]"
    assert "reason" not in error
    assert "details" not in error


@everywhere
async def test_110_an_internal_error_leaks_nothing(via, expect_log):
    expect_log("ddpcore.server", "Exception in ")
    assert await error_of(KeyError("secret"), via) == INTERNAL


async def test_110_an_exception_may_say_what_to_show_in_its_place():
    class Refused(Exception):
        sanitized_error = MeteorError(403, "Refused")

    assert (await error_of(Refused("secret"), "method"))["reason"] == "Refused"


async def test_112_details_are_plain_json():
    details = [datetime(2020, 1, 2, tzinfo=UTC), b"\x07", float("nan")]
    error = await error_of(MeteorError(1, details=details), "method")
    assert error["details"] == ["2020-01-02T00:00:00.000Z", {"0": 7}, None]


class Endless(MeteorError):
    def as_dict(self):
        raise RuntimeError("no")


looped: list[object] = []
looped.append(looped)


@everywhere
@pytest.mark.parametrize(
    "problem",
    [
        MeteorError(1, details=Decimal(1)),
        MeteorError(1, details={1: 2}),
        MeteorError(1, details=looped),
        MeteorError(1, details=10**5000),
        MeteorError(object()),
        Endless(1),
    ],
    ids=["decimal", "keys", "loop", "huge", "code", "broken"],
)
async def test_an_error_that_cannot_travel_is_an_internal_one(via, problem, expect_log):
    expect_log("ddpcore.server", "cannot travel")
    assert await error_of(problem, via) == INTERNAL


async def test_a_huge_error_travels():
    error = await error_of(MeteorError(1, "x" * 10**6), "method")
    assert len(error["reason"]) == 10**6
