"""Logging in, resuming, logging out: through the hooks, the signals and the backends."""

from __future__ import annotations

import asyncio

import pytest
from accounts import (
    AMBIGUOUS,
    USERS,
    by_password,
    connect,
    digest,
    error,
    login,
    result,
    unlimited,
)
from ddp_client import PATIENCE

pytestmark = pytest.mark.pg

AMBIGUOUSLY = (403, AMBIGUOUS)


@pytest.fixture
def world(shell):
    shell(USERS)
    return shell


async def test_a_login_is_told_of_by_signals_without_secrets(server, world):
    world("make('ann'); make('idle', is_active=False)")
    async with unlimited(server.address) as client:
        await login(client, "ann")
        for password in ("wrong", {"digest": "0" * 64, "algorithm": "sha-256"}):
            assert await error(client, "login", by_password("ann", password)) == AMBIGUOUSLY
        bare = {"user": {"username": "nobody"}, "password": "plain"}
        assert await error(client, "login", bare) == AMBIGUOUSLY
        assert await error(client, "login", by_password("idle")) == AMBIGUOUSLY
        await client.call("logout")
        await client.call("logout")
        signals = (await client.call("test.spied"))["signals"]
    local = "127.0.0.1"
    hidden = {"username": "nobody", "password": "********************"}
    assert signals == [
        ["in", "ann", local],
        ["failed", {"username": "ann"}, local],
        ["failed", {"username": "ann"}, local],
        ["failed", hidden, local],
        ["failed", {"username": "idle"}, local],
        ["out", "ann", local],
    ]


async def test_resuming_is_no_login_for_django(server, world):
    world("make('ann')")
    async with connect(server.address) as client:
        token = (await login(client, "ann"))["token"]
        await client.call("test.spied")
    async with connect(server.address) as client:
        await client.call("login", {"resume": token})
        assert (await client.call("test.spied"))["signals"] == []
    world("assert user('ann').ddp_login_tokens.get().last_used > user('ann').last_login")


async def test_the_user_in_methods(server, world):
    world("make('ann')")
    async with connect(server.address) as client:
        assert await client.call("test.user") == [None, "", False]
        id = (await login(client, "ann"))["id"]
        assert await client.call("test.user") == [id, "ann", True]
        await client.call("logout")
        assert await client.call("test.user") == [None, "", False]


async def test_another_login_takes_the_place_of_the_first(server, world):
    world("make('ann'); make('bob')")
    async with connect(server.address) as client:
        first = await login(client, "ann")
        await client.shows("users", {first["id"]: {"username": "ann"}})
        again = await login(client, "ann")
        assert again["token"] != first["token"]
        bob = await login(client, "bob")
        await client.shows("users", {bob["id"]: {"username": "bob"}})
        await client.call("logout")
        await client.shows("users", {})
        # The earlier ones are logins of their own, and stay until they are taken back.
        resumed = await client.call("login", {"resume": first["token"]})
        assert resumed["id"] == first["id"]
        assert (await error(client, "login", {"resume": bob["token"]}))[0] == 403
        assert await client.call("test.who") == first["id"]


async def test_a_captured_login_is_no_good_after_the_logout(server, other, world):
    world("make('ann')")
    async with connect(server.address) as client:
        token = (await login(client, "ann"))["token"]
        await client.call("logout")
    async with connect(other.address) as thief:
        assert await error(thief, "login", {"resume": token}) == (
            403,
            "You've been logged out by the server. Please log in again.",
        )
        stored = "E3vd4awz+r/X8H9csFGFsUmM5WjEAMHcrK7DurpnL60="
        assert (await error(thief, "login", {"resume": stored}))[0] == 403


async def test_a_password_that_the_site_changes_ends_all_logins(server, world):
    world("make('ann'); make('bob')")
    async with connect(server.address) as client, connect(server.address) as bob:
        token = (await login(client, "ann"))["token"]
        await login(bob, "bob")
        world("user('ann').check_password('secret'); user('ann').save()")
        assert (await client.call("login", {"resume": token}))["token"] == token
        world("ann = user('ann'); ann.set_password('other'); ann.save()")
        await client.socket.wait_closed()
        assert await bob.call("test.who")
    async with connect(server.address) as client:
        assert (await error(client, "login", {"resume": token}))[0] == 403


