"""25-33: pings, pongs and silence. The clock is moved by hand. See docs/reference/conformance.md."""

from __future__ import annotations

import asyncio

import pytest
from drivers import Stage

from ddpcore import Server
from ddpcore.testing import FakeClock

PING = {"msg": "ping"}


@pytest.fixture
def clock():
    return FakeClock()


@pytest.mark.parametrize("more", [{}, {"id": "x"}, {"id": ""}, {"id": None}, {"id": 0}], ids=str)
async def test_025_a_pong_has_the_id_of_its_ping(ddp, more):
    async with ddp.client(Server()) as client:
        await client.say(msg="ping", **more)
        assert await client.hear() == {"msg": "pong", **more}


async def test_025_an_id_that_is_no_string_is_echoed_as_well(ddp):
    async with ddp.client(Server()) as client:
        await client.say(msg="ping", id=[5])
        assert await client.hear() == {"msg": "pong", "id": [5]}


async def test_026_a_pong_does_not_wait_for_methods(ddp):
    server, gate = Server(), asyncio.Event()

    @server.method
    async def wait(ctx):
        await gate.wait()

    async with ddp.client(server) as client:
        await client.method("wait")
        await client.say(msg="ping", id="1")
        assert await client.hear() == {"msg": "pong", "id": "1"}
        gate.set()
        await client.answered()


async def test_027_a_pong_says_nothing(ddp):
    async with ddp.client(Server()) as client:
        await client.say(msg="pong")
        await client.say(msg="pong", id="1")
        assert await client.rest() == []


async def test_028_an_idle_client_is_pinged_without_an_id(ddp, clock):
    async with ddp.client(Server(clock=clock)) as client:
        await clock.advance(14)
        await clock.advance(1)
        assert await client.hear() == PING


async def test_028_who_spoke_last_is_pinged_within_two_intervals(ddp, clock):
    async with ddp.client(Server(clock=clock)) as client:
        await clock.advance(1)
        assert await client.pinged() == []
        await clock.advance(29)
        assert await client.hear() == PING


@pytest.mark.parametrize(
    "message", [{"msg": "pong"}, {"msg": "unsub", "id": "1"}, {"a": 1}], ids=str
)
async def test_029_any_message_suppresses_the_next_ping(ddp, clock, message):
    async with ddp.client(Server(clock=clock)) as client:
        await clock.advance(10)
        await client.say(**message)
        await client.pinged()
        await clock.advance(19)
        assert await client.pinged() == []


async def test_030_a_dead_client_is_left_and_its_session_ends(ddp, clock):
    server, stopped = Server(clock=clock, grace_period=0), asyncio.Event()

    @server.publish("p")
    async def p(ctx):
        ctx.on_stop(stopped.set)
        ctx.ready()

    async with ddp.client(server) as client:
        await client.subscribed("s", "p")
        await clock.advance(30)
        assert await client.hear() == PING
        await clock.advance(14)
        assert len(server.sessions) == 1
        await clock.advance(1)
        assert (await client.closed()).code == 1000
        await stopped.wait()
        assert server.sessions == {}


async def test_030_a_session_may_outlive_its_socket_for_a_while(ddp, clock):
    server = Server(clock=clock, grace_period=20)
    async with ddp.client(server) as client:
        await clock.advance(30)
        assert await client.hear() == PING
        await client.closed()
        await clock.advance(19)
        assert len(server.sessions) == 1
        await clock.advance(1)
        assert server.sessions == {}


@pytest.mark.parametrize(
    "message", [{"msg": "pong"}, {"msg": "sub", "id": "1", "name": "no"}], ids=str
)
async def test_031_any_answer_to_a_ping_is_life(ddp, clock, message):
    async with ddp.client(Server(clock=clock)) as client:
        await clock.advance(15)
        assert await client.hear() == PING
        await clock.advance(14)
        await client.say(**message)
        await client.pinged()
        await clock.advance(10)
        assert await client.pinged() == []


async def test_032_without_an_interval_there_are_no_pings(ddp, clock):
    async with ddp.client(Server(clock=clock, heartbeat_interval=0)) as client:
        await clock.advance(100_000)
        assert await client.pinged() == []


async def test_033_who_never_connects_is_dropped(ddp, clock):
    async with ddp.place(Server(clock=clock)) as place:
        client = await place.stranger()
        await clock.advance(44)
        await client.say(msg="ping")
        assert (await client.hear())["reason"] == "Must connect first"
        await clock.advance(1)
        assert (await client.closed()).code == 1000


async def test_033_who_connects_is_not(ddp, clock):
    stage = Stage(clock=clock, heartbeat_interval=0)
    async with ddp.client(stage.server) as client:
        await clock.advance(1_000)
        await stage.enter(client, "s")
