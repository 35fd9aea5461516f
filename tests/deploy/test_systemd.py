"""Under systemd, as far as that takes no systemd: its variables, sockets and words."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from deploying import Certificate, Supervisor, client, free_port, get, ready
from project import PATIENCE, ROOT
from workers import ended

from ddpcore_tornado import systemd

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])
EXAMPLES = ROOT / "examples" / "deploy"


def needs(program: str) -> None:
    if shutil.which(program) is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {program}")


# --- sockets -----------------------------------------------------------------------------------


class Activated:
    """`systemd-socket-activate`, which becomes the server with the first connection."""

    def __init__(self, commands, names: str, *arguments: str, **env: str) -> None:
        needs("systemd-socket-activate")
        self.ports = [free_port() for _ in names.split(":")]
        listen = [f"--listen=127.0.0.1:{port}" for port in self.ports]
        environ = {
            "PYTHONPATH": os.pathsep.join([str(commands.directory), str(ROOT)]),
            "TMPDIR": str(commands.temporary),
        } | env
        pairs = [f"--setenv={name}={value}" for name, value in environ.items()]
        self.process = subprocess.Popen(
            ["systemd-socket-activate", *listen, f"--fdname={names}", *pairs, sys.executable,
             "-m", "ddpcore", "serve", "shop:server", "--bus", "claims:", *arguments],
            cwd=commands.directory, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.process.stderr.readline()  # it listens

    def served(self) -> list[str]:
        """Wait until it serves; what it has said so far."""
        lines = [self.process.stdout.readline()]
        while not lines[-1].startswith("ddpcore "):
            lines.append(self.process.stdout.readline())
        return lines[:-1]

    async def end(self) -> tuple[int, str, str]:
        self.process.send_signal(signal.SIGTERM)
        out, errors = await asyncio.to_thread(self.process.communicate, timeout=PATIENCE)
        return self.process.returncode, out, errors

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def activated(commands):
    running = []

    def start(*arguments, **env):
        running.append(Activated(commands, *arguments, **env))
        return running[-1]

    yield start
    for each in running:
        each.kill()


@WORKERS
async def test_sockets_are_handed_over(activated, workers):
    it = activated("clients:monitor", "--workers", workers)
    clients, monitor = it.ports
    async with client(f"ws://127.0.0.1:{clients}/websocket", open_timeout=PATIENCE) as one:
        pids = {await one.call("pid")}
        assert await one.call("environment") == []
        _, told = await ready(f"127.0.0.1:{monitor}")
        assert told["status"] == "serving"
        if workers == "1":
            assert pids == {it.process.pid}
        else:
            while any(each["status"] != "serving" for each in told["workers"].values()):
                _, told = await ready(f"127.0.0.1:{monitor}")
            assert pids < {each["process"] for each in told["workers"].values()}
    assert (await get(f"127.0.0.1:{monitor}", "/websocket"))[0] == 404
    assert await asyncio.to_thread(it.served) == [
        f"Monitor on http://127.0.0.1:{monitor}/\n",
        f"Serving shop:server on http://127.0.0.1:{clients}/\n",
    ]
    assert (await it.end())[0] == 0


@WORKERS
async def test_with_addresses_of_its_own_it_listens_there_as_well(activated, workers):
    port = free_port()
    it = activated("clients", "--workers", workers, "--bind", f"127.0.0.1:{port}")
    for each in (*it.ports, port):
        async with client(f"ws://127.0.0.1:{each}/websocket", open_timeout=PATIENCE) as one:
            assert await one.call("pid")
    await asyncio.to_thread(it.served)
    code, out, _ = await it.end()
    assert (code, out) == (0, "Stopping.\n")


async def test_a_worker_that_dies_loses_no_socket(activated):
    it = activated("clients", "--workers", "2")
    url = f"ws://127.0.0.1:{it.ports[0]}/websocket"
    seen = set()
    for _ in range(3):
        async with client(url, open_timeout=PATIENCE) as one:
            pid = await one.call("pid")
        assert pid not in seen
        if not seen:
            await asyncio.to_thread(it.served)
        seen.add(pid)
        os.kill(pid, signal.SIGKILL)
    assert (await it.end())[0] == 0


def test_what_is_for_others_is_left_alone():
    for process in ("", "1", "nobody"):
        environ = {"LISTEN_PID": process, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "HOME": "/"}
        handed = systemd.handed_over(environ)
        assert not handed.clients and not handed.monitor
        assert environ == {"HOME": "/"}


HAND_OVER = """
import os, sys
from ddpcore.errors import DDPError
from ddpcore_tornado import systemd
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
try:
    systemd.handed_over()
