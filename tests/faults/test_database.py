"""What a database may do to a server: its connections end, it restarts, it keeps it waiting."""

from __future__ import annotations

import pytest
from faultworld import EVERY_KIND, TURN, USERS, WORLD, recovered, watching

pytestmark = pytest.mark.pg


def backends(pg_cluster, name: str, application: str) -> list[int]:
    found = pg_cluster.execute(
        "SELECT pid FROM pg_stat_activity"
        f" WHERE datname = '{name}' AND application_name LIKE '{application}'"
    )
    return [pid for (pid,) in found]


@pytest.mark.parametrize("how", ["listen", "notify", "threads", "all", "restart", "crash"])
async def test_whatever_is_cut_off_all_is_equal_again(
    pg_cluster, pg_name, project, writer, agree, come_to_agree, truth, how
):
    writer(WORLD)
    # What a server's own connections are called; writers are not to be ended.
    project.env["TEST_APPLICATION"] = "served"
    server = project.serve()
    async with watching(server, *USERS) as clients:
        for client, user in zip(clients, USERS, strict=True):
            await agree(client, user, *EVERY_KIND)
        if how in ("restart", "crash"):
            writer("from django.db import connections; connections.close_all()")
            truth.shell("from django.db import connections; connections.close_all()")
            pg_cluster.restart(crash=how == "crash")
            writer(TURN)
        else:
            writer.start(TURN)
            names = {"listen": "ddpcore listen", "notify": "ddpcore notify", "threads": "served"}
            for pid in backends(pg_cluster, pg_name, names.get(how, "%d%")):
                pg_cluster.execute(f"SELECT pg_terminate_backend({pid})")
            writer.finished()
        for client, user in zip(clients, USERS, strict=True):
            await come_to_agree(client, user, *EVERY_KIND)
        await recovered(clients[0])
        writer(TURN)
        for client, user in zip(clients, USERS, strict=True):
            # A thread may still find its connection cut off; its observer tries again, unawaited.
            check = come_to_agree if how in ("threads", "all") else agree
            await check(client, user, *EVERY_KIND)
    assert server.end() == 0, server.errors
