"""The site of these tests itself: it is served, by both kinds of users."""

from __future__ import annotations

import pytest
from ddp_client import connect

pytestmark = pytest.mark.pg


@pytest.mark.parametrize("users", ["django", "custom"])
async def test_it_is_served(server, project):
    assert "No changes" in project.manage(
        "makemigrations", "--check", "--dry-run", "ddpcore_accounts"
    )
    async with connect(server.address) as client:
        assert await client.call("test.who") is None
