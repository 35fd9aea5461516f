"""The transports of this distribution as the contract wants them: served, and with clients."""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sockjs_client import Session, whole
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from ddpcore import Server
from ddpcore.testing.transport_contract import Peer, Refused, TransportContract, WebSocketPeer
from ddpcore.transport import MemoryTransport, visible_headers
from ddpcore_tornado import handlers
from ddpcore_tornado.sockjs import Options


class Contract(TransportContract):
    """Where an exception of a receiver is announced to those who watch the log."""

    logger = "ddpcore_tornado"

    @pytest.fixture(autouse=True)
    def _expects_what_it_causes(self, request: pytest.FixtureRequest, expect_log: Any) -> None:
        if "exception" in request.node.name:
            expect_log(self.logger, "Exception at a message")


# --- in memory ------------------------------------------------------------------------------------


class MemoryPeer(Peer):
    def __init__(
        self, server: Server, headers: Mapping[str, str], kind: type[MemoryTransport]
    ) -> None:
        self.transport = kind("127.0.0.1")
        self.transport.headers = visible_headers(headers.items())
        self.transport.stop_taking()
        self._read = 0
        server.accept(self.transport)

    async def send(self, *texts: str) -> None:
        for text in texts:
            self.transport.put(text)
        await asyncio.sleep(0)

    async def send_bytes(self, data: bytes) -> None:
        self.transport.put(data)

    async def send_too_much(self, text: str) -> None:
        await self.send(text)

    async def misbehave(self) -> None:
        """There are no rules to break."""

    async def receive(self) -> str | None:
        while self._read == len(self.transport.frames):
            if self.transport.gone:
                self.closed = None if self.transport.cut_off else self.transport.closed
                return None
            self.transport.take_again(1)
            await asyncio.sleep(0)
        self._read += 1
        return self.transport.frames[self._read - 1].data.decode()

    async def leave(self) -> None:
        self.transport.lose()

    async def vanish(self) -> None:
        self.transport.lose()


class MemoryContract(Contract):
    kind: type[MemoryTransport] = MemoryTransport
    logger = "ddpcore"
    checks_origin = brings_cookies = holds_back = False

    @asynccontextmanager
    async def served(self, server: Server):
        yield server

    async def connect(self, address: Server, headers: Mapping[str, str]) -> Peer:
        await address.start()
        return MemoryPeer(address, headers, self.kind)


# --- through Tornado ------------------------------------------------------------------------------


class TornadoContract(Contract):
    path = "/websocket"
    sockjs: Options | None = None
    server_tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def served(self, server: Server):
        application = Application(handlers(server, sockjs=self.sockjs), log_function=lambda _: None)
        http = HTTPServer(application, ssl_options=self.server_tls)
        (socket,) = bind_sockets(0, "127.0.0.1")
        http.add_socket(socket)
        try:
            scheme = "wss" if self.secure else "ws"
            yield f"{scheme}://127.0.0.1:{socket.getsockname()[1]}{self.path}"
        finally:
            http.stop()
            await server.stop()
            await http.close_all_connections()


class SockJSSocketPeer(WebSocketPeer):
    def encode(self, texts: Sequence[str]) -> list[bytes]:
        return [json.dumps(texts, ensure_ascii=False).encode()]

    def decode(self, payload: bytes) -> list[str]:
        text = payload.decode()
        if text[0] == "c":
            self.closed = tuple(json.loads(text[1:]))
        return json.loads(text[1:]) if text[0] == "a" else []


class SockJSSocketContract(TornadoContract):
    path = ""

    async def connect(self, address: str, headers: Mapping[str, str]) -> Peer:
        url = f"{address}/sockjs/000/{secrets.token_hex(4)}/websocket"
        return await SockJSSocketPeer.connect(url, headers)


class HttpPeer(Peer):
    """SockJS over HTTP. A client that is asked for nothing has no request open, or leaves it unread."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._ready: list[str] = []
        self._over = False

    async def send(self, *texts: str) -> None:
        await self.session.post(json.dumps(texts, ensure_ascii=False))

    async def send_bytes(self, data: bytes) -> None:
        path = f"{self.session.path}/xhr_send"
        await whole(self.session.address, "POST", path, b'["' + data + b'"]')

    async def send_too_much(self, text: str) -> None:
        try:
            await self.send(text)
        except (ConnectionError, IndexError, ValueError):
            pass  # the server does not read it to its end

    async def misbehave(self) -> None:
        assert (await self.session.post('["unfinished'))[0] == 500

    async def receive(self) -> str | None:
        while not self._ready:
            if self._over:
                return None
            try:
                frame = await self.session.frame()
            except (ConnectionError, asyncio.IncompleteReadError, AssertionError):
                self._over = True
                continue
            if frame[0] == "c":
                self.closed = tuple(json.loads(frame[1:]))
                self._over = True
            elif frame[0] == "a":
                self._ready += json.loads(frame[1:])
            elif frame[0] == "o" and self._opened:
                self._over = True  # ours is forgotten, and this another one
            self._opened = True
        return self._ready.pop(0)

    _opened = True

    async def leave(self) -> None:
        """As a page does that is closed: hang up on a request that waits for frames."""
        await self.vanish()

    async def vanish(self) -> None:
        if self.session.answer is None and not self._over:
            await self._hang_up_on_a_poll()
        self.session.hang_up()
        self._over = True

    async def _hang_up_on_a_poll(self) -> None:
        # Of two at once, one is told so: then the other one waits.
        told = b"a"
        while told.startswith(b"a"):
            polls = [asyncio.ensure_future(self.session.ask()) for _ in range(2)]
            answered, waiting = await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
            for poll in waiting:
                poll.cancel()
            await asyncio.wait(polls)
            for poll in answered:
                try:
                    told = await poll.result().body()
                except asyncio.IncompleteReadError:
                    told = b""  # cut off meanwhile
                poll.result().hang_up()


class HttpContract(TornadoContract):
    path = ""
    transport = "xhr"
    brings_cookies = counts_bytes = cuts_off = False

    async def connect(self, address: str, headers: Mapping[str, str]) -> Peer:
        named = {name.replace("-", "_"): value for name, value in headers.items()}
        session = Session(address.removeprefix("ws://"), self.transport, **named)
        try:
            assert await session.frame() == "o"
        except AssertionError as problem:
            session.hang_up()
            raise Refused from problem
        return HttpPeer(session)
