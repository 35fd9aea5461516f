"""What a change costs, counted in PostgreSQL's own log: statements, not seconds."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from ddp_client import connect
from project import Project

from ddpcore_pg.cluster import Cluster

SITE = Path(__file__).parent / "site"

pytestmark = pytest.mark.pg


class Log:
    """The statements that the server has been sent, by the `application_name` of who sent them."""

    def __init__(self, cluster: Cluster) -> None:
        self._path = cluster._base / "log"
        self._seen = self._path.stat().st_size

    def mark(self) -> None:
        self._seen = self._path.stat().st_size

    def statements(self, *names: str) -> list[str]:
        with self._path.open("rb") as log:
            log.seek(self._seen)
            text = log.read().decode()
        found = []
        for line in text.splitlines():
            name, _, rest = line.partition("|")
            if name in names and "statement: " in rest:
                found.append(rest.partition("statement: ")[2])
        return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(settings={"log_statement": "all", "log_line_prefix": "%a|"}) as cluster:
        yield cluster


@pytest.fixture
def log(cluster) -> Log:
    return Log(cluster)


@pytest.fixture(scope="module")
def database(cluster) -> str:
    dsn = cluster.createdb(f"ddpcore_{secrets.token_hex(6)}")
    Project(SITE, "testsite.settings", dsn).migrate()
    return dsn


@pytest.fixture
def server(database):
    project = Project(SITE, "testsite.settings", database, PGAPPNAME="server")
    yield project.serve()
    project.end()


@pytest.fixture
def shell(database):
    project = Project(SITE, "testsite.settings", database, PGAPPNAME="writer")
    shell = project.shell()
    shell(
        "Author.objects.all().delete(); a = Author.objects.create(name='a', email='a@example.org')"
    )
    shell("book = Book.objects.create(title='0', author=a)")
    yield shell
    project.end()


async def subscribe(stack, server, count):
    """So many subscriptions, half of them different queries, over a few connections."""
    clients = []
    for start in range(0, count, 1000):
        client = await stack.enter_async_context(connect(server.address))
        clients.append(client)
        subs = [
            (f"s{n}", "AllBooks" if n % 2 == 0 else "BookTitled", [] if n % 2 == 0 else [f"t{n}"])
            for n in range(start, min(start + 1000, count))
        ]
        for id, name, params in subs:
            await client.send(msg="sub", id=id, name=name, params=params)
        ready: set[str] = set()

        def all_ready(client=client, ready=ready, subs=subs):
            for message in client.messages:
                if message["msg"] == "ready":
                    ready.update(message["subs"])
            return len(ready) == len(subs)

        await client.until(all_ready)
    return clients


@pytest.mark.timeout(300)  # a loaded machine takes its time for so many subscriptions
async def test_the_writers_statements_do_not_depend_on_the_subscribers(server, shell, log):
    counted = {}
    for subscribers in (0, 1, 1_000, 10_000):
        async with contextlib.AsyncExitStack() as stack:
            clients = await subscribe(stack, server, subscribers)
            log.mark()
            shell(f"book.title = 'with {subscribers}'; book.save()")
            for client in clients:
                await client.until(
                    lambda client=client, title=f"with {subscribers}": any(
                        d["title"] == title for d in client.docs("testsite.book").values()
                    )
                )
            counted[subscribers] = log.statements("writer")
    for statements in counted.values():
        update, announcement = statements
        assert update.startswith("UPDATE")
        assert "pg_notify" in announcement


async def test_peers_ask_nothing_for_matched_queries(server, shell, log):
    async with connect(server.address) as reader, connect(server.address) as other:
        await reader.sub("AllBooks")
        await reader.sub("BooksByAuthorEmail", "a@example.org")
        await other.sub("BookTitled", "new")
        await other.sub("MyNotes")
        log.mark()
        shell(
            "new = Book.objects.create(title='new', author=a)\n"
            "new.title = 'other'; new.save(); new.title = 'new'; new.save()\n"
            "new.sequel_to = book; new.save(update_fields=['sequel_to'])\n"
            "a.name = 'b'; a.save()\n"
        )
        await reader.until(
            lambda: any(d["name"] == "b" for d in reader.docs("testsite.author").values())
        )
        await other.until(lambda: other.docs("testsite.book"))
        shell("new.delete()")
        await other.until(lambda: not other.docs("testsite.book"))
        assert log.statements("server") == []


async def test_equal_subscriptions_at_once_ask_once(server, shell, log):
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(server.address)) for _ in range(10)]
        log.mark()

        async def subscribe_often(client):
            for n in range(100):
                await client.send(msg="sub", id=f"s{n}", name="BookTitled", params=["0"])
            await client.until(
                lambda: sum(len(m["subs"]) for m in client.messages if m["msg"] == "ready") == 100
            )

        await asyncio.gather(*map(subscribe_often, clients))
        reads = [each for each in log.statements("server") if '"testsite_book"' in each]
        assert len(reads) == 1, reads
        assert log.statements("server").count("COMMIT") == 1  # and it needs a snapshot

        log.mark()
        late = await stack.enter_async_context(connect(server.address))
        await late.sub("BookTitled", "0")
        assert late.docs("testsite.book")
        assert log.statements("server") == []


async def test_the_last_one_to_leave_frees_all(server, shell, log):
    async with connect(server.address) as reader:
        first = await reader.sub("BookTitled", "0")
        second = await reader.sub("BookTitled", "0")
        log.mark()
        await reader.unsub(first)
        await reader.unsub(second)
        while not any("UNLISTEN" in each for each in log.statements("ddpcore listen")):
            await asyncio.sleep(0.01)
        assert log.statements("server") == []
