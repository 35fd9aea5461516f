"""A connection rests on its login: when that is taken back, anywhere, it is closed."""

from __future__ import annotations

import asyncio
import json

import pytest
import websockets
from ddp_client import PATIENCE, connect

pytestmark = pytest.mark.pg

MAKE_USERS = """
def make(*names):
    for name in names:
        User.objects.create(**{User.USERNAME_FIELD: name})
def user(name):
    return User.objects.get(**{User.USERNAME_FIELD: name})
make("ann", "bob")
"""

HELD_FOR_NOBODY = {
    "sessions": 1, "detached": 0, "observers": 0, "tables": 0, "polled": 0, "topics": [],
    "bindings": 0,
}  # fmt: skip


@pytest.fixture
def world(shell):
    shell(MAKE_USERS)
    return shell


async def watched(client, observers: int = 3) -> None:
    """Wait until the server watches, of each user the login, the row and the own document."""
    await reaches(client, observers=observers)


async def reaches(client, **wanted) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            held = await client.call("test.held")
            if all(held[name] == value for name, value in wanted.items()):
                return


async def is_closed(client) -> None:
    async with asyncio.timeout(PATIENCE):
        await client.socket.wait_closed()
    assert client.socket.close_code == 1000


ANNS = "LoginToken.objects.filter(user=user('ann'))"

TAKEN_BACK = [
    f"for row in {ANNS}: row.delete()",
    f"{ANNS}.delete()",
    "user('ann').delete()",
    "ann = user('ann'); ann.is_active = False; ann.save()",
]

TAKEN_BACK_UNSEEN_BY_DJANGO = [
    "connection.cursor().execute('DELETE FROM ddpcore_accounts_logintoken')",
    "connection.cursor().execute('TRUNCATE ddpcore_accounts_logintoken')",
    "User.objects.update(is_active=False)",
]


@pytest.mark.parametrize("users", ["django", "custom"])
@pytest.mark.parametrize("capture", ["signals", "triggers"])
async def test_whoever_takes_it_back(server, other, world, capture):
    also = TAKEN_BACK_UNSEEN_BY_DJANGO if capture == "triggers" else []
    async with connect(server.address) as witness:
        for code in TAKEN_BACK + also:
            async with connect(server.address) as first, connect(other.address) as second:
                await first.call("test.bind", "ann")
                await second.call("test.bind", "ann")
                await watched(witness)
                await watched(second)
                world(code)
                await is_closed(first)
                await is_closed(second)
                await reaches(witness, **HELD_FOR_NOBODY)
            world("User.objects.filter(**{User.USERNAME_FIELD: 'ann'}).delete(); make('ann')")


async def test_others_stay(server, other, world):
    async with (
        connect(server.address) as ann,
        connect(other.address) as ann_elsewhere,
        connect(server.address) as bob,
    ):
        _, row = await ann.call("test.bind", "ann")
        await ann_elsewhere.call("test.bind", "ann")
        await bob.call("test.bind", "bob")
        await watched(bob, 6)
        await watched(ann_elsewhere)
        world(f"LoginToken.objects.filter(pk={row}).delete()")
        await is_closed(ann)
        assert await ann_elsewhere.call("test.is_somebody")
        world("user('bob').save(); user('ann').save()")
        assert await bob.call("test.is_somebody")
        assert await ann_elsewhere.call("test.is_somebody")


async def test_who_logs_out_stays_connected(server, world):
    async with connect(server.address) as client:
        _, row = await client.call("test.bind", "ann")
        await watched(client)
        assert await client.call("test.unbind") == row
        assert await client.call("test.rows") == []
        assert await client.call("test.bound") is None
        await client.call("test.bind", "bob")
        await watched(client)
        await client.call("test.unbind")
        await reaches(client, observers=0, topics=[])


async def test_who_logs_in_again_rests_on_the_new_login(server, world):
    async with connect(server.address) as client:
        _, first = await client.call("test.bind", "ann")
        _, second = await client.call("test.bind", "bob")
        await watched(client)
        world(f"LoginToken.objects.filter(pk={first}).delete()")
        assert await client.call("test.bound") == second
        world(f"LoginToken.objects.filter(pk={second}).delete()")
        await is_closed(client)


