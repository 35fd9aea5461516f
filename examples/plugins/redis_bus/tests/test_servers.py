"""Two commands that serve, and writers that do not: all clients see what is in the database."""

import asyncio
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import websockets

SITE = Path(__file__).parent / "site"
PATIENCE = 60.0

TRUTH = """
import django, json
django.setup()
from shop.models import *
print(json.dumps({
    "books": {str(b.pk): [b.title, b.sold, sorted(a.pk for a in b.authors.all())]
              for b in Book.objects.all()},
    "authors": {str(a.pk): a.name for a in Author.objects.all()},
}))
"""


class Project:
    def __init__(self, database: Path, bus: str) -> None:
        self.environ = os.environ | {
            "DJANGO_SETTINGS_MODULE": "settings",
            "SHOP_DATABASE": str(database),
            "SHOP_BUS": bus,
            "PYTHONPATH": str(SITE),
            "PYTHONWARNINGS": "",
        }
        self.running: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments], cwd=SITE, env=self.environ,
            text=True, stdout=subprocess.PIPE, check=True, timeout=PATIENCE,
        ).stdout  # fmt: skip

    def start(self, *arguments: str, log: Path) -> subprocess.Popen[str]:
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, *arguments], cwd=SITE, env=self.environ, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        self.running.append(process)
        return process

    def serve(self, *arguments: str, log: Path) -> str:
        process = self.start(
            "-m", "ddpcore", "serve", "--settings", "settings", "--bind", "127.0.0.1:0", *arguments,
            log=log,
        )  # fmt: skip
        line = process.stdout.readline()
        assert line, log.read_text()
        assert "bus redis://" in process.stdout.readline()
        return re.search(r"//([^/]+)/", line)[1]

    def write(self, seed: int, log: Path) -> subprocess.Popen[str]:
        process = self.start("write.py", str(seed), log=log)
        assert process.stdout.readline() == "1\n", log.read_text()
        return process

    def end(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdin.close()
            process.stdout.close()


class Client:
    """What a client of DDP holds."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.collections: dict[str, dict[str, dict]] = {"books": {}, "authors": {}}
        self.results: dict[str, asyncio.Future] = {}
        self.updated: dict[str, asyncio.Future] = {}
        self.ready = asyncio.Event()
        self.ids = itertools.count()

    async def send(self, **message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def listen(self) -> None:
        async for text in self.socket:
            message = json.loads(text)
            match message.pop("msg", None):
                case "ping":
                    await self.send(msg="pong")
                case "added":
                    documents = self.collections[message["collection"]]
                    assert message["id"] not in documents
                    documents[message["id"]] = message.get("fields", {})
                case "changed":
                    document = self.collections[message["collection"]][message["id"]]
                    document |= message.get("fields", {})
                    for field in message.get("cleared", ()):
                        del document[field]
                case "removed":
                    del self.collections[message["collection"]][message["id"]]
                case "ready":
                    self.ready.set()
                case "result":
                    self.results[message["id"]].set_result(message.get("result"))
                case "updated":
                    for method in message["methods"]:
                        self.updated[method].set_result(None)

    async def call(self, name: str, *params: object) -> object:
        number = str(next(self.ids))
        loop = asyncio.get_running_loop()
        self.results[number], self.updated[number] = loop.create_future(), loop.create_future()
        await self.send(msg="method", id=number, method=name, params=params)
        await self.updated[number]
        return await self.results[number]

    def holds(self) -> dict:
        books = {
            key: [b["title"], b["sold"], sorted(map(int, b["authors_ids"]))]
            for key, b in self.collections["books"].items()
        }
        authors = {key: a["name"] for key, a in self.collections["authors"].items()}
        return {"books": books, "authors": authors}


@asynccontextmanager
async def connected(address: str, publication: str = "Everything"):
    async with websockets.connect(f"ws://{address}/websocket", max_size=None) as socket:
        client = Client(socket)
        listening = asyncio.ensure_future(client.listen())
        await client.send(msg="connect", version="1", support=["1"])
        await client.send(msg="sub", id="s", name=publication, params=[])
        await client.ready.wait()
        try:
            yield client
        finally:
            listening.cancel()
            await asyncio.wait([listening])
            if not listening.cancelled():
                listening.result()


async def until(condition, what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.05)
    assert condition(), what


@pytest.fixture
def project(server, tmp_path):
    project = Project(tmp_path / "shop.sqlite3", server.url)
    project.run("manage.py", "migrate", "--run-syncdb", "--verbosity=0")
    yield project
    project.end()


def equal(truth: dict, clients: list[Client], few: list[Client]) -> bool:
    popular = {key: book for key, book in truth["books"].items() if book[1] >= 50}
    return all(each.holds() == truth for each in clients) and all(
        each.holds()["books"] == popular for each in few
    )


@pytest.mark.timeout(300)
def test_clients_of_all_servers_equal_the_database(project, server, tmp_path) -> None:
    asyncio.run(asyncio.wait_for(the_proof(project, server, tmp_path), 280))


async def the_proof(project, server, tmp_path) -> None:
    one = project.serve("--bus", server.url, log=tmp_path / "one.log")
    two = project.serve("--bus", server.url, "--workers", "2", log=tmp_path / "two.log")
    async with AsyncExitStack() as stack:
        clients, few = [], []
        for address in (one, two, two, two, two, two):
            clients.append(await stack.enter_async_context(connected(address)))
        for address in (one, two):
            few.append(await stack.enter_async_context(connected(address, "Few")))
        pids = {await client.call("pid") for client in clients}
        assert len(pids) > 1

        # What is called at one server is seen by the clients of the others, and by the caller
        # before it hears that all is updated.
        key, sold = await clients[0].call("sell", "Emma")
        assert clients[0].holds()["books"][key] == ["Emma", sold, []]
        for client in clients:
            await until(lambda c=client: c.holds()["books"].get(key) == ["Emma", sold, []], "Emma")

        logs = {seed: tmp_path / f"writer{seed}.log" for seed in (1, 2)}
        writers = [project.write(seed, log) for seed, log in logs.items()]
        chance = random.Random(8)
        for fault in (server.kill_clients, None, trim, restart, server.kill_clients, flush):
            for _ in range(10):
                client = chance.choice(clients)
                await client.call("sell", chance.choice(("Emma", "Persuasion", "Sanditon")))
            if fault is not None:
                fault() if fault == server.kill_clients else fault(server)
        for writer, log in zip(writers, logs.values(), strict=True):
            # However slow they are, each has written a good deal.
            said = await asyncio.to_thread(writer.stdout.readline)
            assert said == "100\n", log.read_text()
        for writer, log in zip(writers, logs.values(), strict=True):
            writer.stdin.close()
            await asyncio.to_thread(writer.stdout.read)
            assert writer.wait() == 0, log.read_text()
        truth = json.loads(project.run("-c", TRUTH))
        try:
            await until(lambda: equal(truth, clients, few), "equal")
        except TimeoutError:
            for client in clients:
                assert client.holds() == truth
            raise
    for name in ("one", "two"):
        assert "Traceback" not in (tmp_path / f"{name}.log").read_text()


def trim(server) -> None:
    server.do("XTRIM", "{ddpcore}:changes", "MAXLEN", 0)


def flush(server) -> None:
    server.do("FLUSHALL")


def restart(server) -> None:
    server.kill()
    server.start()