async def test_a_client_keeps_its_token_while_the_database_is_away(server, world):
    """An answer would make it forget its login: the connection is closed, and it comes back."""
    world("make('ann')")
    async with connect(server.address) as client, connect(server.address) as other:
        token = (await login(client, "ann"))["token"]
        await other.call("test.lose_the_database", True)
        params = [{"resume": token}]
        await client.send(msg="method", id="m", method="login", params=params)
        await client.socket.wait_closed()
        assert not [each for each in client.messages if each.get("id") == "m"]
        await other.call("test.lose_the_database", False)
    async with connect(server.address) as client:
        assert (await client.call("login", {"resume": token}))["token"] == token


async def test_a_login_within_a_method_that_fails_never_was(server, world, project):
    world("make('ann')")
    async with connect(server.address) as client:
        assert await error(client, "test.login_twice", by_password("ann")) == (
            500,
            "Internal server error",
        )
        assert await client.call("test.who") is None
    world("assert not user('ann').ddp_login_tokens.exists()")
    await server.logs("on purpose")


async def test_a_password_that_is_changed_while_it_is_proven_opens_nothing(server, world):
    """The login waits for the row, which the change of the password holds."""
    world("make('ann'); from django.db import transaction")
    async with connect(server.address) as client:
        world("""
block = transaction.atomic()
block.__enter__()
ann = User.objects.select_for_update().get(**{User.USERNAME_FIELD: "ann"})
ann.set_password("another")
ann.save()
""")
        id = client.new_id()
        await client.send(msg="method", id=id, method="login", params=[by_password("ann")])
        world("""
import time
from django.db import connections
def waiting():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return cursor.fetchone()[0]
while not waiting():
    time.sleep(0.01)
block.__exit__(None, None, None)
""")
        message = await client.message(msg="result", id=id)
        assert message["error"]["reason"] == AMBIGUOUS
        await login(client, "ann", "another")


@pytest.mark.parametrize("users", ["custom"])
@pytest.mark.parametrize("accounts", [{"SIGNUP": True}])
async def test_a_model_whose_users_are_named_by_their_address(server, world):
    world("make('Ann@example.org')")
    async with unlimited(server.address) as client:
        mine = await login(client, {"email": "ann@EXAMPLE.org"})
        await client.shows(
            "users",
            {mine["id"]: {"emails": [{"address": "Ann@example.org", "verified": False}]}},
        )
        await login(client, {"username": "Ann@example.org"})
        await login(client, {"id": mine["id"]})
        assert await error(client, "login", by_password({"id": "17"})) == AMBIGUOUSLY
        assert await error(client, "createUser", {"email": "ANN@example.org"}) == AMBIGUOUSLY
        new = {"email": "bob@EXAMPLE.org", "password": digest("x")}
        bob = await client.call("createUser", new)
        await client.shows(
            "users",
            {bob["id"]: {"emails": [{"address": "bob@example.org", "verified": False}]}},
        )
        assert await error(client, "createUser", {"username": "carl"}) == (
            400,
            "Need to set a username or email",
        )


@pytest.mark.parametrize("accounts", [{"PLAIN_PASSWORDS": "never"}])
async def test_passwords_in_plain_may_be_refused_altogether(server, world):
    world("make('ann')")
    async with connect(server.address) as client:
        options = {"user": {"username": "ann"}, "password": "secret"}
        code, reason = await error(client, "login", options)
        assert code == 403
        assert "not accepted in plain" in reason
        await login(client, "ann")
        for passwords in (("secret", digest("new")), (digest("secret"), "new")):
            assert (await error(client, "changePassword", *passwords))[0] == 403


HOOKS = {"HOOKS": ["accountsite.hooks"]}


