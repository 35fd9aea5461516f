"""`ddpcore serve status_site:server` with its monitor, looked at from outside."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager

from deploying import client

WORKERS = ("1", "2")


def serve(commands, *arguments: str, monitor: str = "127.0.0.1:0", workers: str = "1", **env: str):
    """Start it; where it listens is in `address`, and its monitor's in `monitor`."""
    command = commands.start(
        "-m", "ddpcore", "serve", "status_site:server", "--bind", "127.0.0.1:0",
        "--bus", "claims:", "--workers", workers, "--monitor", monitor, *arguments, **env,
    )  # fmt: skip
    command.monitor = re.fullmatch(r"Monitor on (?:http://)?(.+?)/?\n", command.line())[1]
    command.addresses.append(re.match(r"Serving .* on http://([^/]+)/", command.line())[1])
    command.banner = command.line()
    return command


@asynccontextmanager
async def looker(monitor: str, path: str = "websocket", token: str | None = None, **options):
    """A client of the status."""
    async with client(f"ws://{monitor}/status/{path}", **options) as one:
        if token is not None:
            await one.call("status.enter", token)
        yield one
