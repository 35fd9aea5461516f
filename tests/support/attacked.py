"""A server in a process of its own, so that its memory can be watched while it is attacked."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import ssl
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ddp_client import Client, connect

MB = 1024 * 1024

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A


def frame(first: int, payload: bytes = b"") -> bytes:
    """A frame of a client."""
    size = len(payload)
    if size < 126:
        header = bytes((first, 0x80 | size))
    elif size < 65_536:
        header = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        header = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    return header + b"\0\0\0\0" + payload


class Victim:
    """The server from outside.

    Attributes:
        address: Where it serves.
        other: A client of it, logged in, who must notice nothing. It came before the delays of
            the server became as short as they are for the attackers.
        log: What it has logged; all of it, when it has ended.
    """

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process = process
        self.address = address
        self.other: Client
        self.log = ""
        self.listening = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        async for line in self.process.stderr:
            self.log += line.decode()

    async def logs(self, text: str) -> None:
        """Wait until it has logged this."""
        while text not in self.log:
            await asyncio.sleep(0.01)

    @property
    def most(self) -> int:
        """Bytes of memory that it has taken at most, until now (its RSS)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024

    async def dial(self, tls: ssl.SSLContext | None = None):
        host, port = self.address.split(":")
        named = {"server_hostname": "localhost"} if tls is not None else {}
        return await asyncio.open_connection(host, int(port), ssl=tls, **named)

    async def upgraded(self, path: str = "/websocket", *behind: bytes):
        """A WebSocket on which nothing has been said yet."""
        reader, writer = await self.dial()
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {self.address}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
            + b"".join(behind)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return reader, writer

    async def serves_others(self) -> None:
        for number in range(3):
            assert await self.other.call("echo", number) == [number]


@asynccontextmanager
async def attacked(most: int = 10 * MB, limits: dict[str, Any] | None = None, **options: Any):
    """A victim; afterwards it must have served another client all along, in so much more memory.

    Args:
        most: Bytes by which it may grow.
        limits: What is not the default of `Limits`; ``files``: how many it may open.
        options: What is not the default of `Server`.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, json.dumps(options), json.dumps(limits or {}),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    address = (await process.stdout.readline()).decode().strip()
    victim = Victim(process, address)
    try:
        async with connect(address) as victim.other:
            await victim.other.call("login")
            await victim.other.call("begin")
            await victim.serves_others()
            before = victim.most
            yield victim
            await victim.serves_others()
            grown = victim.most - before
            assert grown < most, f"It took {grown / MB:.1f} MB"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await victim.listening


async def main(options: dict[str, Any], limits: dict[str, Any]) -> None:
    """Serve for ever."""
    from tornado.web import Application

    import ddpcore
    import ddpcore_tornado

    if files := limits.pop("files", None):
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    server = ddpcore.Server(**options)
    hasty, usual = server.options, ddpcore.Server().options
    delays = ("connect_timeout", "heartbeat_interval", "heartbeat_timeout")
    server.options = replace(hasty, **{name: getattr(usual, name) for name in delays})

    @server.method
    async def begin(ctx):
        server.options = hasty
        http.conn_params.header_timeout = given.header_timeout

    @server.method
    async def login(ctx):
        await ctx.set_user_id("ann")

    @server.method
    async def logout(ctx):
        await ctx.set_user_id(None)

    @server.method
    async def echo(ctx, *params):
        return list(params)

    @server.method
    async def hang(ctx):
        await asyncio.Event().wait()

    @server.method
    async def hang_aside(ctx):
        ctx.unblock()
        await asyncio.Event().wait()

    @server.publish("things")
    def things(ctx):
        ctx.ready()

    given = ddpcore_tornado.Limits(**limits)
    rules = ddpcore_tornado.handlers(server, limits=given)
    application = Application(rules, log_function=lambda _: None)
    patient = replace(given, header_timeout=60)
    http = ddpcore_tornado.listen(application, 0, "127.0.0.1", limits=patient)
    (socket,) = http._sockets.values()
    await server.start()
    print("{}:{}".format(*socket.getsockname()), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), json.loads(sys.argv[2])))
