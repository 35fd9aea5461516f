"""Behaviours 128 to 143: accounts, over a WebSocket, with Django's users on PostgreSQL."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta

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
from accounts_site import *  # noqa: F403

pytestmark = pytest.mark.pg

AMBIGUOUSLY = (403, AMBIGUOUS)
MATCH_FAILED = (400, "Match failed")
LOGGED_OUT = (403, "You've been logged out by the server. Please log in again.")
EXPIRED = (403, "Your session has expired. Please log in again.")
TOKEN = re.compile("[A-Za-z0-9_-]{43}")


@pytest.fixture
def world(shell):
    shell(USERS)
    shell("make('ann', email='ann@example.org')")
    return shell


async def ends(client):
    await client.socket.wait_closed()
    assert client.socket.close_code == 1000


async def test_128_a_login_answers_with_id_token_expiry_and_type(server, world):
    async with connect(server.address) as client:
        mine = await login(client, "ann")
    assert list(mine) == ["id", "token", "tokenExpires", "type"]
    assert mine["type"] == "password"
    assert TOKEN.fullmatch(mine["token"])
    expires = datetime.fromtimestamp(mine["tokenExpires"]["$date"] / 1000, UTC)
    assert timedelta(89) < expires - datetime.now(UTC) <= timedelta(90)
    stored = base64.b64encode(hashlib.sha256(mine["token"].encode()).digest()).decode()
    world(f"row = user('ann').ddp_login_tokens.get(); assert row.hashed == {stored!r}")
    world(f"assert str(row.user.pk) == {mine['id']!r}")


async def test_129_resuming_gives_the_same_token(server, other, world):
    async with connect(server.address) as client:
        mine = await login(client, "ann")
    async with connect(other.address) as client:
        assert await client.call("login", {"resume": mine["token"]}) == mine | {"type": "resume"}
        assert await client.call("test.user") == [mine["id"], "ann", True]


async def test_130_tokens_that_are_unknown_or_expired(server, world):
    async with unlimited(server.address) as client:
        token = (await login(client, "ann"))["token"]
        await client.call("logout")
        assert await error(client, "login", {"resume": token}) == LOGGED_OUT
        assert await error(client, "login", {"resume": "x" * 43}) == LOGGED_OUT
        token = (await login(client, "ann"))["token"]
    world("from django.utils import timezone")
    world("user('ann').ddp_login_tokens.update(expires=timezone.now())")
    async with connect(server.address) as client:
        assert await error(client, "login", {"resume": token}) == EXPIRED
        assert await client.call("test.who") is None


NOBODY = [{"username": "nobody"}, {"email": "nobody@example.org"}, {"id": "4711"}]


async def test_131_unknown_users_and_wrong_passwords_are_alike(server, world):
    async with unlimited(server.address) as client:
        wrong = await result(client, "login", by_password("ann", "wrong"))
        for selector in NOBODY:
            assert await result(client, "login", by_password(selector)) == wrong
    assert (wrong["error"]["error"], wrong["error"]["reason"]) == AMBIGUOUSLY


@pytest.mark.parametrize("accounts", [{"AMBIGUOUS_ERRORS": False}])
async def test_131_unless_the_settings_want_to_be_helpful(server, world):
    world("make('bare', None)")
    async with unlimited(server.address) as client:
        for selector in NOBODY:
            refused = await error(client, "login", by_password(selector))
            assert refused == (403, "User not found")
        refused = await error(client, "login", by_password("ann", "wrong"))
        assert refused == (403, "Incorrect password")
        refused = await error(client, "login", by_password("bare"))
        assert refused == (403, "User has no password set")


async def test_132_digests_and_plain_passwords(server, world):
    world("make('grin', '😀')")
    smile = "ea645893a930e0872284cf8fbc8d14f66f052aea0bc8d9c4829f08a38219940c"
    async with unlimited(server.address) as client:
        for password in ("secret", digest("secret")):
            options = {"user": {"username": "ann"}, "password": password}
            assert (await client.call("login", options))["type"] == "password"
        # As Meteor's clients make it: each surrogate by itself.
        for password in ("😀", {"digest": smile, "algorithm": "sha-256"}):
            await client.call("login", {"user": {"username": "grin"}, "password": password})
        assert await error(client, "login", by_password("grin", digest("😀"))) == AMBIGUOUSLY


async def test_133_names_and_addresses_in_another_case(server, world):
    world("make('Twin', email='twin@example.org'); make('twin', email='TWIN@example.org')")
    async with unlimited(server.address) as client:
        ann = (await login(client, "ann"))["id"]
        for selector in ({"username": "ANN"}, {"email": "ann@example.org"},
                         {"email": "Ann@Example.ORG"}, {"id": ann}):  # fmt: skip
            assert (await login(client, selector))["id"] == ann
        # As it is written first; of several that are alike none.
        one, two = (await login(client, "Twin"))["id"], (await login(client, "twin"))["id"]
        assert one != two
        assert (await login(client, {"email": "twin@example.org"}))["id"] == one
        for selector in ({"username": "TWIN"}, {"email": "Twin@example.org"}):
            assert await error(client, "login", by_password(selector)) == AMBIGUOUSLY


async def test_134_options_that_do_not_match(server, world):
    async with unlimited(server.address) as client:
        for options in (
            None, "ann", {"resume": 5}, by_password("ann", more=1), by_password({}),
            by_password({"username": "ann", "email": "ann@example.org"}),
            by_password({"username": ""}), by_password({"name": "ann"}),
        ):  # fmt: skip
            assert await error(client, "login", options) == MATCH_FAILED
        for options in ({}, {"unknown": 1}, {"resume": ""}, {"user": {"username": "ann"}}):
            assert await error(client, "login", options) == (
                400,
                "Unrecognized options for login request",
            )


@pytest.mark.parametrize("accounts", [{"SIGNUP": True}])
async def test_135_signing_up_logs_in(server, world):
    async with unlimited(server.address) as client:
        options = {"username": "bob", "email": "bob@example.org", "password": digest("x")}
        mine = await client.call("createUser", options)
        assert list(mine) == ["id", "token", "tokenExpires", "type"]
        assert mine["type"] == "password"
        assert await client.call("test.who") == mine["id"]
        await client.call("logout")
        for taken in ({"username": "BOB"}, {"username": "x", "email": "BOB@example.org"}):
            assert await error(client, "createUser", options | taken) == AMBIGUOUSLY
        missing = await error(client, "createUser", {"password": digest("x")})
        assert missing == (400, "Need to set a username or email")
        assert await client.call("test.who") is None


async def test_135_if_the_project_lets_clients_sign_up(server, world):
    async with connect(server.address) as client:
        options = {"username": "bob", "password": digest("x")}
        assert await error(client, "createUser", options) == (403, "Signups forbidden")


async def test_136_ones_own_document_and_nothing_else(server, world):
    world("make('bob', email='bob@example.org', first_name='Bob')")
    async with connect(server.address) as client:
        assert await client.call("test.mark") is None
        assert client.docs("users") == {}
        mine = (await login(client, "ann"))["id"]
        shown = {"username": "ann", "emails": [{"address": "ann@example.org", "verified": False}]}
        assert client.docs("users") == {mine: shown}
        world("ann = user('ann'); ann.email = 'new@example.org'; ann.last_name = 'x'; ann.save()")
        world("bob = user('bob'); bob.email = 'new@example.com'; bob.save()")
        shown = shown | {"emails": [{"address": "new@example.org", "verified": False}]}
        await client.shows("users", {mine: shown})
        assert {each["collection"] for each in client.data()} == {"users"}
        assert {each["id"] for each in client.data()} == {mine}


PROFILE = {"PROFILE": ["first_name", "last_name"]}


@pytest.mark.parametrize("accounts", [PROFILE])
async def test_136_the_profile_holds_what_the_project_names(server, world):
    async with connect(server.address) as client:
        mine = (await login(client, "ann"))["id"]
        assert client.docs("users")[mine]["profile"] == {"first_name": "", "last_name": ""}
        world("ann = user('ann'); ann.first_name = 'Ann'; ann.save()")
        await client.until(
            lambda: client.docs("users")[mine]["profile"] == {"first_name": "Ann", "last_name": ""}
        )


async def test_137_logging_out(server, world):
    async with connect(server.address) as client:
        assert await result(client, "logout") == {}
        await login(client, "ann")
        world("assert user('ann').ddp_login_tokens.count() == 1")
        assert await result(client, "logout") == {}
        assert client.docs("users") == {}
        assert await client.call("test.who") is None
        world("assert user('ann').ddp_login_tokens.count() == 0")
        assert await result(client, "logout") == {}


async def test_139_a_new_token_expires_when_the_old_one_does(server, world):
    async with unlimited(server.address) as client:
        for method in ("getNewToken", "removeOtherTokens", "logoutOtherClients"):
            refused = (await result(client, method))["error"]
            assert refused["error"] == "You are not logged in."
            assert "reason" not in refused
        old = await login(client, "ann")
        new = await client.call("getNewToken")
        assert list(new) == ["id", "token", "tokenExpires"]
        assert (new["id"], new["tokenExpires"]) == (old["id"], old["tokenExpires"])
        assert new["token"] != old["token"]
        assert TOKEN.fullmatch(new["token"])
        # The connection rests on the new one: it is not closed with the old one.
        assert await result(client, "removeOtherTokens") == {}
        assert await error(client, "login", {"resume": old["token"]}) == LOGGED_OUT
        assert await client.call("login", {"resume": new["token"]}) == new | {"type": "resume"}


@pytest.mark.parametrize("method", ["removeOtherTokens", "logoutOtherClients"])
async def test_139_others_are_closed_and_the_caller_is_not(server, other, world, method):
    async with (
        connect(server.address) as caller,
        connect(server.address) as second,
        connect(other.address) as third,
    ):
        tokens = [(await login(each, "ann"))["token"] for each in (second, third)]
        mine = await login(caller, "ann")
        got = await result(caller, method)
        await ends(second)
        await ends(third)
        if method == "logoutOtherClients":
            assert list(got["result"]) == ["token", "tokenExpires"]
            tokens.append(mine["token"])
            mine = mine | got["result"]
        assert await caller.call("test.who") == mine["id"]
        for token in tokens:
            assert await error(caller, "login", {"resume": token}) == LOGGED_OUT
        assert (await caller.call("login", {"resume": mine["token"]}))["id"] == mine["id"]


async def test_140_changing_the_password(server, other, world):
    old, new = digest("secret"), digest("another")
    async with unlimited(server.address) as client, connect(other.address) as second:
        assert await error(client, "changePassword", old, new) == (401, "Must be logged in")
        mine = await login(client, "ann")
        token = (await login(second, "ann"))["token"]
        assert await error(client, "changePassword", digest("wrong"), new) == AMBIGUOUSLY
        assert await error(client, "changePassword", None, new) == MATCH_FAILED
        assert await client.call("changePassword", old, new) == {"passwordChanged": True}
        await ends(second)
        assert await client.call("test.who") == mine["id"]
        assert await error(client, "login", {"resume": token}) == LOGGED_OUT
        assert await error(client, "login", by_password("ann", "secret")) == AMBIGUOUSLY
        assert (await login(client, "ann", "another"))["id"] == mine["id"]
        assert (await client.call("login", {"resume": mine["token"]}))["id"] == mine["id"]


async def test_142_the_services_to_log_in_with_are_none(server, world):
    async with connect(server.address) as client:
        await client.sub("meteor.loginServiceConfiguration")
        assert client.data() == []
        service = {"service": "github", "clientId": "x", "secret": "y"}
        assert await error(client, "configureLoginService", service) == (403, "Service unknown")


@pytest.mark.parametrize("accounts", [{"HOOKS": ["accountsite.hooks"]}])
async def test_143_who_validates_attempts_may_refuse(server, world):
    world("make('false'); make('objects')")
    async with unlimited(server.address) as client:
        await login(client, "ann")
        await client.call("logout")
        assert await error(client, "login", by_password("false")) == (403, "Login forbidden")
        # An error that is there stays, and one that is raised takes its place.
        assert await error(client, "login", by_password("false", "wrong")) == AMBIGUOUSLY
        assert await error(client, "login", by_password("objects")) == (403, "Not today")
        assert await error(client, "login", by_password("objects", "x")) == (403, "Not today")
        assert await client.call("test.who") is None
        assert client.docs("users") == {}
