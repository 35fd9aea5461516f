"""A server on this event loop, behind a real socket, and ways to talk to it below the level of DDP."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import Any

import websockets
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from ddpcore import Server
from ddpcore_tornado import handlers

CONNECT = '{"msg":"connect","version":"1","support":["1"]}'


def make_server(**options: Any) -> Server:
    """A server with something to call and to subscribe to."""
    # Here a client that is gone is gone; sessions that wait for it have tests of their own.
    server = Server(**{"grace_period": 0, **options})

    @server.method
    async def echo(ctx, *params):
        return list(params)

    @server.publish("things")
    def things(ctx, *values):
        for number, value in enumerate(values):
            ctx.added("things", f"t{number}", {"value": value})
        ctx.ready()

    return server


@asynccontextmanager
async def listening(application: Application, *servers: Server):
    """Serve a Tornado application; the address."""
    http = HTTPServer(application)
    (socket,) = bind_sockets(0, "127.0.0.1")
    http.add_socket(socket)
    try:
        yield "{}:{}".format(*socket.getsockname())
    finally:
        http.stop()
        await http.close_all_connections()
        for server in servers:
            await server.stop()


@asynccontextmanager
async def served(server: Server | None = None, **options: Any):
    """Serve a DDP server, and nothing else; the address."""
    server = server or make_server()
    application = Application(handlers(server, **options), log_function=lambda _: None)
    async with listening(application, server) as address:
        yield address


def raw(address: str, path: str = "/websocket", **options: Any) -> websockets.connect:
    """A WebSocket on which nothing has been said yet."""
    return websockets.connect(
        f"ws://{address}{path}", max_size=None, ping_interval=None, open_timeout=60, **options
    )


@asynccontextmanager
async def connected(address: str, path: str = "/websocket", **options: Any):
    """A WebSocket with a DDP session."""
    async with raw(address, path, **options) as socket:
        await socket.send(CONNECT)
        assert (await hear(socket))["msg"] == "connected"
        yield socket


async def say(socket: websockets.ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: websockets.ClientConnection) -> dict[str, Any]:
    """The next message, which must be a text frame of its own."""
    text = await socket.recv()
    assert isinstance(text, str)
    return json.loads(text)


async def answers(socket: websockets.ClientConnection) -> bool:
    """Whether a ping is answered, and nothing else comes before."""
    await say(socket, msg="ping", id="are you there")
    return await hear(socket) == {"msg": "pong", "id": "are you there"}


async def closing(socket: websockets.ClientConnection) -> tuple[int, str]:
    """How the other side closes; nothing may come before."""
    try:
        unexpected = await socket.recv()
    except websockets.ConnectionClosed as closed:
        assert closed.rcvd is not None, closed
        return closed.rcvd.code, closed.rcvd.reason
    raise AssertionError(unexpected)


async def fetch(
    address: str, path: str, method: str = "GET", body: str | None = None, **headers: str
) -> HTTPResponse:
    """A plain HTTP request; ``Access_Control=…`` is the header ``Access-Control``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await AsyncHTTPClient().fetch(
        f"http://{address}{path}",
        method=method,
        body=body,
        headers=named,
        raise_error=False,
        allow_nonstandard_methods=True,
    )
