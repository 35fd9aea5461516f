"""Login by the session of the site: only for pages that are known, and while it lasts."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
import websockets
from accounts import error
from ddp_client import PATIENCE, Client

pytestmark = pytest.mark.pg

MAKE_SESSION = """
from django.test import Client
ann = User.objects.create(**{User.USERNAME_FIELD: "ann"})
ann.set_password("secret"); ann.save()
site = Client(); site.force_login(ann)
print(site.cookies["sessionid"].value, ann.pk, flush=True)
"""


@pytest.fixture
def accounts():
    return {"COOKIE_LOGIN": True}


@pytest.fixture
def session(shell):
    shell.start(MAKE_SESSION)
    key, user_id = shell.line().split()
    shell.finished()
    return key, user_id


@asynccontextmanager
async def arriving(server, key, origin="http://localhost"):
    headers = {"Cookie": f"other=1; sessionid={key}"} if key else {}
    async with websockets.connect(
        f"ws://{server.address}/websocket", origin=origin, additional_headers=headers
    ) as socket:
        client = Client(socket)
        await client.send(msg="connect", version="1", support=["1"])
        await client.message(msg="connected")
        yield client


async def becomes(client, user_id) -> None:
    async with asyncio.timeout(PATIENCE):
        while await client.call("test.who") != user_id:
            pass


async def is_closed(client) -> None:
    async with asyncio.timeout(PATIENCE):
        await client.socket.wait_closed()


@pytest.mark.parametrize("users", ["django", "custom"])
async def test_a_session_logs_in_and_out_everywhere(server, other, session, shell):
    key, user_id = session
    async with arriving(server, key) as first, arriving(other, key) as second:
        await becomes(first, user_id)
        await becomes(second, user_id)
        assert await first.call("test.bound") == await second.call("test.bound")
        shell("site.logout()")  # as a view does it, signal included
        await is_closed(first)
        await is_closed(second)
    async with arriving(server, key) as again:
        await settled(again)
        assert await again.call("test.who") is None


@pytest.mark.parametrize(
    ("origin", "named"),
    [
        (None, ()),
        ("http://evil.example", ("--origin", "*")),
        ("null", ("--origin", "*")),
        ("null", ("--origin", "null")),
    ],
)
async def test_pages_that_may_connect_and_not_log_in(project, session, origin, named):
    key, _ = session
    server = project.serve(*named)
    async with arriving(server, key, origin) as client:
        await settled(client)
        assert await client.call("test.rows") == []
    assert server.end() == 0


async def settled(client) -> None:
    """A cookie login, if there were one, would be as quick as these."""
    for _ in range(20):
        await client.call("test.mark")


async def test_a_named_page_may_log_in(project, session):
    key, user_id = session
    server = project.serve("--origin", "http://app.example")
    async with arriving(server, key, "http://app.example") as client:
        await becomes(client, user_id)
    assert server.end() == 0


@pytest.mark.parametrize("accounts", [{}])
async def test_off_by_default(server, session):
    async with arriving(server, session[0]) as client:
        await settled(client)
        assert await client.call("test.rows") == []


@pytest.mark.parametrize(
    "end",
    [
        "ann.is_active = False; ann.save()",
        "ann.set_password('other'); ann.save()",
        "site.session.flush()",
    ],
)
async def test_a_session_that_is_over_does_not_log_in(server, session, shell, end):
    shell(end)
    for key in (session[0], "nonsense", ""):
        async with arriving(server, key) as client:
            await settled(client)
            assert await client.call("test.rows") == []


async def test_who_logs_out_here_stays_connected(server, session):
    key, user_id = session
    async with arriving(server, key) as client:
        await becomes(client, user_id)
        await client.call("test.unbind")
        assert await client.call("test.who") is None


@pytest.mark.parametrize("env", [{"TEST_LOOK": "0.05"}])
@pytest.mark.parametrize(
    "end",
    [
        "ann.set_password('other'); ann.save()",
        "site.session.flush()",
        "connection.cursor().execute(\"UPDATE django_session SET expire_date = '2000-01-01'\")",
    ],
)
async def test_what_ends_a_session_without_a_word(server, session, shell, end):
    key, user_id = session
    async with arriving(server, key) as client:
        await becomes(client, user_id)
        await settled(client)
        assert await client.call("test.who") == user_id
        shell(end)
        await is_closed(client)


async def test_cookies_are_for_nobody_elses_eyes(server, session):
    key, user_id = session
    async with arriving(server, key) as client:
        await becomes(client, user_id)
        assert key not in await client.call("test.seen")


@pytest.mark.parametrize("method", ["getNewToken", "logoutOtherClients"])
async def test_no_token_outlives_the_session(server, session, shell, method):
    key, user_id = session
    async with arriving(server, key) as client:
        await becomes(client, user_id)
        assert await error(client, method) == ("Invalid login token", None)
        shell("site.logout()")
        await is_closed(client)
