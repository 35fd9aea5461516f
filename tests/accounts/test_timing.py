"""Nobody learns from the work or the answer of a login whether there is an account.

What the clock says is measured outside of CI, in bench/; here hashes and queries are counted.
"""

from __future__ import annotations

import pytest
from accounts import AMBIGUOUS, USERS, by_password, digest, error, result, unlimited

pytestmark = pytest.mark.pg

CASES = {
    "no such name": {"username": "nobody"},
    "no such address": {"email": "nobody@example.org"},
    "no such id": {"id": "4711"},
    "wrong password": {"username": "ann"},
    "by address": {"email": "ann@example.org"},
    "inactive": {"username": "idle"},
    "no usable password": {"username": "bare"},
    "several of that name": {"username": "TWIN"},
}


@pytest.fixture
def world(shell):
    shell(USERS)
    shell("make('ann', email='ann@example.org'); make('idle', is_active=False)")
    shell("make('bare', None); make('twin'); make('Twin')")
    return shell


@pytest.mark.parametrize(
    "env", [{"TEST_HASHERS": '["ddpcore_django.accounts.hashers.PBKDF2DigestHasher"]'}]
)
@pytest.mark.parametrize("password", [digest("wrong"), "wrong"], ids=["digest", "plain"])
async def test_the_same_work_and_the_same_answer(server, world, password):
    work, answers = {}, []
    async with unlimited(server.address) as client:
        for name, selector in CASES.items():
            await client.call("test.spied")
            answers.append(await result(client, "login", by_password(selector, password)))
            spied = await client.call("test.spied")
            work[name] = spied["hashes"], spied["queries"]
    assert [each["error"]["reason"] for each in answers] == [AMBIGUOUS] * len(CASES)
    assert all(each == answers[0] for each in answers)
    assert {hashes for hashes, _ in work.values()} == {1}, work
    queries = {name: count for name, (_, count) in work.items() if name != "no such id"}
    assert len(set(queries.values())) == 1, work


async def test_the_right_password_of_who_is_inactive_is_wrong(server, world):
    async with unlimited(server.address) as client:
        for password in (digest("secret"), "secret"):
            refused = await error(client, "login", by_password("idle", password))
            assert refused == (403, AMBIGUOUS)


async def test_every_refused_digest_is_told_that_the_plain_password_might_do(server, world):
    """As long as the project has hashes of other kinds; whoever asks learns nothing of whom."""
    world("from django.contrib.auth.hashers import PBKDF2PasswordHasher as Old; old = user('bare')")
    world("hasher = Old(); hasher.iterations = 1")
    world("old.password = hasher.encode('secret', 'salt'); old.save()")
    async with unlimited(server.address) as client:
        for name in ("ann", "nobody", "idle", "bare"):
            answer = await result(client, "login", by_password(name, "secret" if name == "bare"
                                                               else "wrong"))  # fmt: skip
            assert answer["error"]["details"] == '{"format":"plain"}', name
            assert answer["error"]["reason"] == AMBIGUOUS
        plain = {"user": {"username": "bare"}, "password": "secret"}
        assert (await client.call("login", plain))["type"] == "password"
        # That made it one of ours.
        assert (await client.call("login", by_password("bare", "secret")))["type"] == "password"


@pytest.mark.parametrize("accounts", [{"AMBIGUOUS_ERRORS": False}])
async def test_without_ambiguity_it_is_said_of_whom_it_is_so(server, world):
    world("from django.contrib.auth.hashers import PBKDF2PasswordHasher as Old; old = user('bare')")
    world("hasher = Old(); hasher.iterations = 1")
    world("old.password = hasher.encode('secret', 'salt'); old.save()")
    async with unlimited(server.address) as client:
        answer = await result(client, "login", by_password("bare", "secret"))
        assert (answer["error"]["error"], answer["error"]["reason"]) == (400, "old password format")


async def test_logs_show_no_secrets(project, world):
    """Nothing of it, also of arguments that do not match, at the most talkative level."""
    project.env["TEST_LOGGING"] = "DEBUG"
    server = project.serve()
    secrets = [digest("secret")["digest"], digest("wrong")["digest"], "plainly", "another one"]
    async with unlimited(server.address) as client:
        mine = await client.call("login", by_password("ann", "secret"))
        secrets.append(mine["token"])
        await error(client, "login", by_password("ann", "wrong"))
        await error(client, "login", {"user": {"username": "ann"}, "password": "plainly"})
        await client.call("login", {"resume": mine["token"]})
        await error(client, "login", {"resume": {"token": mine["token"]}})
        await error(client, "changePassword", "plainly", digest("wrong"))
        await error(client, "changePassword", digest("secret"), 5)
        swapped = {"algorithm": digest("secret")["digest"], "digest": "sha-256"}
        await error(client, "changePassword", swapped, swapped)
        await error(client, "login", by_password("ann", swapped))
        await client.call("changePassword", digest("secret"), "another one")
    assert server.end() == 0
    log = "".join(server.errors)
    assert "do not match" in log  # it is as talkative as it should be
    assert not [each for each in secrets if each in log]
