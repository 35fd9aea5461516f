"""The transport keeps the contract, behind each of uvicorn's websockets."""

from contextlib import asynccontextmanager

import ddpcore_asgi
from served import uvicorn_serves

from ddpcore.testing.transport_contract import TransportContract


class ASGIContract(TransportContract):
    cuts_off = False  # the socket is the ASGI server's, and no application can cut it

    @asynccontextmanager
    async def served(self, server):
        async with uvicorn_serves(ddpcore_asgi.application(server), ws=self.ws) as port:
            yield f"ws://127.0.0.1:{port}/websocket"


class TestWebsockets(ASGIContract):
    ws = "websockets-sansio"


class TestWsproto(ASGIContract):
    ws = "wsproto"
