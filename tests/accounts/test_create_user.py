"""Accounts that clients make."""

from __future__ import annotations

import asyncio
import json

import pytest
from accounts import AMBIGUOUS, USERS, CallError, digest, error, login, result, unlimited

pytestmark = pytest.mark.pg

AMBIGUOUSLY = (403, AMBIGUOUS)
FORBIDDEN = "User validation failed"


@pytest.fixture
def accounts():
    return {"SIGNUP": True}


@pytest.fixture
def world(shell):
    shell(USERS)
    return shell


def new(**options):
    return {"password": digest("a good one"), **options}


async def test_who_signs_up_is_logged_in(server, world):
    async with unlimited(server.address) as client:
        made = await client.call("createUser", new(username="ann", email="ann@EXAMPLE.org"))
        assert list(made) == ["id", "token", "tokenExpires", "type"]
        assert await client.call("test.user") == [made["id"], "ann", True]
        shown = {"username": "ann", "emails": [{"address": "ann@example.org", "verified": False}]}
        await client.shows("users", {made["id"]: shown})
        await login(client, {"email": "ann@example.org"}, "a good one")
    world("assert not user('ann').is_staff and not user('ann').is_superuser")
    world("assert user('ann').check_password('a good one')")


async def test_an_address_is_a_name_where_there_is_no_other(server, world):
    async with unlimited(server.address) as client:
        made = await client.call("createUser", new(email="ann@example.org"))
        assert (await login(client, {"username": "ann@example.org"}, "a good one"))["id"] == (
            made["id"]
        )


async def test_an_account_without_a_password_has_none(server, world):
    async with unlimited(server.address) as client:
        await client.call("createUser", {"username": "ann"})
        for password in ("", None):
            refused = await error(
                client, "login", {"user": {"username": "ann"}, "password": password}
            )
            assert refused == (400, "Unrecognized options for login request")
        assert await error(client, "changePassword", digest("x"), digest("y")) == AMBIGUOUSLY
    world("assert not user('ann').has_usable_password()")


async def test_names_and_addresses_are_taken_in_any_case(server, world):
    world("make('Ann', email='Ann@example.org')")
    async with unlimited(server.address) as client:
        for options in ({"username": "aNN"}, {"email": "ann@EXAMPLE.ORG"},
                        {"username": "other", "email": "ANN@example.org"}):  # fmt: skip
            assert await error(client, "createUser", new(**options)) == AMBIGUOUSLY
        assert await client.call("test.who") is None
    world("assert User.objects.count() == 1")


@pytest.mark.parametrize("accounts", [{"SIGNUP": True, "AMBIGUOUS_ERRORS": False}])
async def test_what_is_taken_is_said_if_the_settings_want_it(server, world):
    world("make('Ann', email='Ann@example.org')")
    async with unlimited(server.address) as client:
        assert await error(client, "createUser", new(username="aNN")) == (
            403,
            "Username already exists.",
        )
        assert await error(client, "createUser", new(username="x", email="ann@example.ORG")) == (
            403,
            "Email already exists.",
        )


async def test_of_many_who_want_a_name_at_once_one_gets_it(server, other, world):
    """The database has no constraint that would know Bob from bob."""
    names = ["Bob", "bob", "BOB", "bOB"]

    async def sign_up(address, name, email):
        async with unlimited(address) as client:
            try:
                return await client.call("createUser", new(username=name, email=email))
            except CallError as problem:
                assert problem.error["reason"] == AMBIGUOUS
                return None

    async with unlimited(server.address), unlimited(other.address):
        for round_ in range(5):
            made = await asyncio.gather(
                *(
                    sign_up(each.address, f"{name}{round_}", f"{name}{round_}@example.org")
                    for name in names
                    for each in (server, other)
                )
            )
            assert len([each for each in made if each]) == 1
    world("assert User.objects.count() == 5")