@pytest.mark.parametrize("accounts", [HOOKS])
async def test_the_second_factor(server, world):
    world("make('2fa'); make('ann')")
    async with unlimited(server.address) as client:
        assert await error(client, "login", by_password("2fa")) == ("no-2fa-code", AMBIGUOUS)
        wrong = by_password("2fa", code="000000")
        assert await error(client, "login", wrong) == ("invalid-2fa-code", AMBIGUOUS)
        # Whoever has not proven the password does not learn that there is one.
        assert await error(client, "login", by_password("2fa", "wrong")) == AMBIGUOUSLY
        assert (await login(client, "2fa", code="123456"))["type"] == "password"
        await login(client, "ann", code="whatever")


@pytest.mark.parametrize("accounts", [HOOKS])
async def test_a_hook_logs_in_by_what_it_knows(server, world):
    world("make('ann'); make('idle', is_active=False)")
    async with unlimited(server.address) as client:
        mine = await client.call("login", {"magic": "ann"})
        assert list(mine) == ["id", "token", "tokenExpires", "type"]
        assert mine["type"] == "magic"
        await client.call("logout")
        assert await error(client, "login", {"magic": "nobody"}) == (403, "No magic")
        assert await error(client, "login", {"magic": "idle"}) == AMBIGUOUSLY
        assert await error(client, "login", {"other": 1}) == (
            400,
            "Unrecognized options for login request",
        )
        assert await client.call("test.who") is None


@pytest.mark.parametrize("accounts", [HOOKS])
async def test_hooks_hear_of_each_attempt(server, world):
    world("make('ann')")
    async with unlimited(server.address) as client:
        token = (await login(client, "ann"))["token"]
        await client.call("login", {"resume": token})
        await error(client, "login", by_password("ann", "wrong"))
        await error(client, "login", by_password("nobody"))
        await client.call("logout")
        told = await client.call("test.told")
    says = f"{AMBIGUOUS} [403]"
    assert told == [
        ["validate", "password", "login", "ann", True],
        ["in", "password", "login", "ann"],
        ["validate", "resume", "login", "ann", True],
        ["in", "resume", "login", "ann"],
        ["validate", "password", "login", "ann", False],
        ["failed", "password", "login", "ann", says],
        ["validate", "password", "login", None, False],
        ["failed", "password", "login", None, says],
        ["out", "ann"],
    ]


async def test_limits_are_on(server, world):
    world("make('ann')")
    async with connect(server.address) as client:
        for _ in range(5):
            await login(client, "ann")
        code, _ = await error(client, "login", by_password("ann"))
        assert code == "too-many-requests"
    # 20 a minute about one account, from wherever: 6 of them are gone.
    for _ in range(3):
        async with connect(server.address) as client:
            for _ in range(5):
                await result(client, "login", by_password("ANN", "wrong"))
            last = await error(client, "login", by_password({"id": "0"}, "wrong"))
    assert last[0] == "too-many-requests"
    async with connect(server.address) as client:
        assert (await error(client, "login", by_password("ann")))[0] == "too-many-requests"


async def test_a_login_that_comes_too_late_leaves_the_connection_as_it_was(server, world):
    world("make('ann'); make('bob')")
    async with unlimited(server.address) as client:
        ann = await login(client, "ann")
        row = await client.call("test.bound")
        assert (await error(client, "test.login_too_late", by_password("bob")))[0] == 500
        assert await client.call("test.who") == ann["id"]
        assert await client.call("test.bound") == row
    await server.logs("set_user_id in a method after calling unblock")


async def test_reports_of_errors_show_no_tokens(server, world):
    world("make('ann')")
    token = "a-token-of-some-client"
    async with unlimited(server.address) as witness:
        await witness.call("test.lose_the_database", True)
        async with connect(server.address) as client:
            await client.send(msg="method", id="m", method="login", params=[{"resume": token}])
            async with asyncio.timeout(PATIENCE):
                await client.socket.wait_closed()
        async with asyncio.timeout(PATIENCE):
            while not (reports := await witness.call("test.reported")):
                pass  # it is closed before the method has failed
        (report,) = reports
        assert "the connection is lost" in report
        assert token not in report
