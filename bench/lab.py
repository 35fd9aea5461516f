"""What all benchmarks need: a database, a server, writers in processes of their own, a client."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

import websockets

from ddpcore_pg.cluster import Cluster

HERE = Path(__file__).parent
SITE = HERE / "site"


SERVE = ("-m", "ddpcore", "serve", "--bind", "127.0.0.1:0", "--log-level", "ERROR")


class Served:
    """A server in a process of its own.

    Attributes:
        address: Its host and port.
        pid: Its process.
    """

    def __init__(self, address: str, pid: int) -> None:
        self.address = address
        self.pid = pid

    @property
    def cpu(self) -> float:
        """The seconds of CPU it has used, all its threads and workers included."""
        return sum(_cpu(pid) for pid in _family(self.pid))

    @property
    def rss(self) -> int:
        """The bytes of memory that it holds now."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Spent(NamedTuple):
    """What so many of something took.

    Attributes:
        count: How many: messages, documents, calls.
        cpu: Seconds of the server's CPU.
        wall: Seconds.
    """

    count: int
    cpu: float
    wall: float

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.count / self.wall

    @property
    def per_cpu(self) -> float:
        """How many a second of the server's CPU."""
        return self.count / self.cpu

    @property
    def busy(self) -> str:
        """The part of the time that the server was at work: far below 100 %, it had to wait."""
        return f"{self.cpu / self.wall:.0%}"


def best(rounds: Iterable[Spent]) -> Spent:
    """The round that took least CPU: what else the machine does only ever adds to it."""
    return max(rounds, key=lambda spent: spent.per_cpu)


class Meter:
    """Measures what a server does from now on."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._cpu, self._began = served.cpu, time.perf_counter()

    def read(self, count: int) -> Spent:
        """So many have been done."""
        wall = time.perf_counter() - self._began
        return Spent(count, self._served.cpu - self._cpu, wall)

    @property
    def elapsed(self) -> float:
        """Seconds."""
        return time.perf_counter() - self._began


def _cpu(pid: int) -> float:
    # The clock of another process's CPU, in nanoseconds: what clock_getcpuclockid(3) makes.
    return time.clock_gettime((~pid << 3) | 2)


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _family(int(child))


def serve_module(*options: str) -> AbstractContextManager[Served]:
    """Serve `bench.server`, with these options of `ddpcore serve`."""
    return _serving([*SERVE, "bench.server:server", *options])


def serve_bare(name: str) -> AbstractContextManager[Served]:
    """Serve one of the servers of `bench.bare`: ``bare`` or ``tornado``."""
    return _serving(["-m", "bench.bare", name])


@contextmanager
def _serving(command: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[Served]:
    if env is None:
        env = os.environ | {"PYTHONPATH": str(HERE.parent)}
    process = subprocess.Popen([sys.executable, *command], env=env, cwd=HERE.parent, text=True,
                               stdout=subprocess.PIPE)  # fmt: skip
    try:
        found = None
        for line in process.stdout:
            if found := re.search(r"http://([^/]+)/", line):
                break
        if found is None:
            raise NotServed(" ".join(command))
        yield Served(found[1], process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class NotServed(Exception):
    """A server did not start; why, it has said itself."""


class Lab:
    """A database with the tables of the site, and processes that work on it."""

    def __init__(
        self, stack: ExitStack, capture: str = "signals", *, accounts: bool = False
    ) -> None:
        self._stack = stack
        self.cluster = stack.enter_context(Cluster())
        self.dsn = self.cluster.createdb("bench")
        self.env = os.environ | {
            "BENCH_DATABASE": self.dsn,
            "BENCH_CAPTURE": capture,
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": os.pathsep.join([str(SITE), str(HERE.parent)]),
        }
        if accounts:
            self.env["BENCH_ACCOUNTS"] = "1"
        self.manage("migrate", "--run-syncdb", "--verbosity=0")
        if capture == "triggers":
            self.manage("ddp_triggers", "install")

    def manage(self, *arguments: str) -> None:
        command = [sys.executable, "manage.py", *arguments]
        subprocess.run(command, env=self.env, cwd=SITE, check=True, stdout=subprocess.DEVNULL)

    def serve(self, *options: str) -> Served:
        """Start a server of the site, with these options of `ddpcore serve`."""
        command = [*SERVE, "--settings", "settings", *options]
        return self._stack.enter_context(_serving(command, self.env))

    def writer(self) -> Writer:
        return Writer(self._start(str(HERE / "writer_process.py")))

    def _start(self, *command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, *command], env=self.env, cwd=SITE, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        return process


class Writer:
    """A process that changes the database as it is told: `name(argument) -> JSON`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, name: str, *arguments: Any) -> None:
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        return json.loads(self._process.stdout.readline())

    def __call__(self, name: str, *arguments: Any) -> Any:
        self.start(name, *arguments)
        return self.answer()

    async def later(self, name: str, *arguments: Any) -> Any:
        self.start(name, *arguments)
        return await asyncio.get_running_loop().run_in_executor(None, self.answer)


class Client:
    """A DDP client that only listens: (time of arrival, message)."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket

    @classmethod
    async def connect(cls, address: str) -> Client:
        socket = await websockets.connect(
            f"ws://{address}/websocket", compression=None, max_size=None, ping_interval=None
        )
        await socket.send('{"msg":"connect","version":"1","support":["1"]}')
        return cls(socket)

    async def subscribe(self, *subscriptions: tuple[str, Sequence[Any]]) -> None:
        """Subscribe, and wait until all are ready."""
        for number, (name, params) in enumerate(subscriptions):
            sub = {"msg": "sub", "id": f"{name}{number}", "name": name, "params": list(params)}
            await self._socket.send(json.dumps(sub))
        waiting = len(subscriptions)
        while waiting:
            message = await self.next()
            assert message["msg"] != "nosub", message
            if message["msg"] == "ready":
                waiting -= len(message["subs"])

    async def call(self, method: str, *params: Any) -> dict[str, Any]:
        """Call a method; its `result` message."""
        message = {"msg": "method", "id": "call", "method": method, "params": list(params)}
        await self._socket.send(json.dumps(message))
        found: dict[str, Any] = {}
        is_updated = False
        while not (found and is_updated):
            message = await self.next()
            if message["msg"] == "result":
                found = message
            is_updated = is_updated or message["msg"] == "updated"
        return found

    async def next(self) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = json.loads(await self._socket.recv())
            if message["msg"] != "ping":
                return message
            await self._socket.send('{"msg":"pong"}')

    async def close(self) -> None:
        await self._socket.close()


@contextmanager
def lab(capture: str = "signals", *, accounts: bool = False) -> Iterator[Lab]:
    with ExitStack() as stack:
        yield Lab(stack, capture, accounts=accounts)


def options(name: str, arguments: Sequence[str], **defaults: Any) -> Any:
    """The options of a benchmark, each with its default: ``seconds=2.0`` is ``--seconds``."""
    parser = argparse.ArgumentParser(f"python -m bench {name}")
    for option, default in defaults.items():
        parser.add_argument(f"--{option}", type=type(default), default=default,
                            help=f"(default: {default})")  # fmt: skip
    return parser.parse_args(arguments)


def percentile(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table in Markdown."""
    lines = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    print(f"\n{title}\n")
    for number, line in enumerate(lines):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")
        if not number:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
