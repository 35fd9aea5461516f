"""What plugins are told, and what they may put around handlers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from memory_client import Client, client_of, running, turns

from ddpcore import DDPError, MeteorError, Server, hookimpl
from ddpcore.plugins import make_bus, plugin_manager


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
        expect_log(
            "ddpcore.hooks", rf"Exception in ddpcore_session_{hook} of the plugin '.*Broken'"
        )
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


# --- admission ----------------------------------------------------------------------------------


async def test_a_call_may_be_refused_before_its_handler_runs():
    class Doorman:
        @hookimpl
        async def ddpcore_admit(self, call):
            if call.name == "secret":
                raise MeteorError(403, "No")

    server, calls = Server(plugins=[Doorman()]), []
    for name in ("secret", "open"):
        server.method(name)(lambda ctx, name=name: calls.append(name))
        server.publish(name)(lambda ctx: [])
    async with client_of(server) as client:
        assert (await client.outcome("secret"))["error"]["reason"] == "No"
        assert (await client.nosub(client.sub("secret")))["error"]["reason"] == "No"
        await client.outcome("open")
        await client.ready(client.sub("open"))
        assert calls == ["open"]


async def test_who_cannot_say_whether_a_call_may_run_refuses_it(expect_log):
    expect_log("ddpcore.server.runtime", "Exception in method 'work'")

    class Broken:
        @hookimpl
        def ddpcore_admit(self):
            raise KeyError

    server, calls = Server(plugins=[Broken()]), []
    server.method("work")(lambda ctx: calls.append(1))
    async with client_of(server) as client:
        assert (await client.outcome("work"))["error"]["error"] == 500
        assert calls == []


def test_the_rate_limiter_is_asked_while_it_has_rules():
    server = Server()
    assert not server.hears.admit
    rule = server.rate_limiter.add_rule({"name": "work"})
    other = server.rate_limiter.add_rule({"name": "rest"})
    assert server.hears.admit
    server.rate_limiter.remove_rule(rule)
    assert server.hears.admit
    server.rate_limiter.remove_rule(other)
    assert not server.hears.admit


# --- how they are called ------------------------------------------------------------------------


class Named:
    """Plugins by which somebody is called."""

    def __init__(self, name, answer):
        self.__name__ = name
        self._answer = answer

    def _say(self):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    @hookimpl
    def ddpcore_bus(self):
        return self._say()


def manager_of(*answers):
    return plugin_manager([Named(f"plugin{i}", each) for i, each in enumerate(answers)])


def test_the_first_answer_wins_and_the_latest_is_asked_first():
    assert manager_of("a", "b", None).ask("ddpcore_bus", url="x:") == "b"
    assert manager_of(None).ask("ddpcore_bus", url="x:") is None


def test_a_question_that_fails_names_who_was_asked():
    with pytest.raises(
        DDPError, match=r"ddpcore_bus of the plugin 'plugin1' failed: KeyError: 'x'"
    ):
        manager_of("a", KeyError("x")).ask("ddpcore_bus", url="x:")
    for meant in (DDPError("Do this."), MeteorError(403, "No")):
        with pytest.raises(type(meant)) as caught:
            manager_of(meant).ask("ddpcore_bus", url="x:")
        assert caught.value is meant


def test_a_question_is_answered_at_once_or_not_at_all():
    async def later():
        return "bus"

    with pytest.raises(
        DDPError, match=r"'plugin0' failed: TypeError: .*not awaited.* write it with def"
    ):
        manager_of(later()).ask("ddpcore_bus", url="x:")


def test_only_true_allows(expect_log):
    assert manager_of().allows("ddpcore_bus", url="x:") is False  # the built-in ones say None
    for answers in ((True, 1), (True, None), (True, False), (KeyError(),)):
        if isinstance(answers[-1], Exception):
            expect_log(
                "ddpcore.hooks", "Exception in ddpcore_bus of the plugin 'plugin0', which means no"
            )
        assert manager_of(*answers).allows("ddpcore_bus", url="x:") is False


def test_a_plugin_that_wraps_a_hook_is_told_what_to_do():
    class Wraps:
        @hookimpl(wrapper=True)
        def ddpcore_session_opened(self):
            return (yield)

    with pytest.raises(DDPError, match=r"wraps ddpcore_session_opened.*ddpcore_around_method"):
        Server(plugins=[Wraps()])


def test_a_plugin_that_cannot_register_names_itself():
    class Broken:
        @hookimpl
        def ddpcore_register(self):
            raise KeyError("x")

    with pytest.raises(KeyError) as caught:
        Server(plugins=[Broken()])
    assert caught.value.__notes__ == ["In ddpcore_register of the plugin 'Broken'."]


def test_a_plugin_that_would_register_later_is_told_what_to_do():
    class Late:
        @hookimpl
        async def ddpcore_register(self):
            """Never run."""

    with pytest.raises(DDPError, match="ddpcore_register is not awaited"):
        Server(plugins=[Late()])


async def test_an_exception_around_a_handler_is_told_with_its_plugin(expect_log, caplog):
    expect_log("ddpcore.server.runtime", "Exception in method 'work'")

    class Broken:
        @hookimpl
        def ddpcore_around_method(self):
            raise KeyError("x")

    server = Server(plugins=[Broken()])
    server.method("work")(lambda ctx: 1)
    async with client_of(server) as client:
        assert (await client.outcome("work"))["error"]["error"] == 500
    (record,) = [each for each in caplog.records if each.exc_info]
    assert str(record.exc_info[1]) == (
        "ddpcore_around_method of the plugin 'Broken' failed: KeyError: 'x'"
    )


async def _late(self):
    return None


@asynccontextmanager
async def _closed(self):
    raise KeyError("x")
    yield


@pytest.mark.parametrize("around", [lambda self: 42, _late, _closed])
async def test_what_cannot_be_entered_is_told_with_its_plugin(around, expect_log, caplog):
    expect_log("ddpcore.server.runtime", "Exception in (method|publication) 'work'")

    class Broken:
        ddpcore_around_method = ddpcore_around_publication = hookimpl(around)

    server = Server(plugins=[Broken()])
    server.method("work")(lambda ctx: 1)
    server.publish("work")(lambda ctx: ctx.ready())
    async with client_of(server) as client:
        assert (await client.outcome("work"))["error"]["error"] == 500
        await client.nosub(client.sub("work"))
    for kind, record in zip(
        ("method", "publication"), (each for each in caplog.records if each.exc_info), strict=True
    ):
        text = str(record.exc_info[1])
        assert text.startswith(f"ddpcore_around_{kind} of the plugin 'Broken' failed: ")


async def test_what_is_meant_for_clients_comes_through_from_around_a_handler():
    class Refused(Exception):
        sanitized_error = MeteorError(403, "No")

    class Doorman:
        @hookimpl
        @asynccontextmanager
        async def ddpcore_around_method(self):
            raise Refused
            yield

    server = Server(plugins=[Doorman()])
    server.method("work")(lambda ctx: 1)
    async with client_of(server) as client:
        assert (await client.outcome("work"))["error"]["reason"] == "No"


OBSERVERS = [
    "session_opened", "message", "method_started", "method_ended", "subscription_started",
    "subscription_ready", "frames_sent", "error", "user_changed",
]  # fmt: skip


@pytest.mark.parametrize("hook", OBSERVERS)
async def test_who_looks_on_and_raises_a_cancellation_hurts_no_session(hook, expect_log, caplog):
    def gone(self):
        raise asyncio.CancelledError  # as `task.result()` does where the task was cancelled

    class Broken:
        pass

    name = f"ddpcore_{hook}"
    setattr(Broken, name, hookimpl(gone))
    expect_log("ddpcore.hooks", f"Exception in {name} of the plugin 'Broken'")
    expect_log("ddpcore.server.runtime", "Exception in method 'fail'")
    server = Server(plugins=[Broken()])

    @server.method
    def fail(ctx):
        raise KeyError

    @server.method
    def login(ctx):
        ctx.set_user_id("me")

    server.publish("some")(lambda ctx: ctx.ready())
    async with client_of(server) as client:
        await client.ready(client.sub("some"))
        assert (await client.outcome("fail"))["error"]["error"] == 500
        assert "error" not in await client.outcome("login")
    assert any(each.name == "ddpcore.hooks" for each in caplog.records)


async def test_a_strategy_that_is_none_is_told_with_its_plugin():
    class Broken:
        @hookimpl
        def ddpcore_publication_strategy(self):
            return 42

    with pytest.raises(DDPError, match=r"strategy of the plugin 'Broken'.*no PublicationStrategy"):
        Server(plugins=[Broken()]).publication_strategy("tasks")


def test_a_bus_that_is_none_is_told_with_its_plugin():
    class Broken:
        @hookimpl
        def ddpcore_bus(self):
            return 42

    with pytest.raises(DDPError, match=r"ddpcore_bus of the plugin 'Broken'.*42 is no Bus"):
        make_bus(plugin_manager([Broken()]), "memory:")


async def test_hooks_are_traced(monkeypatch, capsys, expect_log):
    monkeypatch.setenv("DDPCORE_TRACE_HOOKS", "1")

    class Around:
        @hookimpl
        def ddpcore_around_method(self, context, params):
            return None

        @hookimpl
        def ddpcore_admit(self, call):
            if call.name == "work":
                raise MeteorError(403)

        @hookimpl
        def ddpcore_error(self, problem):
            """Told of what may hold arguments."""

        @hookimpl
        def ddpcore_session_opened(self, connection):
            """Given one whose whole id lets others go on with the session."""

    expect_log("ddpcore.server.runtime", "Exception in method 'fail'")
    server = Server(plugins=[Around()])
    server.method("work")(lambda ctx, a: 1)

    @server.method
    def fail(ctx, a):
        raise ValueError(a)

    make_bus(server.plugins, "postgres://me:secret@localhost/")
    async with client_of(server) as client:
        await client.outcome("work", "secret")
        await client.outcome("fail", "secret")
        id = client.messages[0]["session"]
    err = capsys.readouterr().err
    assert "ddpcore_register(server=<ddpcore.server.server.Server object" in err
    assert "Around: ddpcore_admit(call=…) raised MeteorError\n" in err
    assert "secret" not in err
    assert f"<connection {id[:8]} from " in err
    assert id not in err
