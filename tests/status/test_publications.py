"""What the status of a server tells, and whom."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from memory_client import Client, client_of, running
from rooms import Rooms

from ddpcore import DDPError, Gap, MeteorError, hookimpl
from ddpcore.exporters import SHOWN
from ddpcore.status import StatusServer, figures
from ddpcore.status.attempts import MOST, MOST_ADDRESSES, WINDOW, Attempts
from ddpcore.testing import FakeClock

TOKEN = "a token of some length"


@asynccontextmanager
async def looked_at(rooms=None, **options):
    """Rooms that run, and a client of their status."""
    rooms = rooms or Rooms()
    clock = FakeClock()
    status = StatusServer(rooms.server, clock=clock, heartbeat_interval=0, **options)
    async with running(rooms.server), client_of(status) as looker:
        looker.clock = clock
        yield rooms, looker


def member(rooms, **options) -> Client:
    client = Client(rooms.server, **options)
    client.connect()
    return client


async def shown(looker, collection: str, true) -> dict:
    """Let time pass until the documents are so."""
    async with asyncio.timeout(60):
        while not true(found := documents(looker, collection)):
            await looker.clock.advance(1.0)
    return found


def documents(looker, collection: str) -> dict:
    found: dict = {}
    for each in looker.messages:
        if each.get("collection") == collection:
            if each["msg"] == "removed":
                del found[each["id"]]
            else:
                document = found.setdefault(each["id"], {})
                document.update(each.get("fields", {}))
                for name in each.get("cleared", ()):
                    del document[name]
    return found


async def look(looker, name: str, *params) -> str:
    id = looker.sub(f"status.{name}", *params)
    await looker.ready(id)
    return id


async def test_the_process_in_numbers(expect_log):
    expect_log("ddpcore.server.runtime", "Exception in method 'fail'")
    async with looked_at() as (rooms, looker):

        @rooms.server.method
        async def fail(ctx):
            raise KeyError("a secret")

        await look(looker, "process")
        found = documents(looker, "status.process")["process"]
        # Who looks is no client of what is looked at.
        assert (found["sessions"], found["subscriptions"], found["documents"]) == (0, 0, 0)
        assert found["running"] and found["connected"]
        client = member(rooms)
        await client.ready(client.sub("room", "a", 3))
        await client.ready(client.sub("room", "b", 2))
        await client.outcome("fail")
        rooms.server.crossbar.deliver(Gap())
        await rooms.server.crossbar.settled()
        found = await shown(looker, "status.process", lambda it: it["process"]["errors"])
        found = found["process"]
        assert (found["sessions"], found["subscriptions"], found["documents"]) == (1, 2, 5)
        assert found["observers"] == {"matched": 2, "keys": 0, "polled": 0}
        assert (found["gaps"], found["watchers"], found["users"]) == (1, 2, 0)
        assert found["frames"] == rooms.server.traffic.frames > 0
        [error] = documents(looker, "status.errors").values()
        assert (error["where"], error["type"]) == ("method 'fail'", "KeyError")
    assert not any("a secret" in str(each) for each in looker.messages)


async def test_sessions_and_their_subscriptions():
    async with looked_at() as (rooms, looker):

        @rooms.server.method
        async def be(ctx, user):
            await ctx.set_user_id(user)

        anna, bert = member(rooms), member(rooms)
        await anna.outcome("be", "anna")
        await anna.ready(anna.sub("room", "a secret", 3))
        await look(looker, "sessions")
        ids = {each: each.receiver.machine.id[:SHOWN] for each in (anna, bert)}
        found = documents(looker, "status.sessions")
        assert set(found) == set(ids.values())
        of_anna = found[ids[anna]]
        assert (of_anna["user"], of_anna["subscriptions"]) == ("anna", 1)
        assert (of_anna["queue"], of_anna["waiting"], of_anna["state"]) == (0, 0, "connected")
        assert of_anna["since"] > 1e9

        await look(looker, "session", ids[anna])
        [subscription] = documents(looker, "status.subscriptions").values()
        assert subscription == {
            "session": ids[anna], "name": "room", "params": ["string", "number"], "ready": True,
        }  # fmt: skip
        assert documents(looker, "status.session")[ids[anna]]["user"] == "anna"

        # One filter, and then another.
        first = await look(looker, "sessions", "user", False, "ANN")
        second = looker.sub("status.sessions", "user", False, "nobody")
        await looker.ready(second)
        looker.unsub(first)
        await looker.nosub(first)

        assert (await looker.outcome("status.close", ids[anna]))["result"] is True
        assert (await looker.outcome("status.close", ids[anna]))["result"] is False
        await shown(looker, "status.sessions", lambda it: set(it) == {ids[bert]})
        await shown(looker, "status.session", lambda it: not it)
        assert not documents(looker, "status.subscriptions")
        assert anna.closed is not None
    assert not any("a secret" in str(each) for each in looker.messages)


async def test_nobody_can_go_on_with_a_session_that_is_shown():
    async with looked_at() as (rooms, looker):
        client, other = member(rooms), member(rooms)
        whole = client.receiver.machine.id
        id = whole[:SHOWN]
        await look(looker, "process")
        await look(looker, "session", id)  # though nobody has been told of it
        assert set(documents(looker, "status.session")) == {id}
        for text, expected in (
            (whole, {id}),  # as a log has it
            (id.upper(), {id}),
            (whole[SHOWN:], set()),
            (whole[: SHOWN + 1], {id}),
            (id + "?", {id}),  # a guess at the rest tells nothing
        ):
            one = await look(looker, "sessions", "since", True, text)
            assert set(documents(looker, "status.sessions")) == expected
            looker.unsub(one)
            await looker.nosub(one)
        for each in ("", whole, id[:-1]):
            assert (await looker.outcome("status.close", each))["result"] is False
        assert other.receiver.machine.open
    assert not any(whole in str(each) for each in looker.messages)


async def test_a_slow_client_is_seen():
    async with looked_at(Rooms(high_water=1000)) as (rooms, looker):
        slow = member(rooms)
        await slow.ready(slow.sub("room", "a", 1))
        slow.receiver.blocked()
        await rooms.change("a0")
        await rooms.server.crossbar.settled()
        await look(looker, "sessions", "waiting")
        [found] = documents(looker, "status.sessions").values()
        assert found["state"] == "slow"
        assert found["documents_waiting"] == 1
        slow.receiver.drained()
        await shown(
            looker, "status.sessions", lambda it: [e["state"] for e in it.values()] == ["connected"]
        )


async def test_queries():
    async with looked_at() as (rooms, looker):
        clients = [member(rooms) for _ in range(3)]
        for number, each in enumerate(clients):
            await each.ready(each.sub("room", "a", 3))
            if number:
                await each.ready(each.sub("room", "b", 4))
        await look(looker, "observers", "documents")
        found = sorted(
            documents(looker, "status.observers").values(), key=lambda it: it["watchers"]
        )
        assert [each["watchers"] for each in found] == [2, 3]
        assert [each["documents"] for each in found] == [4, 3]
        assert {each["name"] for each in found} == {"rows"}
        assert found[0]["kind"] == "matched"
        assert found[0]["topics"] == ["rooms.row"]
        assert found[0]["asks"] == 1
        assert found[0]["seconds"] >= 0


async def test_only_the_first_are_told(monkeypatch):
    monkeypatch.setattr(figures, "MOST_ROWS", 3)
    monkeypatch.setattr(figures, "PORTION", 2)
    async with looked_at() as (rooms, looker):
        clients = [member(rooms) for _ in range(8)]
        for number, each in enumerate(clients):
            for _ in range(number):
                await each.ready(each.sub("room", "a", 1))
        for descending, expected in ((True, [5, 6, 7]), (False, [0, 1, 2])):
            id = await look(looker, "sessions", "subscriptions", descending)
            told = documents(looker, "status.sessions").values()
            assert sorted(each["subscriptions"] for each in told) == expected
            looker.unsub(id)
            await looker.nosub(id)
        await look(looker, "process")
        assert documents(looker, "status.process")["process"]["sessions"] == 8


async def test_the_longest_fence_of_the_last_seconds():
    clock = FakeClock()
    rooms = Rooms(clock=clock)
    seen = figures.Figures(rooms.server)

    async def longest() -> float:
        return (await seen.process())["fence_longest"]

    assert await longest() == 0
    for seconds in (0.2, 0.7, 0.1):
        seen.ddpcore_fence_passed(seconds)
    assert await longest() == await longest() == 0.7  # whoever else looks
    await clock.advance(figures.WHILE)
    seen.ddpcore_fence_passed(0.3)
    assert await longest() == 0.7
    await clock.advance(figures.WHILE)
    assert await longest() == 0.3
    await clock.advance(3 * figures.WHILE)
    assert await longest() == 0
    assert (await seen.process())["fences"] == 4


async def test_nothing_is_looked_at_when_nobody_looks():
    async with looked_at() as (_rooms, looker):
        status = looker.receiver.server
        ids = [await look(looker, "process"), await look(looker, "sessions")]
        assert status._ticking is not None
        for id in ids:
            looker.unsub(id)
            await looker.nosub(id)
        assert status._ticking is None
        await look(looker, "process")
        assert status._ticking is not None
    assert status._ticking is None


async def test_orders_that_do_not_exist():
    async with looked_at() as (_, looker):
        for name in ("sessions", "observers"):
            problem = await looker.nosub(looker.sub(f"status.{name}", "__class__"))
            assert problem["error"]["error"] == 400


async def test_nobody_sees_anything_without_the_token(expect_log):
    expect_log("ddpcore.status.server", "A wrong token for the status page")
    async with looked_at(token=TOKEN) as (rooms, looker):
        client = member(rooms)
        whole = client.receiver.machine.id
        session = whole[:SHOWN]
        status = looker.receiver.server
        assert set(status.publications) == {
            f"status.{each}" for each in ("process", "sessions", "observers", "session")
        }

        async def refused():
            for name in ("process", "sessions", "observers"):
                problem = await looker.nosub(looker.sub(f"status.{name}"))
                assert problem["error"]["error"] == 403
            problem = await looker.nosub(looker.sub("status.session", session))
            assert problem["error"]["error"] == 403
            assert (await looker.outcome("status.close", session))["error"]["error"] == 403

        await refused()
        for guess in (None, "", TOKEN[:-1], TOKEN + "x", "\ud800"):
            assert (await looker.outcome("status.enter", guess))["error"]["error"] == 403
            await refused()
        assert whole in rooms.server.sessions
        assert (await looker.outcome("status.enter", TOKEN))["result"] == "operator"
        await look(looker, "sessions")
        assert session in documents(looker, "status.sessions")


async def test_guessing_has_an_end(expect_log):
    expect_log("ddpcore.status.server", "A wrong token for the status page")
    async with looked_at(token=TOKEN) as (_, looker):
        for _ in range(MOST):
            assert (await looker.outcome("status.enter", "wrong"))["error"]["error"] == 403
        assert (await looker.outcome("status.enter", TOKEN))["error"]["error"] == 429
        await looker.clock.advance(WINDOW)
        assert (await looker.outcome("status.enter", TOKEN))["result"] == "operator"


def test_guesses_of_others_are_their_own():
    attempts = Attempts()
    for _ in range(MOST):
        assert attempts.may_try("192.0.2.1", 0)
        attempts.failed("192.0.2.1", 0)
        attempts.failed("2001:db8::1", 0)
    assert not attempts.may_try("192.0.2.1", WINDOW - 1)
    assert not attempts.may_try("2001:db8::2", 0)  # one customer has them all
    assert attempts.may_try("192.0.2.2", 0)
    assert attempts.may_try("2001:db8:0:1::1", 0)
    assert attempts.may_try("192.0.2.1", WINDOW)


def test_addresses_that_guess_are_not_remembered_without_end():
    attempts = Attempts()
    for number in range(MOST_ADDRESSES):
        attempts.failed(f"10.0.{number // 256}.{number % 256}", 0)
    assert not attempts.may_try("192.0.2.1", 1)
    assert attempts.may_try("192.0.2.1", WINDOW)


def test_a_token_that_is_too_short():
    with pytest.raises(DDPError, match="has 5 characters, and needs 16"):
        StatusServer(Rooms().server, token="short")


async def test_it_stops_with_the_server():
    rooms = Rooms()
    status = StatusServer(rooms.server)
    await rooms.server.start()
    async with client_of(status) as looker:
        await look(looker, "process")
        await rooms.server.stop()
        assert not status.running


async def test_plugins_of_the_server_are_not_those_of_its_status():
    told = []

    class Everywhere:
        @hookimpl
        def ddpcore_register(self, server):
            told.append(server)

        @hookimpl
        def ddpcore_admit(self, server, call):
            raise MeteorError(403, "No")

    rooms = Rooms(plugins=[Everywhere()])
    async with looked_at(rooms) as (_, looker):
        await look(looker, "process")
    assert told == [rooms.server]
    assert {"django", "tornado", "pg"}.isdisjoint(looker.receiver.server.plugins.names())