except DDPError as problem:
    print(problem)
"""


@pytest.mark.parametrize("kind", ["file", "connected", "datagrams"])
def test_what_does_not_listen_is_refused(kind):
    a, b = socket.socketpair()
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with a, b, datagrams, Path(os.devnull).open() as file:
        it = {"file": file, "connected": a, "datagrams": datagrams}[kind]
        said = subprocess.run(
            [sys.executable, "-c", HAND_OVER, str(it.fileno())], pass_fds=[it.fileno()],
            check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
        ).stdout  # fmt: skip
    assert "descriptor 3" in said
    assert "socket unit" in said


# --- words -------------------------------------------------------------------------------------


@pytest.fixture(params=["file", "abstract"])
def supervisor(request, tmp_path):
    address = str(tmp_path / "notify")
    supervisor = Supervisor(address if request.param == "file" else f"@{address}")
    yield supervisor
    supervisor.close()


@WORKERS
async def test_it_tells_how_it_fares(commands, supervisor, workers):
    certificate = Certificate(commands.directory, "live")
    command = commands.serve(
        "--workers", workers, "--certfile", str(certificate.certfile),
        "--keyfile", str(certificate.keyfile), NOTIFY_SOCKET=supervisor.address,
    )  # fmt: skip
    told = await asyncio.to_thread(supervisor.hear)
    assert told["READY"] == "1"
    assert told["STATUS"].startswith("Serving shop:server, bus claims:")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    command.process.send_signal(signal.SIGHUP)
    told = await asyncio.to_thread(supervisor.hear)
    assert told.pop("RELOADING") == "1"
    assert before <= int(told.pop("MONOTONIC_USEC"))
    assert not told
    assert await asyncio.to_thread(supervisor.hear) == {"READY": "1"}
    command.process.send_signal(signal.SIGTERM)
    told = await asyncio.to_thread(supervisor.hear)
    assert told == {"STOPPING": "1", "STATUS": "Closing the connections of clients."}
    assert await ended(command) == 0
    assert not supervisor.hears()


@WORKERS
async def test_one_that_is_watched_says_that_it_lives(commands, tmp_path, workers):
    supervisor = Supervisor(str(tmp_path / "notify"))
    command = commands.serve(
        "--workers", workers, NOTIFY_SOCKET=supervisor.address, WATCHDOG_USEC="300000"
    )
    assert "READY" in await asyncio.to_thread(supervisor.hear)
    for _ in range(5):
        assert await asyncio.to_thread(supervisor.hear) == {"WATCHDOG": "1"}
    assert await ended(command, signal.SIGTERM) == 0
    supervisor.close()


async def test_none_of_it_is_inherited(commands, tmp_path):
    supervisor = Supervisor(str(tmp_path / "notify"))
    command = commands.serve(
        NOTIFY_SOCKET=supervisor.address, WATCHDOG_USEC="1000000", LISTEN_PID="1", LISTEN_FDS="1"
    ).serving()
    async with client(f"ws://{command.address}/websocket") as one:
        assert await one.call("environment") == []
    assert await ended(command, signal.SIGTERM) == 0
    supervisor.close()


async def test_a_watchdog_of_another_process_is_not_ours(tmp_path):
    environ = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000", "WATCHDOG_PID": "1"
    }  # fmt: skip
    other = Supervisor(environ["NOTIFY_SOCKET"])
    supervisor = systemd.Supervisor.here(environ)
    assert not environ
    supervisor.ready("Fine.")
    assert other.hear() == {"READY": "1", "STATUS": "Fine."}
    await asyncio.sleep(0)
    assert not other.hears()
    other.close()


async def test_nobody_listens(commands, tmp_path):
    command = commands.serve("--workers", "1", NOTIFY_SOCKET=str(tmp_path / "nowhere"))
    command.line()
    assert await ended(command, signal.SIGTERM) == 0
    assert not command.errors


# --- units -------------------------------------------------------------------------------------


def test_the_units_of_the_example_are_in_order(tmp_path):
    needs("systemd-analyze")
    for unit in ("ddpcore.service", "ddpcore.socket"):
        text = (EXAMPLES / unit).read_text().replace("/srv/mysite/.venv/bin/ddpcore", "/bin/true")
        (tmp_path / unit).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "ddpcore.service"),
         str(tmp_path / "ddpcore.socket")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
