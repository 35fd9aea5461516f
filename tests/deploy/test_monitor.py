"""What load balancers and supervisors are told."""

from __future__ import annotations

import asyncio
import os
import re
import signal

import pytest
from deploying import client, get, ready
from hypothesis import given
from hypothesis import strategies as st
from workers import ended

from ddpcore_tornado.health import Health, State, summary

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


def monitor_of(command) -> str:
    return re.fullmatch(r"Monitor on http://([^/]+)/\n", command.line())[1]


def served(command) -> str:
    """The address of the clients, once it serves."""
    address = re.match(r"Serving .* on http://([^/]+)/", command.line())[1]
    command.banner = command.line()
    return address


def start(commands, workers, *arguments, **env):
    command = commands.serve("--workers", workers, "--monitor", "127.0.0.1:0", *arguments, **env)
    return command, monitor_of(command)


@WORKERS
async def test_while_it_serves(commands, workers):
    command, monitor = start(commands, workers)
    served(command)
    assert (await get(monitor, "/healthz"))[::2] == (200, b'{"status": "alive"}\n')
    status, told = await ready(monitor)
    assert (status, told["status"]) == (200, "serving")
    if workers == "2":
        pids = map(int, re.search(r"processes ([\d, ]+)", command.banner)[1].split(", "))
        assert told["workers"] == {
            str(number): {"status": "serving", "process": pid} for number, pid in enumerate(pids, 1)
        }
    assert await ended(command, signal.SIGTERM) == 0
    assert not command.errors


async def test_nothing_else_is_there(commands):
    command, monitor = start(commands, "1")
    served(command)
    for path in ("/", "/websocket", "/sockjs/info", "/healthz/", "/metrics"):
        assert (await get(monitor, path))[0] == 404
    for path in ("/healthz", "/readyz", "/"):
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            status, headers, _ = await get(monitor, path, method, **{"Content-Length": "0"})
            assert (status, headers["allow"]) == (405, "get, head")
    for path in ("/healthz", "/readyz"):
        _, headers, body = await get(monitor, path)
        status, same, nothing = await get(monitor, path, "HEAD", Origin="http://evil.example")
        assert (status, nothing, same["content-length"]) == (200, b"", str(len(body)))
        assert headers["cache-control"] == "no-store"
        assert not {"set-cookie", "etag", "access-control-allow-origin"} & set(same)
    assert await ended(command, signal.SIGTERM) == 0
    assert not command.errors


@WORKERS
async def test_while_it_stops(commands, workers):
    command, monitor = start(commands, workers)
    address = served(command)
    async with client(f"ws://{address}/websocket") as there:
        await there.send(msg="method", id="1", method="slow")
        while await asyncio.to_thread(command.line) != "working\n":
            pass
        command.process.send_signal(signal.SIGTERM)
        while (await ready(monitor))[0] == 200:
            pass
        status, told = await ready(monitor)
        assert (status, told["status"]) == (503, "draining")
        assert told["reason"] == "It is stopping, and takes no new clients."
        assert (await get(monitor, "/healthz"))[0] == 200
        (commands.directory / "enough").touch()
        await there.message(msg="result", id="1")
    assert await ended(command) == 0
    assert not command.errors
    with pytest.raises(ConnectionRefusedError):
        await ready(monitor)


LATE = """
from ddpcore import Server, MemoryBus, hookimpl
import asyncio
from pathlib import Path

class Late(MemoryBus):
    crosses_processes = True

    async def start(self, deliver):
        while not Path("go").exists():
            await asyncio.sleep(0.01)
        await super().start(deliver)

class Plugin:
    @hookimpl
    def ddpcore_bus(self, url):
        return Late() if url == "late:" else None

server = Server(plugins=[Plugin()])
"""


