"""138: a login that is taken back closes its connections."""

from __future__ import annotations

import asyncio

import pytest
from accounts_site import *  # noqa: F403
from ddp_client import PATIENCE, connect

pytestmark = pytest.mark.pg


async def test_138_a_deleted_token_closes_every_connection_bound_to_it(server, other, shell):
    shell("User.objects.create(username='ann')")
    async with (
        connect(server.address) as first,
        connect(server.address) as second,
        connect(other.address) as third,
        connect(server.address) as another,
    ):
        _, row = await first.call("test.bind", "ann")
        user_id = await first.call("test.who")
        await second.call("test.bind_row", row, user_id)
        await third.call("test.bind_row", row, user_id)
        await another.call("test.bind", "ann")
        shell(f"LoginToken.objects.get(pk={row}).delete()")
        for client in (first, second, third):
            async with asyncio.timeout(PATIENCE):
                await client.socket.wait_closed()
            assert client.socket.close_code == 1000
        assert await another.call("test.who") == user_id
