"""`ddpcore serve --workers`: processes that share an address, and how they come and go."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import websockets
from ddp_client import connect
from workers import SITE, client_of, ended, listeners, pids_of, running, state, until

from ddpcore_tornado.worker import Place, Worker

NEEDS_PROC = pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
BOTH = pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)


# --- serving -----------------------------------------------------------------------------------


async def test_all_serve_one_address(commands):
    command = commands.serve("--workers", "3").serving()
    assert re.fullmatch(
        r"ddpcore 0\.1\.0, bus claims:, 3 workers \(processes \d+, \d+, \d+\)\. Ctrl-C stops\.\n",
        command.banner,
    )
    assert len(command.addresses) == 1
    assert command.pid not in command.workers
    assert await pids_of(command.address, 3) == set(command.workers)
    assert await ended(command, signal.SIGTERM) == 0
    assert not any(map(running, command.workers))
    assert not command.errors
    assert not list(commands.temporary.iterdir())


async def test_several_addresses(commands):
    command = commands.serve("--bind", "localhost:0", "--bind", "127.0.0.1:0").serving()
    assert len(set(command.addresses)) == len(command.addresses) >= 2
    for address in command.addresses:
        assert await pids_of(address, 2) == set(command.workers)
    assert await ended(command, signal.SIGTERM) == 0


async def test_where_the_kernel_deals_nothing_out_they_share_one_socket(commands):
    # As on macOS. The command runs a script, which the workers then run as well.
    (commands.directory / "elsewhere.py").write_text(
        "import sys\n"
        "from ddpcore_tornado import listening\n"
        "listening.Shares.__init__.__kwdefaults__['dealt'] = False\n"
        "from ddpcore.cli import main\n"
        "sys.exit(main())\n"
    )
    command = commands.start(
        "elsewhere.py", "serve", "shop:server", "--bind", "127.0.0.1:0", "--bus", "claims:",
        "--workers", "2",
    ).serving()  # fmt: skip
    async with client_of(command.address, command.workers[0]):
        os.kill(command.workers[1], signal.SIGKILL)
        assert await pids_of(command.address, 1, frozenset(command.workers))
    assert await ended(command, signal.SIGTERM) == 0


@NEEDS_PROC
async def test_the_parent_has_no_threads(commands):
    command = commands.serve().serving()
    (thread,) = Path(f"/proc/{command.pid}/task").iterdir()
    children = (thread / "children").read_text().split()
    assert set(map(int, children)) == set(command.workers)
    assert await ended(command, signal.SIGTERM) == 0


async def test_what_runs_in_a_worker_is_no_worker(commands):
    command = commands.serve().serving()
    async with connect(command.address) as client:
        assert await client.call("environment") == []
    assert await ended(command, signal.SIGTERM) == 0


async def test_one_worker_is_a_process_as_ever(commands):
    command = commands.serve("--workers", "1")
    address = re.search(r"//([^/]+)/", command.line())[1]
    assert command.line() == "ddpcore 0.1.0, bus claims:. Ctrl-C stops.\n"
    async with connect(address) as client:
        assert await client.call("pid") == command.pid
    assert await ended(command, signal.SIGTERM) == 0


async def test_a_session_is_not_resumed_in_another_worker(commands):
    command = commands.serve().serving()
    first, second = command.workers
    async with client_of(command.address, first) as client:
        session = next(m["session"] for m in client.messages if m["msg"] == "connected")
    again = {"msg": "connect", "version": "1", "support": ["1"], "session": session, "received": 1}
    for attempt in itertools.count():
        url = f"ws://{command.address}/websocket"
        async with websockets.connect(url, open_timeout=None) as socket:
            await socket.send(json.dumps(again))
            call = {"msg": "method", "id": f"again{attempt}", "method": "pid"}
            await socket.send(json.dumps(call))
            heard = [json.loads(await socket.recv())]
            while heard[-1].get("id") != call["id"]:
                heard.append(json.loads(await socket.recv()))
            if heard[-1]["result"] == second:
                break
    assert heard[0]["msg"] == "connected"
    assert heard[0]["session"] != session
    assert await ended(command, signal.SIGTERM) == 0


async def test_manage_py(commands, pg_project):
    command = commands.start(
        "manage.py", "ddp", "--bind", "127.0.0.1:0", "--workers", "2",
        site=pg_project.site, TEST_DATABASE=pg_project.database,
    ).serving()  # fmt: skip
    assert await pids_of(command.address, 2) == set(command.workers)
    assert await ended(command, signal.SIGTERM) == 0


async def test_what_one_worker_writes_the_others_clients_see(pg_project, commands):
    command = commands.start(
        "-m", "ddpcore", "serve", "--settings", "workersite.settings", "--bind", "127.0.0.1:0",
        "--workers", "2", site=pg_project.site, TEST_DATABASE=pg_project.database,
    ).serving()  # fmt: skip
    first, second = command.workers
    if (maps := Path(f"/proc/{command.pid}/maps")).exists():
        assert "psycopg2" not in maps.read_text()  # the parent has not loaded the project
    async with (
        client_of(command.address, first) as writer,
        client_of(command.address, second) as reader,
    ):
        await reader.sub("AllNotes")
        await writer.call("write", "from afar")
        await reader.shows("notes", {"1": {"text": "from afar"}})
    assert await ended(command, signal.SIGTERM) == 0


# --- workers that die --------------------------------------------------------------------------


async def test_a_worker_that_is_killed_is_started_again(commands):
    command = commands.serve().serving()
    first, second = command.workers
    async with client_of(command.address, second) as bystander:
        async with client_of(command.address, first) as client:
            os.kill(first, signal.SIGKILL)
            await until(lambda: client.closed)
            # It comes back at once, to whoever serves.
            async with client_of(command.address, second):
                pass
        (successor,) = await pids_of(command.address, 1, frozenset(command.workers))
        async with client_of(command.address, successor):
            assert await bystander.call("pid") == second
    assert await ended(command, signal.SIGTERM) == 0
    assert not running(successor)
    lost, back = command.errors
    assert f"Worker 1 (process {first}) was ended by SIGKILL: it is started again" in lost
    assert f"Worker 1 (process {successor}) serves" in back


async def test_clients_that_wait_while_a_worker_is_down_are_served(commands):
    command = commands.serve().serving()
    first, second = command.workers
    for worker in command.workers:
        os.kill(worker, signal.SIGKILL)
    await until(lambda: command.said("Worker 1 .* SIGKILL") and command.said("Worker 2 .* SIGKILL"))
    # Nobody serves, and nobody is refused.
    async with AsyncExitStack() as stack:
        clients = await asyncio.gather(
            *(stack.enter_async_context(connect(command.address)) for _ in range(10))
        )
        assert not {await client.call("pid") for client in clients} & {first, second}
    assert await ended(command, signal.SIGTERM) == 0


async def test_a_worker_that_stops_is_replaced_while_it_finishes(commands):
    command = commands.serve().serving()
    first, second = command.workers
    async with client_of(command.address, first) as client:
        call = asyncio.ensure_future(client.call("slow"))
        assert await asyncio.to_thread(command.line) == "working\n"
        os.kill(first, signal.SIGTERM)
        (successor,) = await pids_of(command.address, 1, frozenset(command.workers))
        assert not call.done()
        (commands.directory / "enough").touch()
        assert await call == "done"
        await until(lambda: client.closed)
        assert client.socket.close_code == 1001
    assert await ended(command, signal.SIGTERM) == 0
    assert not any(map(running, (first, second, successor)))
    assert command.said(rf"INFO .* Worker 1 \(process {first}\) stops: another process takes")


@NEEDS_PROC
async def test_a_worker_that_has_stopped_when_the_parent_looks(commands):
    command = commands.serve().serving()
    first, _ = command.workers
    command.process.send_signal(signal.SIGSTOP)
    await until(lambda: state(command.pid) == "T")
    os.kill(first, signal.SIGTERM)
    await until(lambda: state(first) == "Z")
    command.process.send_signal(signal.SIGCONT)
    await pids_of(command.address, 1, frozenset(command.workers))
    assert await ended(command, signal.SIGTERM) == 0
    stops, serves = command.errors
    assert f"INFO ddpcore_tornado.workers: Worker 1 (process {first}) stops: another" in stops
    assert "Worker 1" in serves


async def between_attempts(command):
    """Stop the parent while nobody tries to start a worker."""
    while True:
        command.process.send_signal(signal.SIGSTOP)
        await until(lambda: state(command.pid) == "T")
        if listeners(command.address) == 1:
            return
        command.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.01)


@NEEDS_PROC
async def test_a_worker_that_cannot_start_again_is_tried_again(commands):
    command = commands.serve().serving()
    first, second = command.workers
    (commands.directory / "broken").touch()
    os.kill(first, signal.SIGKILL)
    await until(lambda: command.said("the next attempt is in 2 seconds"))
    # Its share of the clients goes to the other one, which has been there all the time.
    await between_attempts(command)
    for _ in range(20):
        async with connect(command.address) as client:
            assert await client.call("pid") == second
    command.process.send_signal(signal.SIGCONT)
    (commands.directory / "broken").unlink()
    assert await pids_of(command.address, 1, frozenset(command.workers))
    assert await ended(command, signal.SIGTERM) == 0
    # If its first life was a long one, the pauses begin with half a second.
    assert command.said(
        r"Worker 1 does not serve; the next attempt is in 1 seconds\."
        r" Worker 1 \(process \d+\) ended with code 1 before it could"
    )


# --- mistakes are told once --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--bus", "memory:"], r"--workers 2 needs a bus that crosses processes.*postgres://"),
        (["--bus", "postgres://nobody@127.0.0.1:1/none"], r"127\.0\.0\.1"),
        (["--bus", "nonsense:"], r"No bus for 'nonsense:'"),
        (["--settings", "shop"], r"not both"),
        (["--certfile", "none.pem"], r"certificate none\.pem"),
        (["--workers", "0"], r"--workers takes .* from 1"),
        (["--drain", "-1"], r"--drain takes .* from 0"),
        (["--drain", "inf"], r"--drain takes .* from 0"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, list) else "",
)
async def test_mistakes(commands, arguments, expected):
    command = commands.serve(*arguments)
    assert command.process.stdout.read() == ""
    assert await ended(command) == 2
    (line,) = command.errors
    assert line.startswith("ddpcore: ")
    assert re.search(expected, line)
    assert not list(commands.temporary.iterdir())


async def test_an_application_that_cannot_be_loaded(commands):
    (commands.directory / "broken").touch()
    command = commands.serve()
    assert await ended(command) == 2
    own, ours = command.errors
    assert own == "broken on purpose\n"
    assert re.fullmatch(
        r"ddpcore: Worker 1 \(process \d+\) ended with code 1 before it could serve\.\n", ours
    )


async def test_only_some_can_begin(commands):
    (commands.directory / "fussy.py").write_text(
        "import sys\n"
        "from shop import server\n"
        "try:\n"
        "    open('once', 'x').close()\n"
        "except FileExistsError:\n"
        "    sys.exit('there is one already')\n"
    )
    command = commands.start(
        "-m", "ddpcore", "serve", "fussy:server", "--bind", "127.0.0.1:0", "--bus", "claims:",
        "--workers", "2",
    )  # fmt: skip
    assert command.process.stdout.read() == ""
    assert await ended(command) == 2
    own, ours = command.errors
    assert own == "there is one already\n"
    assert re.search(r"^ddpcore: Worker 2 \(process \d+\) ended with code 1", ours)
    assert not list(commands.temporary.iterdir())


async def test_a_port_that_is_taken(commands):
    """By anybody, also by another command that would share it with its own workers."""
    command = commands.serve().serving()
    other = commands.serve("--bind", command.address)
    assert await ended(other) == 2
    assert "Address already in use" in other.errors[0]
    assert await ended(command, signal.SIGTERM) == 0


async def test_sqlite(commands):
    database = str(commands.directory / "db.sqlite3")
    command = commands.start(
        "manage.py", "ddp", "--bind", "127.0.0.1:0", "--workers", "2",
        site=SITE, TEST_DATABASE=database,
    )  # fmt: skip
    assert await ended(command) == 1
    assert command.errors[-1].startswith("CommandError: --workers 2 needs a bus that crosses")


# --- stopping ----------------------------------------------------------------------------------


@BOTH
async def test_stop(commands, how):
    command = commands.serve("--drain", "0").serving()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(client_of(command.address, worker))
            for worker in command.workers
        ]
        call = asyncio.ensure_future(clients[0].call("slow"))
        assert await asyncio.to_thread(command.line) == "working\n"
        if how == signal.SIGINT:  # as a terminal does: to all
            for worker in command.workers:
                os.kill(worker, how)
        command.process.send_signal(how)
        assert await asyncio.to_thread(command.line) == "Stopping.\n"
        (commands.directory / "enough").touch()
        assert await call == "done"
        for client in clients:
            await until(lambda client=client: client.closed)
            assert client.socket.close_code == 1001
    assert await ended(command) == 0
    assert not any(map(running, command.workers))
    assert not command.errors
    assert not list(commands.temporary.iterdir())


# Time passes when a client says so.
TIMED = """
from ddpcore.testing import FakeClock
from shop import server