@pytest.mark.parametrize("accounts", [{}])
async def test_nobody_signs_up_unless_the_project_wants_it(server, world):
    async with unlimited(server.address) as client:
        for options in (new(username="ann"), {}):
            refused = await error(client, "createUser", options)
            assert refused == (403, "Signups forbidden")
    world("assert not User.objects.exists()")


@pytest.mark.parametrize("accounts", [{"SIGNUP": True, "EMAIL_DOMAIN": "example.org"}])
async def test_only_addresses_of_a_domain(server, world):
    async with unlimited(server.address) as client:
        for options in ({"username": "ann"}, {"email": "ann@example.com"},
                        {"email": "ann@notexample.org"}, {"email": "ann@example.org.evil.com"},
                        {"email": "ann@sub.example.org"}):  # fmt: skip
            refused = await error(client, "createUser", new(**options))
            assert refused == (403, "@example.org email required")
        await client.call("createUser", new(email="ann@EXAMPLE.org"))


@pytest.mark.parametrize("accounts", [{"SIGNUP": True, "SIGNUP_PROFILE": ["first_name"]}])
async def test_a_profile_sets_what_the_settings_name(server, world):
    profile = {"first_name": "Ann", "last_name": "Doe", "is_staff": True, "is_superuser": True}
    async with unlimited(server.address) as client:
        await client.call("createUser", new(username="ann", profile=profile))
        for wrong in ({"$gt": ""}, ["x"], "a\0b"):
            refused = await error(
                client, "createUser", new(username="bob", profile={"first_name": wrong})
            )
            assert refused == (400, "Match failed")
        long = {"first_name": "x" * 151}
        refused = await result(client, "createUser", new(username="bob", profile=long))
        assert refused["error"]["reason"] == FORBIDDEN
        assert list(refused["error"]["details"]) == ["first_name"]
    world("ann = user('ann'); assert (ann.first_name, ann.last_name) == ('Ann', '')")
    world("assert not ann.is_staff and not ann.is_superuser")


async def test_what_the_model_refuses(server, world):
    async with unlimited(server.address) as client:
        for options in ({"username": "a b"}, {"username": "x" * 151}, {"email": "nonsense"},
                        {"username": "ann", "email": "ann@"}):  # fmt: skip
            refused = await error(client, "createUser", new(**options))
            assert refused == (403, FORBIDDEN), options
        assert (await error(client, "createUser", new(username="a\0b")))[0] == 400
    world("assert not User.objects.exists()")


VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]


@pytest.mark.parametrize("env", [{"TEST_VALIDATORS": json.dumps(VALIDATORS)}])
async def test_the_validators_of_passwords_are_asked(server, world):
    async with unlimited(server.address) as client:
        for name, password in (("ann", "short"), ("ann", "12345678901"), ("ann", "password123"),
                               ("annabella", "annabella1")):  # fmt: skip
            refused = await error(client, "createUser", {"username": name, "password": password})
            assert refused[0] == 403, password
            assert "password" in refused[1].lower()
        for password in ("password", "annabella", ""):
            options = {"username": "annabella", "password": digest(password)}
            refused = await error(client, "createUser", options)
            assert refused[0] == 403, password
        good = "correct horse battery"
        await client.call("createUser", {"username": "annabella", "password": good})
        refused = await error(client, "changePassword", good, "short")
        assert refused[0] == 403
        refused = await error(client, "changePassword", digest(good), digest("annabella"))
        assert refused[0] == 403
        await client.call("changePassword", good, digest(good + "!"))


@pytest.mark.parametrize("wrong", ["is_superuser", "password", "groups", "username", "nonsense"])
def test_a_profile_never_gives_rights(project, wrong):
    project.env["TEST_ACCOUNTS"] = f'{{"SIGNUP_PROFILE": ["{wrong}"]}}'
    shell = project.shell()
    shell(f"""
from django.core.exceptions import ImproperlyConfigured
from ddpcore_django.server import make_server
try:
    make_server()
except ImproperlyConfigured as problem:
    assert repr({wrong!r}) in str(problem), problem
else:
    raise AssertionError("it was taken")
""")
