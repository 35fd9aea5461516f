"""What instruments hear: each hook, with what it is told, in order."""

from __future__ import annotations

import asyncio

import pytest
from memory_client import Client, client_of, running, turns
from rooms import Rooms

from ddpcore import Gap, MeteorError, Server, WriteFence, hookimpl
from ddpcore.hooks import Hears
from ddpcore.testing import FakeClock

LISTENING = [
    name for name in Hears.HOOKS if name not in ("admit", "around_method", "around_publication")
]


def listener(*hooks):
    """A plugin that keeps what these hooks are told, as (hook, arguments)."""
    heard = []
    specs = {
        "message": "connection, kind, size",
        "method_started": "context, params",
        "method_ended": "context, seconds, error, size",
        "subscription_started": "context, params",
        "subscription_ready": "context, seconds",
        "subscription_ended": "context, seconds, error",
        "observer_started": "observer",
        "observer_asked": "observer, seconds",
        "observer_stopped": "observer",
        "bus_event": "event",
        "fence_passed": "seconds",
        "frames_sent": "connection, frames, size",
        "client_slowed": "connection",
        "client_caught_up": "connection",
        "error": "problem, where",
    }
    assert set(specs) == set(LISTENING)
    members = {}
    for hook in hooks:
        space = {"heard": heard}
        names = specs[hook]
        exec(
            f"def ddpcore_{hook}(self, {names}):\n"
            f"    heard.append(({hook!r}, dict({', '.join(f'{n}={n}' for n in names.split(', '))})))",
            space,
        )
        members[f"ddpcore_{hook}"] = hookimpl(space[f"ddpcore_{hook}"])
    return type("Listener", (), members)(), heard


def test_nobody_hears_where_nobody_listens():
    hears = Server().hears
    assert not any(getattr(hears, name) for name in Hears.__slots__)


@pytest.mark.parametrize("hook", LISTENING)
def test_a_hook_is_heard_where_somebody_listens(hook):
    plugin, _ = listener(hook)
    server = Server(plugins=[plugin])
    assert [name for name in Hears.HOOKS if getattr(server.hears, name)] == [hook]
    server.plugins.unregister(plugin)
    assert not getattr(server.hears, hook)


async def test_methods():
    plugin, heard = listener("method_started", "method_ended")
    clock = FakeClock()
    server = Server(plugins=[plugin], clock=clock)

    @server.method
    async def work(ctx, value):
        await clock.advance(2)
        return value

    @server.method
    def fail(ctx):
        raise MeteorError(403, "No")

    async with client_of(server) as client:
        await client.outcome("work", "x")
        await client.outcome("fail")
        await client.outcome("unknown")
    (_, started), (_, ended), (_, began), (_, failed) = heard
    assert [each for each, _ in heard] == ["method_started", "method_ended"] * 2
    assert started["context"] is ended["context"]
    assert (started["context"].name, started["params"]) == ("work", ["x"])
    assert (ended["seconds"], ended["error"]) == (2, None)
    assert ended["size"] == len('{"msg":"result","id":"1","result":"x"}')
    assert began["context"].name == "fail"
    assert failed["error"].error == 403


async def test_a_call_that_is_not_let_in_is_heard_of():
    plugin, heard = listener("method_ended")
    server = Server(plugins=[plugin])
    server.method("work")(lambda ctx: None)
    server.rate_limiter.add_rule({"name": "work"}, 0)
    async with client_of(server) as client:
        await client.outcome("work")
    assert [each["error"].error for _, each in heard] == ["too-many-requests"]


async def test_subscriptions():
    plugin, heard = listener("subscription_started", "subscription_ready", "subscription_ended")
    server = Server(plugins=[plugin])

    @server.publish("good")
    def good(ctx, value):
        ctx.ready()
        ctx.ready()

    @server.publish("bad")
    def bad(ctx):
        raise MeteorError(403, "No")

    @server.method
    def login(ctx):
        ctx.set_user_id("me")

    async with client_of(server) as client:
        await client.ready(client.sub("good", 7, id="a"))
        await client.nosub(client.sub("bad"))
        await client.outcome("login")
        client.leave()
    seen = [
        (event, what["context"].name, what["context"].user_id, what.get("error"))
        for event, what in heard
    ]
    assert [each[:3] for each in seen] == [
        ("subscription_started", "good", None),
        ("subscription_ready", "good", None),
        ("subscription_started", "bad", None),
        ("subscription_ended", "bad", None),
        ("subscription_ended", "good", None),
        ("subscription_started", "good", "me"),
        ("subscription_ready", "good", "me"),
        ("subscription_ended", "good", "me"),
    ]
    assert [each[3] and each[3].error for each in seen if each[0].endswith("ended")] == [
        403,
        None,
        None,
    ]
    assert heard[0][1]["params"] == [7]
    assert heard[1][1]["seconds"] >= 0


