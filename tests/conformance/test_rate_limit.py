"""119-123: the rate limiter, with a clock that is moved by hand. See docs/reference/conformance.md."""

from __future__ import annotations

import pytest
from drivers import Stage, error

from ddpcore.testing import FakeClock


def too_many(milliseconds):
    return error(
        "too-many-requests",
        "Error, too many requests. Please slow down. You must wait "
        f"{-(-milliseconds // 1000)} seconds before trying again.",
        details={"timeToReset": milliseconds},
    )


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def server(clock):
    """Log-ins are limited from the start, to five in ten seconds on a connection."""
    server = Stage(clock=clock, heartbeat_interval=0).server
    server.method("login")(lambda ctx, *params: "in")
    server.method("other")(lambda ctx: None)
    return server


async def exhaust(client):
    for _ in range(5):
        assert (await client.result("login"))["result"] == "in"


async def test_119_the_sixth_login_is_refused(ddp, server, clock):
    async with ddp.client(server) as client:
        await exhaust(client)
        await clock.advance(2.5)
        await client.method("login")
        assert await client.answered() == [
            {"msg": "updated", "methods": ["m"]},
            {"msg": "result", "id": "m", "error": too_many(7_500)},
        ]
        assert (await client.result("other"))["result"] is None


async def test_120_another_connection_is_unaffected(ddp, server):
    async with ddp.place(server) as place:
        one, other = await place.client(), await place.client()
        await exhaust(one)
        await exhaust(other)
        assert await one.error("login") == too_many(10_000)


async def test_121_a_limited_subscription_gets_nosub(ddp, server):
    server.rate_limiter.add_rule({"type": "subscription", "name": "p"}, 1, 10)
    async with ddp.client(server) as client:
        await client.subscribed("s", "p")
        assert await client.refused("t", "p") == too_many(10_000)
        await client.say(msg="unsub", id="t")
        assert await client.hear() == {"msg": "nosub", "id": "t"}


async def test_122_what_does_not_run_does_not_count(ddp, server):
    server.rate_limiter.add_rule({"connection_id": lambda _: True}, 2, 10)
    async with ddp.client(server) as client:
        for _ in range(3):
            assert (await client.error("unknown"))["error"] == 404
            assert (await client.refused("s", "unknown"))["error"] == 404
        await client.subscribed("s", "p")
        await client.sub("s", "p")
        await client.sub("s", "p")
        await client.say(msg="method", id=5)
        assert [each["msg"] for each in await client.rest()] == ["error"]
        assert (await client.result("other"))["result"] is None
        assert await client.error("other") == too_many(10_000)


async def test_123_the_window_resets_as_a_whole(ddp, server, clock):
    async with ddp.client(server) as client:
        await exhaust(client)
        await clock.advance(9)
        assert await client.error("login") == too_many(1_000)
        await clock.advance(1)
        await exhaust(client)
        assert await client.error("login") == too_many(10_000)
