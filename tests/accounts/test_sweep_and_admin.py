"""Logins end: swept when they have expired, or taken back in the admin. And system checks."""

from __future__ import annotations

import asyncio

import pytest
from ddp_client import PATIENCE, connect

pytestmark = pytest.mark.pg

MAKE_LOGINS = """
from datetime import timedelta
from django.contrib.auth import get_user_model
from django.utils import timezone
from ddpcore_django.accounts import tokens
now = timezone.now()
ann = User.objects.create(**{User.USERNAME_FIELD: "ann"})
old, last, new = [tokens.issue(ann, now + timedelta(days=days)) for days in (-30, 0, 30)]
"""


async def rows_become(client, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(await client.call("test.rows")) != count:
            pass


async def test_expired_logins_are_swept_at_the_start(project, shell):
    shell(MAKE_LOGINS)
    server = project.serve()
    async with connect(server.address) as client:
        await rows_become(client, 1)
    shell("assert LoginToken.objects.get() == new.row")
    assert server.end() == 0


@pytest.mark.parametrize("accounts", [{"SWEEP_INTERVAL": 0.05}])
async def test_and_later_by_each_process(server, other, shell):
    shell(MAKE_LOGINS)
    async with connect(server.address) as client, connect(other.address) as away:
        await rows_become(client, 1)
        _, row = await away.call("test.bind", "ann")
        await rows_become(client, 2)
        shell(f"LoginToken.objects.filter(pk={row}).update(expires=now)")
        async with asyncio.timeout(PATIENCE):
            await away.socket.wait_closed()
        await rows_become(client, 1)


@pytest.mark.parametrize("accounts", [{"SWEEP_INTERVAL": 0.05}])
async def test_a_sweep_that_fails_is_tried_again(server, shell):
    shell("connection.cursor().execute('ALTER TABLE ddpcore_accounts_logintoken RENAME TO away')")
    await server.logs("could not be deleted")
    shell("connection.cursor().execute('ALTER TABLE away RENAME TO ddpcore_accounts_logintoken')")
    shell(MAKE_LOGINS)
    async with connect(server.address) as client:
        await rows_become(client, 1)


ADMIN = """
from django.test import Client
root = User.objects.create_superuser(**{User.USERNAME_FIELD: "root", "password": "secret"})
site = Client()
site.force_login(root)
URL = "/admin/ddpcore_accounts/logintoken/"
"""


@pytest.mark.parametrize("users", ["django", "custom"])
@pytest.mark.parametrize("accounts", [{"SWEEP_INTERVAL": 0}])
async def test_the_admin_takes_logins_back(server, shell):
    shell(MAKE_LOGINS + ADMIN)
    shell(
        "for path in (URL, f'{URL}{new.row.pk}/change/', f'{URL}{new.row.pk}/delete/', f'{URL}?q=an'):\n"
        "    answer = site.get(path)\n"
        "    assert answer.status_code == 200, (path, answer.status_code)\n"
        "    text = answer.content.decode()\n"
        "    assert 'ann' in text\n"
        "    for login in (old, last, new):\n"
        "        assert login.token not in text and login.row.hashed not in text\n"
        "        assert login.row.hashed.rstrip('=') not in text\n"
        "assert site.get(f'{URL}add/').status_code == 403\n"
        "assert site.post(f'{URL}{new.row.pk}/change/', {'hashed': 'x'}).status_code == 403\n"
        "assert 'ann' not in site.get(f'{URL}?q=nobody').content.decode()\n"
    )
    async with connect(server.address) as first, connect(server.address) as second:
        _, one = await first.call("test.bind", "ann")
        _, two = await second.call("test.bind", "ann")
        shell(f"assert site.post(f'{{URL}}{one}/delete/', {{'post': 'yes'}}).status_code == 302")
        async with asyncio.timeout(PATIENCE):
            await first.socket.wait_closed()
        await second.call("test.mark")
        shell(
            "assert site.post(URL, {'action': 'delete_selected', "
            f"'_selected_action': ['{two}'], 'post': 'yes'}}).status_code == 302"
        )
        async with asyncio.timeout(PATIENCE):
            await second.socket.wait_closed()


CHECK = """
from django.test import override_settings
from ddpcore_django.checks import before_serving
from django.core import checks
def ids(**settings):
    with override_settings(**settings):
        found = checks.run_checks(tags=["ddpcore"])
    return sorted(each.id for each in found)
ours = "accountsite.hashers.FastMeteorHasher"
djangos = "django.contrib.auth.hashers.PBKDF2PasswordHasher"
"""


def test_system_checks(shell):
    shell(CHECK)
    for settings, expected in [
        ({}, []),
        ({"DDPCORE_ACCOUNTS": {"NO_SUCH": 1, "ROOT_URL": "/"}}, ["ddpcore.E101"]),
        ({"DDPCORE_ACCOUNTS": {}}, ["ddpcore.W102"]),
        ({"DDPCORE_ACCOUNTS": {"COOKIE_LOGIN": True}}, []),
        ({"DDPCORE_ACCOUNTS": {"SEND_VERIFICATION": True}}, ["ddpcore.E104"]),
    ]:
        shell(f"found = ids(**{settings!r}); assert found == {expected!r}, found")
    shell("found = ids(PASSWORD_HASHERS=[djangos]); assert found == ['ddpcore.E103'], found")
    shell("found = ids(PASSWORD_HASHERS=[djangos, ours]); assert found == ['ddpcore.W101'], found")
    shell("found = ids(PASSWORD_HASHERS=[ours]); assert found == [], found")


@pytest.mark.parametrize("users", ["django", "custom"])
def test_what_anybody_may_listen_to(shell):
    shell(
        "from ddpcore_django.rows import travelling\n"
        "names = lambda model: {column.name for column in travelling(model)}\n"
        "assert names(LoginToken) == {'id'}, names(LoginToken)\n"
        "assert names(User) == {'id', 'is_active'}, names(User)\n"
    )
