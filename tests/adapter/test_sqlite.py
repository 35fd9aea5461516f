"""The embedded default: SQLite, and the memory bus."""

from __future__ import annotations

from ddp_client import connect


async def test_clients_of_one_server_see_each_others_changes(sqlite_project):
    server = sqlite_project.serve()
    assert "bus memory:" in server.banner
    async with connect(server.address) as writer, connect(server.address) as reader:
        await reader.sub("AllBooks")
        await writer.sub("AllBooks")
        author = await writer.call("add_author", "Janet")
        pk = await writer.call("add_book", "one", author)
        assert writer.docs("testsite.book")[pk]["title"] == "one"
        await writer.call("rename", pk, "two")
        assert writer.docs("testsite.book")[pk]["title"] == "two"
        await reader.until(lambda: reader.docs("testsite.book").get(pk, {}).get("title") == "two")
        await writer.call("savepoints", pk)
        await reader.until(lambda: reader.docs("testsite.book")[pk]["title"] == "kept")
        assert "rolled back" not in str(reader.messages)
    assert server.end() == 0


async def test_a_failed_method_has_written_nothing(sqlite_project):
    server = sqlite_project.serve()
    async with connect(server.address) as client:
        author = await client.call("add_author", "Janet")
        pk = await client.call("add_book", "one", author)
        await client.sub("AllBooks")
        await client.send(
            msg="method", id="x", method="rename_then_fail", params=[pk, "never", "meteor"]
        )
        await client.message(msg="updated", methods=["x"])
        assert client.docs("testsite.book")[pk]["title"] == "one"
        assert await client.call("named") == "named"


async def test_the_postgres_bus_is_refused_with_a_reason(sqlite_project):
    process = sqlite_project
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "ddpcore", "serve", "--settings", "testsite.settings",
         "--bind", "127.0.0.1:0", "--bus", "postgres:"],
        env=process.env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "postgres://user@host/database" in done.stderr
    assert "Traceback" not in done.stderr
