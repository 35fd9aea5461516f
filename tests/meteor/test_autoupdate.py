"""The versions that clients are told: when they are looked at, and by whom."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from drivers import MemoryDriver
from meteor_bundle import BOTH, MODERN, build, release, script, style

from ddpcore import Server
from ddpcore.meteor import MeteorApp
from ddpcore.meteor.autoupdate import INTERVAL, NAME, autoupdate
from ddpcore.meteor.responder import Request
from ddpcore.testing import FakeClock

DDP = MemoryDriver()


async def subscribed(client, *params):
    await client.sub("v", NAME, *params)
    *messages, _ready = await client.until(msg="ready")
    return {each["id"]: each.get("fields", {}) for each in messages}


@pytest.fixture
def star(tmp_path):
    return release(tmp_path / "bundle", BOTH)


def changed(star, *more):
    release(star.parent, BOTH | {"web.browser": [*MODERN, *more]})


async def look(clock, server, app):
    """Let the time pass until the bundle is looked at."""
    watch = autoupdate(server)._watches[app]
    while watch._timer is None:  # it is being looked at
        await asyncio.sleep(0)
    await clock.advance(INTERVAL)


async def test_a_publication_of_ones_own_takes_its_place():
    server = Server()

    @server.publish(NAME)
    async def versions(ctx):
        ctx.added(NAME, "mine", {})
        ctx.ready()

    assert list(server.publications) == [NAME]
    async with DDP.client(server) as client:
        assert await subscribed(client) == {"mine": {}}


async def test_it_is_looked_at_while_somebody_wants_to_know(star):
    clock = FakeClock()
    server = Server(clock=clock, heartbeat_interval=0)
    app = MeteorApp(star)
    autoupdate(server).add(app)
    async with DDP.client(server) as client:
        await subscribed(client)
        for number in range(3):
            changed(star, script(f"{number};", "new"))
            assert await client.rest() == []
            await look(clock, server, app)
            (change,) = await client.until(msg="changed")
            version = app.edition.versions["web.browser"]["versionNonRefreshable"]
            assert change["fields"]["versionNonRefreshable"] == version
        await client.say(msg="unsub", id="v")
        await client.until(msg="nosub")
        assert app.listeners == set()
        edition = app.edition
        changed(star, script("unseen", "new"))
        await clock.advance(10 * INTERVAL)
        assert app.edition is edition
        # A new subscription looks first.
        documents = await subscribed(client)
        assert app.edition is not edition
        assert documents["web.browser"]["version"] == app.edition.versions["web.browser"]["version"]


async def test_a_request_for_the_page_tells_all_clients_at_once(star):
    clock = FakeClock()
    server = Server(clock=clock, heartbeat_interval=0)
    app = MeteorApp(star)
    autoupdate(server).add(app)
    async with DDP.place(server) as place:
        clients = [await place.client() for _ in range(3)]
        for client in clients:
            await subscribed(client)
        restyled = [*MODERN[:2], style("p {}"), *MODERN[3:]]
        release(star.parent, BOTH | {"web.browser": restyled})
        await asyncio.to_thread(app.respond, Request("GET", "/"))
        for client in clients:
            (change,) = await client.until(msg="changed")
            assert change["fields"].keys() == {"version", "versionRefreshable", "assets"}


async def test_architectures_come_and_go(star):
    server = Server(clock=FakeClock(), heartbeat_interval=0)
    app = MeteorApp(star)
    autoupdate(server).add(app)
    async with DDP.client(server) as client:
        await subscribed(client)
        release(star.parent, {"web.browser": MODERN, "web.cordova": MODERN})
        app.refresh()
        messages = await client.until(msg="added")
        assert [(each["msg"], each["id"]) for each in messages] == [
            ("removed", "web.browser.legacy"),
            ("added", "web.cordova"),
        ]


async def test_another_user_sees_the_same(star):
    server = Server()
    app = MeteorApp(star)
    autoupdate(server).add(app)

    @server.method
    async def login(ctx):
        await ctx.set_user_id("u")

    async with DDP.client(server) as client:
        await subscribed(client)
        await client.method("login")
        heard = await client.answered()
        assert not any(each["msg"] in ("added", "changed", "removed") for each in heard)
        changed(star, script("new", "new"))
        app.refresh()
        (change,) = await client.until(msg="changed")
        assert change["id"] == "web.browser"


async def test_of_several_apps_a_page_is_told_of_its_own(tmp_path):
    server = Server()
    one = build(tmp_path / "1", BOTH, app_id="one")
    two = build(tmp_path / "2", {"web.browser": MODERN}, app_id="two")
    for star in (one, two):
        autoupdate(server).add(MeteorApp(star))
    for app_id, expected in (("one", 5), ("two", 4), ("three", 0), (None, 0)):
        async with DDP.client(server) as client:
            assert len(await subscribed(client, app_id)) == expected
    autoupdate(server).add(MeteorApp(two))  # the same app twice is one to its pages
    async with DDP.client(server) as client:
        assert len(await subscribed(client, "two")) == 4


async def test_an_app_whose_bundle_is_not_there_yet(tmp_path, expect_log):
    server = Server()
    autoupdate(server).add(MeteorApp(tmp_path / "bundle" / "star.json"))
    expect_log("ddpcore.meteor", "has no versions: Cannot read")
    async with DDP.client(server) as client:
        assert await subscribed(client) == {}
    build(tmp_path / "bundle", BOTH)
    async with DDP.client(server) as client:
        assert len(await subscribed(client)) == 5


async def test_a_damaged_bundle_changes_nothing_and_looking_goes_on(star, expect_log):
    clock = FakeClock()
    server = Server(clock=clock, heartbeat_interval=0)
    app = MeteorApp(star, clock=clock.time)
    autoupdate(server).add(app)
    expect_log("ddpcore.meteor", "so the old one is")
    async with DDP.client(server) as client:
        await subscribed(client)
        star.write_text("{")
        app.refresh()
        changed(star, script("whole again", "new"))
        await look(clock, server, app)
        (change,) = await client.until(msg="changed")
        assert change["id"] == "web.browser"


async def test_nothing_is_left_of_a_server():
    server = Server()
    autoupdate(server)
    gone = weakref.ref(server)
    await server.start()
    await server.stop()
    del server
    gc.collect()
    assert gone() is None