@WORKERS
async def test_while_it_starts(commands, workers):
    (commands.directory / "late.py").write_text(LATE)
    command = commands.start(
        "-m", "ddpcore", "serve", "late:server", "--bind", "127.0.0.1:0", "--bus", "late:",
        "--workers", workers, "--monitor", "127.0.0.1:0",
    )  # fmt: skip
    monitor = await asyncio.to_thread(monitor_of, command)
    status, told = await ready(monitor)
    assert (status, told["status"]) == (503, "starting")
    assert (await get(monitor, "/healthz"))[0] == 200
    (commands.directory / "go").touch()
    while (await ready(monitor))[0] != 200:
        pass
    await asyncio.to_thread(served, command)
    assert await ended(command, signal.SIGTERM) == 0
    assert not command.errors


@WORKERS
async def test_while_the_database_is_away(pg_cluster, pg_project, commands, workers):
    command = commands.start(
        "-m", "ddpcore", "serve", "--settings", "workersite.settings", "--bind", "127.0.0.1:0",
        "--workers", workers, "--monitor", "127.0.0.1:0",
        site=pg_project.site, TEST_DATABASE=pg_project.database,
    )  # fmt: skip
    monitor = await asyncio.to_thread(monitor_of, command)
    await asyncio.to_thread(served, command)
    assert (await ready(monitor))[0] == 200
    await asyncio.to_thread(pg_cluster.halt)

    async def says(status: int) -> dict:
        while (found := await ready(monitor))[0] != status:
            await asyncio.sleep(0.01)
        return found[1]

    told = await says(503)
    assert told["status"] == "cut off"
    assert told["reason"] == "The bus has lost its database, and is waiting for it."
    assert (await get(monitor, "/healthz"))[0] == 200
    await asyncio.to_thread(pg_cluster.start)
    await says(200)
    assert await ended(command, signal.SIGTERM) == 0


async def test_a_worker_that_is_away(commands):
    command, monitor = start(commands, "2")
    served(command)
    _, told = await ready(monitor)
    (commands.directory / "broken").touch()  # it cannot come back
    os.kill(told["workers"]["1"]["process"], signal.SIGKILL)
    while (found := await ready(monitor))[1]["workers"]["1"]["status"] != "down":
        await asyncio.sleep(0.01)
    assert (found[0], found[1]["status"]) == (200, "serving")
    os.kill(told["workers"]["2"]["process"], signal.SIGKILL)
    while (found := await ready(monitor))[0] == 200:
        await asyncio.sleep(0.01)
    assert found[0] == 503
    (commands.directory / "broken").unlink()
    while (found := await ready(monitor))[0] != 200:
        await asyncio.sleep(0.01)
    assert await ended(command, signal.SIGTERM) == 0


@WORKERS
async def test_at_a_unix_socket(commands, tmp_path, workers):
    path = tmp_path / "monitor.sock"
    command = commands.serve("--workers", workers, "--monitor", f"unix:{path}")
    assert command.line() == f"Monitor on unix:{path}\n"
    served(command)
    assert (await ready(f"unix:{path}"))[0] == 200
    assert await ended(command, signal.SIGTERM) == 0
    assert not path.exists()


@WORKERS
async def test_an_address_that_is_taken(commands, tmp_path, workers):
    first, monitor = start(commands, "1")
    served(first)
    socket = tmp_path / "clients.sock"
    second = commands.serve("--bind", f"unix:{socket}", "--workers", workers, "--monitor", monitor)
    assert await ended(second) == 2
    assert second.said(f"Cannot listen on {monitor}: .*Choose another address with --monitor")
    assert not socket.exists()
    assert not list(commands.temporary.iterdir())
    assert await ended(first, signal.SIGTERM) == 0


@given(st.dictionaries(st.integers(1, 8), st.sampled_from(State)), st.booleans())
def test_it_is_ready_when_a_worker_serves(states, stopping):
    told = summary({number: (state, 1) for number, state in states.items()}, stopping=stopping)
    ready = told["status"] == "serving"
    assert ready == (State.SERVING in states.values() and not stopping)
    assert ("reason" in told) is not ready
    for number, state in states.items():
        assert told["workers"][str(number)]["status"] == state.value


@given(st.sampled_from(State), st.booleans())
def test_a_process_is_cut_off_only_while_it_would_serve(phase, connected):
    state = Health(lambda: connected, phase).state
    if phase is State.SERVING and not connected:
        assert state is State.CUT_OFF
    else:
        assert state is phase