async def test_messages_and_frames():
    plugin, heard = listener("message", "frames_sent")
    server = Server(plugins=[plugin])
    async with running(server):
        client = Client(server)
        client.connect()
        await client.message(msg="connected")
        client.transport.put("no message")
        await client.message(msg="error")
        client.put(msg="ping")
        await client.message(msg="pong")
        taken = [(each["kind"], each["size"]) for event, each in heard if event == "message"]
        assert [kind for kind, _ in taken] == ["connect", None, "ping"]
        assert taken[1:] == [(None, 10), ("ping", len('{"msg": "ping"}'))]
        sent = [(each["frames"], each["size"]) for event, each in heard if event == "frames_sent"]
        assert sum(frames for frames, _ in sent) == len(client.messages)
        assert (server.traffic.frames, server.traffic.bytes) == tuple(
            map(sum, zip(*sent, strict=True))
        )


async def test_observers_and_the_bus():
    plugin, heard = listener("observer_started", "observer_asked", "observer_stopped", "bus_event")
    rooms = Rooms(plugins=[plugin])
    async with client_of(rooms.server) as client:
        await client.ready(client.sub("room", "a", 2, id="s"))
        await client.ready(client.sub("room", "a", 2, id="t"))
        (observer,) = rooms.server.crossbar.watched()
        assert [(event, each["observer"]) for event, each in heard] == [
            ("observer_started", observer),
            ("observer_asked", observer),
        ]
        assert (observer.kind, observer.name, observer.topics) == ("matched", "rows", {"rooms.row"})
        assert observer.asks == 1
        assert observer.asking_seconds == heard[1][1]["seconds"]
        heard.clear()
        await rooms.change("a0")
        await client.message(msg="changed")
        assert [(event, each["event"].key) for event, each in heard] == [("bus_event", "a0")]
        rooms.server.crossbar.deliver(Gap())
        await rooms.server.crossbar.settled()
        client.unsub("s")
        client.unsub("t")
        await client.nosub("t")
        assert [event for event, _ in heard[1:]] == [
            "bus_event",
            "observer_asked",
            "observer_stopped",
        ]


async def test_a_fence():
    plugin, heard = listener("fence_passed")
    server = Server(plugins=[plugin])
    server.method("write")(lambda ctx: WriteFence.mark())
    server.method("read")(lambda ctx: None)

    async with client_of(server) as client:
        await client.outcome("read")
        assert heard == []
        await client.outcome("write")
    assert [event for event, _ in heard] == ["fence_passed"]


async def test_a_slow_client():
    plugin, heard = listener("client_slowed", "client_caught_up")
    server = Server(plugins=[plugin])
    async with client_of(server) as client:
        receiver = client.receiver
        receiver.drained()
        assert heard == []
        receiver.blocked()
        receiver.blocked()
        assert [(event, each["connection"].id) for event, each in heard] == [
            ("client_slowed", client.messages[0]["session"])
        ]
        receiver.drained()
        receiver.drained()
        assert [event for event, _ in heard] == ["client_slowed", "client_caught_up"]


async def test_errors(expect_log):
    expect_log("ddpcore.server.runtime", "Exception in method 'fail'")
    expect_log("ddpcore.server.runtime", "Exception in publication 'fail'")
    plugin, heard = listener("error")
    server = Server(plugins=[plugin])
    problem = KeyError("secret")

    @server.method
    @server.publish("fail")
    def fail(ctx):
        raise problem

    @server.method
    def refuse(ctx):
        raise MeteorError(403)

    async with client_of(server) as client:
        await client.outcome("fail")
        await client.outcome("refuse")
        await client.nosub(client.sub("fail"))
    assert [each for _, each in heard] == [
        {"problem": problem, "where": "method 'fail'"},
        {"problem": problem, "where": "publication 'fail'"},
    ]


async def test_who_fails_keeps_nobody_from_hearing(expect_log):
    expect_log("ddpcore.hooks", "Exception in ddpcore_method_started of the plugin 'Broken'")
    expect_log("ddpcore.hooks", "Exception in ddpcore_method_started of the plugin 'Late'")

    class Broken:
        __name__ = "Broken"

        @hookimpl(tryfirst=True)
        def ddpcore_method_started(self):
            raise KeyError

    class Late:
        __name__ = "Late"

        @hookimpl(tryfirst=True)
        async def ddpcore_method_started(self):
            await asyncio.sleep(0)
            raise KeyError

    plugin, heard = listener("method_started")
    server = Server(plugins=[plugin, Broken(), Late()])
    server.method("work")(lambda ctx: 1)
    async with client_of(server) as client:
        assert (await client.outcome("work"))["result"] == 1
        await turns()
    assert [event for event, _ in heard] == ["method_started"]
