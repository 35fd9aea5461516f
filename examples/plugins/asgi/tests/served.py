"""Serving an application by a real uvicorn, on the loop of the test."""

import asyncio
import socket
from contextlib import asynccontextmanager

import uvicorn


@asynccontextmanager
async def uvicorn_serves(app, **options):
    """Serve `app`; the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings = {"lifespan": "on", "log_config": None, "proxy_headers": False, **options}
        server = uvicorn.Server(uvicorn.Config(app, **settings))
        running = asyncio.ensure_future(server.serve([listening]))
        while not server.started:
            assert not running.done(), "uvicorn did not start"
            await asyncio.sleep(0)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await running
