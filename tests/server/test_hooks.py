"""What plugins are told, and what they may put around handlers."""

from __future__ import annotations

from contextlib import asynccontextmanager

from memory_client import Client, client_of, running, turns

from ddpcore import MeteorError, Server, hookimpl


class Witness:
    def __init__(self):
        self.seen = []

    @hookimpl
    def ddpcore_session_opened(self, connection):
        self.seen.append(("opened", connection.id))

    @hookimpl
    def ddpcore_session_closed(self, connection):
        self.seen.append(("closed", connection.id))

    @hookimpl
    def ddpcore_user_changed(self, user_id):
        self.seen.append(("user", user_id))


async def test_sessions_are_announced():
    witness = Witness()
    async with client_of(Server(plugins=[witness])) as client:
        client.leave()
        id = client.messages[0]["session"]
        assert witness.seen == [("opened", id), ("closed", id)]


async def test_a_socket_that_never_connected_is_no_session():
    witness = Witness()
    server = Server(plugins=[witness])
    async with running(server):
        Client(server).leave()
    assert witness.seen == []


async def test_a_change_of_user_is_announced_before_subscriptions_run_again():
    witness = Witness()
    server = Server(plugins=[witness])

    @server.publish("mine")
    def mine(ctx):
        witness.seen.append(("mine", ctx.user_id))
        ctx.ready()

    @server.method
    def login(ctx):
        ctx.set_user_id("me")

    async with client_of(server) as client:
        await client.ready(client.sub("mine"))
        await client.outcome("login")
        assert witness.seen[1:] == [("mine", None), ("user", "me"), ("mine", "me")]


async def test_a_plugin_that_fails_hurts_no_session(expect_log):
    class Broken:
        @hookimpl
        def ddpcore_session_opened(self):
            raise KeyError

        ddpcore_session_closed = ddpcore_user_changed = ddpcore_session_opened

    for hook in ("opened", "closed"):
        expect_log("ddpcore.server", f"Exception in a plugin's ddpcore_session_{hook}")
    server = Server(plugins=[Broken()])
    async with client_of(server) as client:
        await client.outcome("unknown")
        client.leave()
        assert server.sessions == {}


async def test_a_plugin_may_turn_a_client_away():
    class Doorman:
        @hookimpl
        def ddpcore_session_opened(self, connection):
            connection.close()

    server = Server(plugins=[Doorman()])
    calls = []
    server.publish(None)(lambda ctx: calls.append(1))
    async with running(server):
        client = Client(server)
        client.connect()
        await turns()
        assert client.closed == (1000, "Normal closure")
        assert calls == []
        assert server.sessions == {}


async def test_something_may_be_entered_around_handlers():
    seen = []

    class Around:
        @hookimpl
        @asynccontextmanager
        async def ddpcore_around_method(self, context, params):
            seen.append((context.name, params))
            yield
            seen.append("after")

        @hookimpl
        def ddpcore_around_publication(self):
            return None

    server = Server(plugins=[Around()])
    server.method("work")(lambda ctx, a: a)
    server.publish("it")(lambda ctx: [])
    async with client_of(server) as client:
        assert (await client.outcome("work", 7))["result"] == 7
        await client.ready(client.sub("it"))
        assert seen == [("work", [7]), "after"]


async def test_an_exception_around_a_handler_refuses_it():
    class Guard:
        @hookimpl
        @asynccontextmanager
        async def ddpcore_around_method(self):
            raise MeteorError(403, "No")
            yield

        ddpcore_around_publication = ddpcore_around_method

    server, calls = Server(plugins=[Guard()]), []
    server.method("work")(lambda ctx: calls.append(1))
    server.publish("it")(lambda ctx: calls.append(1))
    async with client_of(server) as client:
        assert (await client.outcome("work"))["error"]["reason"] == "No"
        assert (await client.nosub(client.sub("it")))["error"]["reason"] == "No"
        assert calls == []


async def test_a_callback_of_a_gap_that_fails_hides_no_gap(expect_log):
    expect_log("ddpcore.server", "Exception in a callback of on_gap")
    server, called = Server(), []
    server.on_gap += [lambda: 1 / 0, lambda: called.append(1)]
    async with running(server):
        from ddpcore import Gap

        server.crossbar.deliver(Gap())
        assert called == [1]
