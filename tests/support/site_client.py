"""Sites on this event loop behind real sockets, and a client that sees every byte."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import served
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.routing import AnyMatches, Rule
from tornado.web import Application

from ddpcore_tornado import handlers
from ddpcore_tornado.site import ASGISite, WSGISite

LIMIT = 2_000_000


@asynccontextmanager
async def serving(site, *, host="127.0.0.1", path=None, patience=30.0):
    """Serve a site beside DDP; the address. What it is at in the end gets so many seconds."""
    server = served.make_server()
    rules = [*handlers(server), Rule(AnyMatches(), site)]
    http = HTTPServer(Application(rules, log_function=lambda _: None))
    try:
        await site.start()
        (socket,) = [bind_unix_socket(path)] if path else bind_sockets(0, host)
        http.add_socket(socket)
        yield path or socket.getsockname()[:2]
    finally:
        http.stop()
        await site.finish(patience)
        await http.close_all_connections()
        await server.stop()
        await site.stop()


def wsgi(application, **options):
    """Serve a WSGI application."""
    where = {name: options.pop(name) for name in ("host", "path", "patience") if name in options}
    return serving(WSGISite(application, **{"threads": 2, "max_upload": LIMIT} | options), **where)


def asgi(application, **options):
    """Serve an ASGI application."""
    where = {name: options.pop(name) for name in ("host", "path", "patience") if name in options}
    return serving(ASGISite(application, **{"max_upload": LIMIT} | options), **where)


class Answer:
    """A response, as it came."""

    def __init__(self, head: bytes) -> None:
        start, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.version, status, self.reason = start.split(" ", 2)
        self.status = int(status)
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            self.headers.setdefault(name.lower(), []).append(value)
        self.body = b""

    def __getitem__(self, name: str) -> str | None:
        return ", ".join(self.headers[name]) if name in self.headers else None


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *lines: str, body: bytes = b"", version: str = "1.1") -> None:
        """Send a request: its first line without the version, then headers."""
        head = [f"{lines[0]} HTTP/{version}", "Host: example.com", *lines[1:], "", ""]
        await self.push("\r\n".join(head).encode("latin-1") + body)

    async def push(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> Answer:
        return Answer(await self.reader.readuntil(b"\r\n\r\n"))

    async def chunk(self) -> bytes:
        """The next chunk; an empty one is the last."""
        size = int(await self.reader.readline(), 16)
        data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def answer(self, *, head: bool = False) -> Answer:
        """A whole response."""
        answer = await self.head()
        if head or answer.status in (204, 304):
            return answer
        if answer["transfer-encoding"] == "chunked":
            while chunk := await self.chunk():
                answer.body += chunk
        elif answer["content-length"] is not None:
            answer.body = await self.reader.readexactly(int(answer["content-length"]))
        else:
            answer.body = await self.reader.read()
        return answer

    async def ask(self, *lines: str, body: bytes = b"", version: str = "1.1") -> Answer:
        await self.send(*lines, body=body, version=version)
        return await self.answer(head=lines[0].startswith("HEAD "))

    async def is_closed(self) -> bool:
        """Wait for the end of the connection; nothing may come before."""
        return await self.reader.read() == b""


@asynccontextmanager
async def visit(address, **options):
    """Connect."""
    if isinstance(address, str):
        reader, writer = await asyncio.open_unix_connection(address)
    else:
        reader, writer = await asyncio.open_connection(*address, **options)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