@pytest.mark.parametrize(
    "code", ["row.delete()", "ann.is_active = False; ann.save()", "ann.delete()", ""]
)
async def test_what_is_gone_before_it_is_watched(server, world, code):
    world(
        "from ddpcore_django.accounts import tokens\n"
        "ann = user('ann'); row = tokens.issue(ann).row; pk = row.pk; ident = str(ann.pk)\n" + code
    )
    world.start("print(pk, ident, flush=True)")
    pk, user_id = world.line().split()
    world.finished()
    async with connect(server.address) as client:
        if code:  # which may be before the result
            params = [int(pk), user_id]
            await client.send(msg="method", id="m", method="test.bind_row", params=params)
            await is_closed(client)
        else:
            await client.call("test.bind_row", int(pk), user_id)
            await watched(client)


async def test_a_method_that_fails_leaves_nobody_logged_in(server, world):
    async with connect(server.address) as client:
        # It may be closed before there is an answer.
        with pytest.raises(Exception, match=r"no way|connection closed"):
            await client.call("test.bind_then_fail", "ann")
        await is_closed(client)


async def test_a_logout_that_fails_leaves_nobody_logged_in(server, world):
    async with connect(server.address) as client:
        await client.call("test.bind", "ann")
        with pytest.raises(Exception, match="no way"):
            await client.call("test.unbind_then_fail")
        await is_closed(client)


async def test_a_session_that_waits_is_not_resumable_any_more(server, world):
    async with connect(server.address) as witness, connect(server.address) as client:
        _, row = await client.call("test.bind", "ann")
        await watched(witness)
        session = (await client.message(msg="connected"))["session"]
        client.socket.transport.abort()
        await reaches(witness, detached=1)
        world(f"LoginToken.objects.filter(pk={row}).delete()")
        await reaches(witness, **HELD_FOR_NOBODY)
        assert (await came_back(server, session, len(client.messages)))["session"] != session


async def test_a_session_that_waits_is_resumable_while_its_login_lasts(server, world):
    async with connect(server.address) as witness, connect(server.address) as client:
        await client.call("test.bind", "ann")
        await watched(witness)
        session = (await client.message(msg="connected"))["session"]
        client.socket.transport.abort()
        await reaches(witness, detached=1)
        world("LoginToken.objects.filter(user=user('bob')).delete(); user('bob').delete()")
        assert (await came_back(server, session, len(client.messages)))["session"] == session


async def came_back(server, session: str, received: int) -> dict:
    async with websockets.connect(f"ws://{server.address}/websocket") as socket:
        hello = {"msg": "connect", "version": "1", "support": ["1"]}
        await socket.send(json.dumps(hello | {"session": session, "receivedCount": received}))
        return json.loads(await socket.recv())


async def test_nothing_is_left_of_those_who_are_gone(server, world):
    async with connect(server.address) as witness:
        for turn in range(6):
            async with connect(server.address) as client:
                await client.call("test.bind", "ann")
                if turn % 3 == 1:
                    await client.call("test.bind", "bob")
                if turn % 3 == 2:
                    await client.call("test.mark")  # it may be watched by now, or not
                    await client.call("test.unbind")
                if turn % 2:
                    await client.send(msg="method", id="m", method="test.bind", params=["bob"])
                await client.socket.close()
        await reaches(witness, **HELD_FOR_NOBODY)


@pytest.mark.parametrize("capture", ["signals", "triggers"])
async def test_a_listener_that_was_cut_off(server, world, capture):
    async with connect(server.address) as client, connect(server.address) as witness:
        await client.call("test.bind", "ann")
        await watched(witness)
        world(
            "with transaction.atomic():\n"
            "    cursor = connection.cursor()\n"
            '    cursor.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "\n'
            "        \"WHERE query ILIKE '%LISTEN%' AND pid <> pg_backend_pid()\")\n"
            "    assert cursor.fetchone()[0]\n"
            "    cursor.execute('DELETE FROM ddpcore_accounts_logintoken')\n"
        )
        await is_closed(client)


async def test_who_cannot_be_watched_is_closed(server, project, pg_cluster, pg_name):
    async with connect(server.address) as client:
        pg_cluster.execute(f'ALTER DATABASE "{pg_name}" ALLOW_CONNECTIONS false')
        pg_cluster.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{pg_name}'"
        )
        await client.call("test.bind_unseen", 1, "1")
        await is_closed(client)
    pg_cluster.execute(f'ALTER DATABASE "{pg_name}" ALLOW_CONNECTIONS true')
