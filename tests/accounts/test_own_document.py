"""What a client sees of its own user."""

from __future__ import annotations

import pytest
from accounts import USERS, connect, login

pytestmark = pytest.mark.pg


@pytest.fixture
def world(shell):
    shell(USERS)
    shell("make('ann', email='ann@example.org')")
    return shell


VERIFY = """
from ddpcore_django.accounts import addresses
addresses.mark_verified(user('ann'), 'ann@example.org')
"""


@pytest.mark.parametrize("capture", ["triggers", "signals"])
async def test_a_verified_address_is_seen_at_once(server, other, world, capture):
    async with connect(server.address) as here, connect(other.address) as there:
        for client in (here, there):
            mine = (await login(client, "ann"))["id"]
        shown = {"username": "ann", "emails": [{"address": "ann@example.org", "verified": False}]}
        for client in (here, there):
            await client.shows("users", {mine: shown})
        world(VERIFY)
        shown = shown | {"emails": [{"address": "ann@example.org", "verified": True}]}
        for client in (here, there):
            await client.shows("users", {mine: shown})
        # Another address has yet to be.
        world("ann = user('ann'); ann.email = 'other@example.org'; ann.save()")
        shown = shown | {"emails": [{"address": "other@example.org", "verified": False}]}
        for client in (here, there):
            await client.shows("users", {mine: shown})


async def test_a_change_of_one_user_asks_for_no_other(server, world):
    world("make('bob')")
    async with connect(server.address) as ann, connect(server.address) as bob:
        await login(ann, "ann")
        mine = (await login(bob, "bob"))["id"]
        await bob.call("test.mark")
        await ann.call("test.spied")
        world("bob = user('bob'); bob.username = 'robert'; bob.save()")
        await bob.shows("users", {mine: {"username": "robert"}})
        spied = await ann.call("test.spied")
        assert spied["reads"] == ["robert"]


async def test_it_goes_with_the_user(server, world):
    world("make('bob')")
    async with connect(server.address) as client:
        await login(client, "bob")
        world("bob = user('bob'); bob.is_active = False; bob.save()")
        await client.socket.wait_closed()
    assert client.socket.close_code == 1000


NAMED_WRONGLY = ["password", "nonsense", "groups"]


@pytest.mark.parametrize("wrong", [*NAMED_WRONGLY, "path"])
def test_a_profile_that_cannot_be_is_refused(project, wrong):
    given = f'["{wrong}"]' if wrong != "path" else '"accountsite.nonsense.path"'
    project.env["TEST_ACCOUNTS"] = f'{{"PROFILE": {given}}}'
    project.shell()(
        """
from django.core.exceptions import ImproperlyConfigured
from ddpcore_django.server import make_server
try:
    make_server()
except ImproperlyConfigured as problem:
    assert 'PROFILE' in str(problem)
else:
    raise AssertionError("it was taken")
"""
    )


@pytest.mark.parametrize("accounts", [{"PROFILE": "accountsite.hooks.profile"}])
async def test_a_profile_made_by_a_function(server, world):
    async with connect(server.address) as client:
        mine = (await login(client, "ann"))["id"]
        assert client.docs("users")[mine]["profile"] == {"initial": "a"}
