"""The client and servers in processes of their own: they stop, they die, they want TLS and passwords."""

from __future__ import annotations

import asyncio
import signal

import pytest
from accounts import USERS
from ddp_client import PATIENCE
from ddp_client import connect as connect_plainly

from ddpcore import MeteorError
from ddpcore.errors import DDPError
from ddpcore_tornado.client import NoConnection, connect


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
async def test_a_server_that_starts_again(serve, how):
    first = await asyncio.to_thread(serve)
    async with connect(first.address, fraction=lambda: 0.0) as client:
        assert [await client.call("count") for _ in range(2)] == [1, 2]
        await client.subscribe("things").ready()
        assert dict(client.collection("things")) == {"1": {"runs": 2}}
        changes = client.collection("things").changes()
        await asyncio.to_thread(first.end, how)
        call = asyncio.create_task(client.call("count"))
        await asyncio.to_thread(serve, bind=first.address)
        assert await call == 1  # another server: it counts anew
        change = await anext(changes)
        assert (change.kind, dict(change.fields)) == ("changed", {"runs": 1})
        assert client.connected.is_set()


# --- TLS ---------------------------------------------------------------------------------------


async def test_tls(serve, certificate, expect_log):
    expect_log("tornado.general", "certificate verify failed")
    cert, key = certificate
    server = await asyncio.to_thread(serve, "--certfile", cert, "--keyfile", key)
    url = f"https://{server.address}"
    async with connect(url, cafile=cert) as client:
        assert await client.call("count") == 1
    with pytest.raises(NoConnection, match=r"not trusted: self.signed"):
        async with connect(url):
            pass
    async with connect(url, insecure=True) as client:
        assert await client.call("count") == 2
    elsewhere = url.replace("127.0.0.1", "localhost")
    with pytest.raises(NoConnection, match="not trusted: Hostname mismatch"):
        async with connect(elsewhere, cafile=cert):
            pass
    with pytest.raises(NoConnection, match="https://"):
        async with connect(f"http://{server.address}"):
            pass
    with pytest.raises(DDPError, match=r"certificates in none\.pem"):
        async with connect(url, cafile="none.pem"):
            pass


async def test_tls_where_there_is_none(serve):
    server = await asyncio.to_thread(serve)
    with pytest.raises(NoConnection, match="TLS"):
        async with connect(f"https://{server.address}", connect_timeout=0.5):
            pass


# --- accounts ----------------------------------------------------------------------------------


@pytest.fixture
def somebody(shell):
    shell(USERS)
    shell("make('emma', email='emma@example.org'); make('tee', '🍵 pot')")


async def test_log_in_by_password_and_token(somebody, server):
    async with connect(server.address) as client:
        assert (await client.call("test.who"), client.user_id) == (None, None)
        with pytest.raises(MeteorError) as caught:
            await client.login(user="emma", password="wrong")
        assert caught.value.error == 403
        login = await client.login(user="emma", password="secret")
        assert await client.call("test.who") == login.user_id == client.user_id
        assert login.token not in repr(login)
        assert login.expires.year > 2020
        assert client.collection("users")[login.user_id]["username"] == "emma"
        with pytest.raises(TypeError):
            await client.login(user="emma")
    async with connect(server.address) as client:
        again = await client.login(token=login.token)
        assert again.user_id == login.user_id
        await client.logout()
        assert (await client.call("test.who"), client.user_id) == (None, None)
        assert not client.collection("users")
        with pytest.raises(MeteorError, match="logged out"):
            await client.login(token=login.token)


async def test_log_in_by_mail_address_and_with_any_password(somebody, server):
    async with connect(server.address) as client:
        emma = await client.login(user="emma@example.org", password="secret")
        tee = await client.login(user={"username": "tee"}, password="🍵 pot")
        assert emma.user_id != tee.user_id == await client.call("test.who")


async def test_after_a_restart_the_user_is_the_same(somebody, project):
    first = await asyncio.to_thread(project.serve)
    async with connect(first.address, fraction=lambda: 0.0) as client:
        login = await client.login(user="emma", password="secret")
        await asyncio.to_thread(first.end, signal.SIGKILL)
        call = asyncio.create_task(client.call("test.who"))
        second = await asyncio.to_thread(project.serve, "--bind", first.address)
        assert await call == login.user_id
        assert client.collection("users")[login.user_id]["username"] == "emma"
        assert await asyncio.to_thread(second.end) == 0


async def test_a_login_that_is_taken_back(somebody, server, expect_log):
    expect_log("ddpcore_tornado.client", "does not take the login back")
    async with connect(server.address) as client, connect_plainly(server.address) as other:
        login = await client.login(user="emma", password="secret")
        # Somebody else with the token logs out; the server closes this connection.
        await other.call("login", {"resume": login.token})
        await other.call("logout")
        async with asyncio.timeout(PATIENCE):
            while client.user_id is not None:
                await asyncio.sleep(0.01)
        assert await client.call("test.who") is None
