"""140 and 141: passwords and addresses by links in mails. See docs/reference/conformance.md."""

from __future__ import annotations

import pytest
from accounts import AMBIGUOUS, by_password, connect, digest, error, result
from accounts_site import *  # noqa: F403
from mail_links import (
    EXPIRED,
    NEW,
    OLD,
    RESET,
    VERIFY,
    VERIFY_EXPIRED,
    People,
    forgot,
    mails,
    opened,
    tokens,
)

pytestmark = pytest.mark.pg

ANN = {"email": "ann@example.org"}


@pytest.fixture
def people(shell):
    people = People(shell)
    people.add()
    return people


async def test_140_a_changed_password_takes_links_back(server, people):
    async with connect(server.address) as client:
        token = await forgot(client)
        await client.call("login", by_password(ANN, OLD))
        changed = await result(client, "changePassword", digest(OLD), digest(NEW))
        assert changed == {"result": {"passwordChanged": True}}
        assert await opened(client, RESET, token) == EXPIRED


async def test_141_forgot_password_mails_a_link_and_has_no_result(server, people):
    async with connect(server.address) as client:
        assert await result(client, "forgotPassword", {"email": "ANN@example.org"}) == {}
        ((to,),) = [mail["to"] for mail in await mails(client)]
        assert to == "ann@example.org"
        assert len(await tokens(client, "reset-password")) == 1


async def test_141_forgot_password_does_not_say_who_is_known(server, people):
    async with connect(server.address) as client:
        assert await result(client, "forgotPassword", {"email": "nobody@example.org"}) == {}
        assert await mails(client) == []


@pytest.mark.parametrize("accounts", [{"AMBIGUOUS_ERRORS": False}], ids=["frank"])
async def test_141_forgot_password_may_be_frank(server, people):
    async with connect(server.address) as client:
        unknown = {"email": "nobody@example.org"}
        assert await error(client, "forgotPassword", unknown) == (403, "User not found")


@pytest.mark.parametrize("params", [[], [{}], ["ann"], [{**ANN, "x": 1}], [{"email": None}]])
async def test_141_forgot_password_takes_an_address_and_nothing_else(server, people, params):
    async with connect(server.address) as client:
        assert await error(client, "forgotPassword", *params) == (400, "Match failed")


async def test_141_reset_password_logs_in_and_everybody_else_out(server, other, people):
    async with connect(server.address) as client, connect(other.address) as elsewhere:
        await elsewhere.call("login", by_password(ANN, OLD))
        token = await forgot(client)
        login = (await result(client, "resetPassword", token, digest(NEW)))["result"]
        assert list(login) == ["id", "token", "tokenExpires", "type"]
        assert list(login["tokenExpires"]) == ["$date"]
        assert (len(login["token"]), login["type"]) == (43, "password")
        (email,) = client.docs("users")[login["id"]]["emails"]
        assert email == {"address": "ann@example.org", "verified": True}
        await elsewhere._reader
    async with connect(other.address) as client:
        assert await error(client, "login", by_password(ANN, OLD)) == (403, AMBIGUOUS)
        await client.call("login", by_password(ANN, NEW))


async def test_141_verify_email_logs_in(server, people):
    async with connect(server.address) as client:
        login = (await result(client, "verifyEmail", people.token("verify-email")))["result"]
        assert list(login) == ["id", "token", "tokenExpires", "type"]
        (email,) = client.docs("users")[login["id"]]["emails"]
        assert email == {"address": "ann@example.org", "verified": True}


async def test_141_a_link_works_once(server, people):
    resets, enrolls = people.token("reset-password"), people.token("enroll-account")
    async with connect(server.address) as client:
        assert await opened(client, RESET, resets) is None
        assert await opened(client, RESET, resets) == EXPIRED
        assert await opened(client, RESET, enrolls) == EXPIRED
        people.shell("ann.ddp_verified_addresses.all().delete()")
        verifies = people.token("verify-email")
        assert await opened(client, VERIFY, verifies) is None
        assert await opened(client, VERIFY, verifies) == VERIFY_EXPIRED


async def test_141_links_expire(server, people):
    async with connect(server.address) as client:
        for purpose, days in {"reset-password": 3, "enroll-account": 30}.items():
            assert await opened(client, RESET, people.token(purpose, days_ago=days + 1)) == EXPIRED
        assert await opened(client, RESET, "nothing") == EXPIRED
        assert await opened(client, VERIFY, "nothing") == VERIFY_EXPIRED


async def test_141_a_link_is_for_one_address(server, people):
    resets, verifies = people.token("reset-password"), people.token("verify-email")
    people.change(email="other@example.org")
    async with connect(server.address) as client:
        unknown = (403, "Token has invalid email address")
        assert await opened(client, RESET, resets) == unknown
        unknown = (403, "Verify email link is for unknown address")
        assert await opened(client, VERIFY, verifies) == unknown


@pytest.mark.parametrize("frank", [False, True])
@pytest.mark.parametrize("how", [RESET, VERIFY], ids=["reset", "verify"])
async def test_141_with_a_second_factor_it_is_done_without_a_login(project, people, how, frank):
    people.add("careful")
    done = "Changed password" if how is RESET else "Email verified"
    reason = f"{done}, but user not logged in because 2FA is enabled" if frank else AMBIGUOUS
    token = people.token("reset-password" if how is RESET else "verify-email", "careful")
    project.env["TEST_ACCOUNTS"] = (
        f'{{"HOOKS": ["accountsite.mailbox.factor"], "AMBIGUOUS_ERRORS": {str(not frank).lower()}}}'
    )
    server = project.serve()
    async with connect(server.address) as client:
        assert await opened(client, how, token) == ("2fa-enabled", reason)
        assert client.docs("users") == {}
    assert people.verified("careful") == ["careful@example.org"]
    assert server.end() == 0
