"""Commands with several workers, and ways to reach each."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import websockets
from ddp_client import connect
from project import PATIENCE, ROOT, Process

SITE = ROOT / "tests" / "workers" / "site"

# Its bus says that it crosses processes, which no test with it puts to the proof.
SERVER = """
import asyncio, os, sys
from pathlib import Path
from ddpcore import MemoryBus, Server, hookimpl

class Claims(MemoryBus):
    crosses_processes = True

class Plugin:
    @hookimpl
    def ddpcore_bus(self, url):
        return Claims() if url == "claims:" else None

# Its handlers may take their time at the end, since they wait for a test.
class Patient(Server):
    async def stop(self, patience=60.0, spread=0.0):
        await super().stop(patience, spread)

server = Patient(plugins=[Plugin()])

@server.method
async def pid(ctx):
    return os.getpid()

@server.method
async def address(ctx):
    return ctx.connection.client_address

@server.method
async def slow(ctx):
    ctx.unblock()
    print("working", flush=True)
    while not Path("enough").exists():
        await asyncio.sleep(0.01)
    return "done"

@server.method
def stuck(ctx):
    import time
    print("stuck", flush=True)
    time.sleep(600)

@server.method
async def environment(ctx):
    ours = "DDPCORE", "LISTEN_", "NOTIFY_", "WATCHDOG_"
    return sorted(name for name in os.environ if name.startswith(ours))

if Path("broken").exists():
    sys.exit("broken on purpose")
"""


class Command(Process):
    """`ddpcore serve` with workers, and what it says."""

    def __init__(self, *arguments: str, site: Path, env: dict[str, str]) -> None:
        super().__init__(*arguments, site=site, env=env)
        self.addresses: list[str] = []

    @property
    def pid(self) -> int:
        return self.process.pid

    def serving(self) -> Command:
        """Wait until it serves."""
        while found := re.match(r"Serving .* on https?://([^/]+)/", line := self.line()):
            self.addresses.append(found[1])
        self.banner = line
        self.workers = [int(pid) for pid in re.search(r"processes ([0-9, ]+)", line)[1].split(",")]
        return self

    @property
    def address(self) -> str:
        return self.addresses[0]

    def said(self, regex: str) -> bool:
        return any(re.search(regex, line) for line in list(self.errors))


class Commands:
    """Runs `ddpcore serve` in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        (directory / "shop.py").write_text(SERVER)
        self._running: list[Command] = []

    def start(self, *arguments: str, site: Path | None = None, **env: str) -> Command:
        environ = {name: text for name, text in os.environ.items() if "DJANGO" not in name}
        paths = [str(site or self.directory), str(Path(__file__).parent), str(ROOT)]
        environ |= {"TMPDIR": str(self.temporary), "PYTHONPATH": os.pathsep.join(paths)} | env
        command = Command(*arguments, site=site or self.directory, env=environ)
        self._running.append(command)
        return command

    def serve(self, *arguments: str, **env: str) -> Command:
        """Serve the server above with two workers; further arguments win."""
        bind = () if "--bind" in arguments else ("--bind", "127.0.0.1:0")
        return self.start(
            "-m", "ddpcore", "serve", "shop:server", *bind,
            "--bus", "claims:", "--workers", "2", *arguments, **env,
        )  # fmt: skip

    def kill(self) -> None:
        for command in self._running:
            if not command.process.stdout.closed:
                command.end(9)


async def until(true, what: str = "it"):
    """Wait for something that no event tells of: what other processes do."""
    async with asyncio.timeout(PATIENCE):
        while not (value := true()):
            await asyncio.sleep(0.01)
    return value


@asynccontextmanager
async def client_of(address: str, pid: int):
    """A client of that worker. The kernel deals connections out, so we try until we have one."""
    async with asyncio.timeout(PATIENCE):
        client, connection = await _client_of(address, pid)
    async with connection:
        yield client


async def _client_of(address: str, pid: int):
    while True:
        with suppress(OSError, websockets.WebSocketException):  # a worker has just died
            async with AsyncExitStack() as stack:
                client = await stack.enter_async_context(connect(address))
                if await client.call("pid") == pid:
                    return client, stack.pop_all()
        await asyncio.sleep(0.01)


async def pids_of(address: str, count: int, avoid: frozenset[int] = frozenset()) -> set[int]:
    """Connect until so many workers, other than `avoid`, have answered."""
    found: set[int] = set()
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            try:
                async with connect(address) as client:
                    found |= {await client.call("pid")} - avoid
            except (OSError, websockets.WebSocketException):
                await asyncio.sleep(0.01)
    return found


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def state(pid: int) -> str:
    """What the kernel says of a process: T is stopped, Z has ended and waits for its parent."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def listeners(address: str) -> int:
    """How many sockets listen there, whoever holds them."""
    port = int(address.rpartition(":")[2])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port for row in rows)


async def ended(command: Command, how: int | None = None) -> int:
    if how is not None:
        command.process.send_signal(how)
    code = await asyncio.to_thread(command.process.wait, PATIENCE)
    command.end()
    return code