clock = server.clock = FakeClock()

@server.method
async def later(ctx, seconds):
    await clock.advance(seconds)
"""


async def refused(address):
    """Wait until nobody takes new clients: of several workers one may be the last to hear of it."""
    with pytest.raises((OSError, websockets.WebSocketException)):
        while True:
            async with websockets.connect(f"ws://{address}/websocket", open_timeout=None):
                pass


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_clients_are_closed_one_after_the_other(commands, workers):
    (commands.directory / "timed.py").write_text(TIMED)
    command = commands.start(
        "-m", "ddpcore", "serve", "timed:server", "--bind", "127.0.0.1:0", "--bus", "claims:",
        "--workers", workers, "--drain", "60",
    )  # fmt: skip
    if workers == "1":
        address, stopping = re.search(r"//([^/]+)/", command.line())[1], command.pid
        command.line()
    else:
        command.serving()
        address, stopping = command.address, command.workers[0]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client_of(address, stopping)) for _ in range(4)]
        command.process.send_signal(signal.SIGTERM)
        for left in (3, 2, 1):
            await until(lambda left=left: sum(not it.closed for it in clients) == left)
            # Until its turn each is served as ever; nobody new is.
            here = [client for client in clients if not client.closed]
            assert {await client.call("pid") for client in here} == {stopping}
            await refused(address)
            assert len([client for client in clients if not client.closed]) == left
            await here[-1].send(msg="method", id=f"later{left}", method="later", params=[15])
        await asyncio.gather(*(client._reader for client in clients))
        assert {client.socket.close_code for client in clients} == {1001}
    assert await ended(command) == 0


async def test_a_second_interrupt_waits_for_nothing(commands):
    command = commands.serve().serving()
    async with connect(command.address) as client:
        await client.send(msg="method", id="1", method="stuck")
        assert await asyncio.to_thread(command.line) == "stuck\n"
        command.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(command.line) == "Stopping.\n"
        assert await ended(command, signal.SIGINT) == -signal.SIGINT
    await until(lambda: not any(map(running, command.workers)))
    assert not list(commands.temporary.iterdir())


@BOTH
async def test_stopped_before_it_serves(commands, how):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a database that never answers
        url = "postgres://nobody@{}:{}/none?sslmode=disable".format(*silent.getsockname())
        command = commands.serve("--bus", url)
        connection, _ = await asyncio.to_thread(silent.accept)
        with connection:
            assert await ended(command, how) == 128 + how
    assert not command.errors
    assert not list(commands.temporary.iterdir())


async def test_a_parent_that_is_killed_leaves_nobody(commands):
    command = commands.serve("--drain", "0").serving()
    async with connect(command.address) as client:
        command.process.kill()
        await until(lambda: client.closed)
        assert client.socket.close_code == 1001
    await until(lambda: not any(map(running, command.workers)))
    assert not list(commands.temporary.iterdir())


@pytest.mark.parametrize("lives", [True, False])
def test_the_last_worker_clears_up_after_its_parent(tmp_path, lives):
    """A process that dies hangs up first, and is somebody's parent until later: as we are here."""
    ours, theirs = socket.socketpair()
    directory = tmp_path / "shared"
    directory.mkdir()
    worker = Worker(Place(1, 2, theirs.detach(), [], str(directory)))
    ours.shutdown(socket.SHUT_WR)  # which is how it is told to stop
    if not lives:
        ours.close()
    worker.ended()
    assert directory.exists() == lives
    worker._channel.close()
    ours.close()


async def test_a_worker_that_does_not_stop_is_killed(commands):
    # The patience of the parent, made short in a script of its own.
    (commands.directory / "impatient.py").write_text(
        "import sys\n"
        "from ddpcore_tornado import workers\n"
        "workers.LATE = 0.1\n"
        "from ddpcore.cli import main\n"
        "sys.exit(main())\n"
    )
    command = commands.start(
        "impatient.py", "serve", "shop:server", "--bind", "127.0.0.1:0", "--bus", "claims:",
        "--workers", "2", "--drain", "0",
    ).serving()  # fmt: skip
    for pid in command.workers:  # one that can stop may still need longer than that
        os.kill(pid, signal.SIGSTOP)
    assert await ended(command, signal.SIGTERM) == 0
    assert not any(map(running, command.workers))
    for number, pid in enumerate(command.workers, 1):
        assert command.said(rf"Worker {number} \(process {pid}\) does not stop: it is killed")
    assert len(command.errors) == 2
