"""Limits on the command line, in the one process and in workers, and what the system allows."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import websockets
from ddp_client import PATIENCE, connect

LIMITED = """
import os, resource, sys
soft, hard, *arguments = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (int(soft), int(hard)))
os.execv(sys.executable, [sys.executable, "-m", "ddpcore", "serve", *arguments])
"""
WHO = """
from ddpcore import Server

server = Server()

@server.method
async def who(ctx):
    return [ctx.connection.client_address, ctx.connection.secure]
"""


async def refusal(address, **headers):
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(
            f"ws://{address}/websocket", additional_headers=named, open_timeout=PATIENCE
        )
    return refused.value.response.status_code


async def ended(process):
    return await asyncio.to_thread(process.end, signal.SIGTERM)


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--max-connections", "3"], 503, "There are 3 connections: further ones are refused"),
        (
            ["--max-connections-per-address", "3"],
            429,
            (
                "127.0.0.1 has 3 connections: further ones are refused"
                " (--max-connections-per-address, Limits.connections_per_address)."
                " If that is a proxy, say how many there are: --forwarded-count."
            ),
        ),
    ],
)
async def test_connections(shell, options, status, said):
    process = shell.serve("shop.server:server", *options)
    address = process.address()
    async with AsyncExitStack() as guests:
        clients = [await guests.enter_async_context(connect(address)) for _ in range(3)]
        for _ in range(5):
            assert await refusal(address) == status
        assert await clients[0].call("echo", 1) == [1]
    code, _, errors = await ended(process)
    assert code == 0
    assert errors.count("WARNING") == errors.count(said) == 1, errors


async def test_proxies(shell):
    shell.write("who.py", WHO)
    process = shell.serve("who:server", "--forwarded-count", "1",
                          "--max-connections-per-address", "1")  # fmt: skip
    address = process.address()
    headers = {"X-Forwarded-For": "127.0.0.1, 192.0.2.1", "X-Forwarded-Proto": "https"}
    url = f"ws://{address}/websocket"
    async with websockets.connect(url, additional_headers=headers, open_timeout=PATIENCE) as socket:
        await socket.send('{"msg":"connect","version":"1","support":["1"]}')
        await socket.send('{"msg":"method","id":"1","method":"who","params":[]}')
        while '"result"' not in (said := await socket.recv()):
            pass
        assert '["192.0.2.1",true]' in said
        assert await refusal(address, X_Forwarded_For="192.0.2.1") == 429
        async with connect(address) as other:  # past the proxy: nobody knows from where
            assert await other.call("who") == [None, False]
    code, _, errors = await ended(process)
    assert code == 0
    assert "192.0.2.1 has 1 clients: further ones are refused" in errors


async def test_headers_that_never_end(shell):
    process = shell.serve("shop.server:server", "--header-timeout", "0.3")
    reader, writer = await asyncio.open_connection(*process.address().split(":"))
    writer.write(b"GET / HTTP/1.1\r\n")
    assert await reader.read() == b""
    writer.close()
    assert (await ended(process))[::2] == (0, "")


LINUX = pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")


@LINUX
@pytest.mark.parametrize(
    ("most", "warning"),
    [
        ("500", ""),
        ("501", "This process may open 500 files, so it takes on 400 connections and not 501."),
    ],
)
def test_as_many_files_as_there_may_be(shell, most, warning):
    shell.write("limited.py", LIMITED)
    process = shell.start("limited.py", "200", "500", "shop.server:server", "--bind",
                          "127.0.0.1:0", "--max-connections", most)  # fmt: skip
    process.address()
    limits = Path(f"/proc/{process.process.pid}/limits").read_text()
    assert [line.split()[3:5] for line in limits.splitlines() if "open files" in line] == [
        ["500", "500"]
    ]
    code, _, errors = process.end(signal.SIGTERM)
    assert code == 0
    assert warning in errors
    assert bool(errors) == bool(warning)
