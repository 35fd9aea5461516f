"""Clients that still come by connections of long ago, to a server that is stopping."""

from __future__ import annotations

import asyncio
import http.client

import pytest
from served import make_server, served

from ddpcore.errors import Stopping
from ddpcore.transport import MemoryTransport

HANDSHAKE = {
    "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


class Kept:
    """A connection that is kept open."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address)

    async def ask(self, method: str, path: str, **headers: str) -> tuple[int, str | None]:
        """The status, and what becomes of the connection."""
        return await asyncio.to_thread(self._ask, method, path, headers)

    def _ask(self, method, path, headers):
        self._connection.request(method, path, headers=headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status, answer.headers.get("Connection")

    def close(self) -> None:
        self._connection.close()


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/websocket", HANDSHAKE),
        ("GET", "/sockjs/000/new/websocket", HANDSHAKE),
        ("POST", "/sockjs/000/new/xhr", {}),
        ("GET", "/sockjs/000/new/eventsource", {}),
    ],
)
async def test_it_takes_no_new_ones(method, path, headers):
    server = make_server()
    async with served(server) as address:
        kept = Kept(address)
        assert (await kept.ask("POST", "/sockjs/000/known/xhr"))[0] == 200
        server.refuse()
        assert await kept.ask(method, path, **headers) == (503, "close")
        kept.close()


async def test_it_still_serves_those_it_has():
    server = make_server()
    async with served(server) as address:
        kept = Kept(address)
        assert (await kept.ask("POST", "/sockjs/000/known/xhr"))[0] == 200
        server.refuse()
        status, connection = await kept.ask("POST", "/sockjs/000/known/xhr_send")
        assert (status, connection) == (500, None)  # it knows the session, and misses messages
        kept.close()


async def test_it_may_be_started_again():
    server = make_server()
    server.refuse()
    with pytest.raises(Stopping):
        await server.start()
    await server.stop()
    await server.start()
    server.accept(MemoryTransport())
    server.refuse()
    with pytest.raises(Stopping):
        server.accept(MemoryTransport())
    await server.stop()
