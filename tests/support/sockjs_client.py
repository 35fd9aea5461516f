"""A client of SockJS over HTTP, for tests: sockets of its own, and each request told as it went."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode

TRANSPORTS = ["xhr", "xhr_streaming", "eventsource", "htmlfile", "jsonp"]
POLLS = ["xhr", "jsonp"]
STREAMS = ["xhr_streaming", "eventsource", "htmlfile"]


@dataclass
class Answer:
    """An HTTP response whose body is read as it comes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int
    headers: dict[str, str] = field(default_factory=dict)

    async def chunk(self) -> bytes:
        """The next part of the body; empty at its end."""
        if self.headers.get("transfer-encoding") == "chunked":
            size = int(await self.reader.readline(), 16)
            return (await self.reader.readexactly(size + 2))[:-2]
        if "content-length" in self.headers:
            size, self.headers["content-length"] = self.headers["content-length"], "0"
            return await self.reader.readexactly(int(size))
        return b"" if self.status in (204, 304) else await self.reader.read(65536)

    async def body(self) -> bytes:
        body = b""
        while chunk := await self.chunk():
            body += chunk
        return body

    def hang_up(self) -> None:
        self.writer.transport.abort()


async def ask(
    address: str,
    method: str,
    path: str,
    body: str | bytes | None = None,
    version: str = "1.1",
    **headers: str,
) -> Answer:
    """Make a request on a connection of its own, and read the head of the answer."""
    reader, writer = await asyncio.open_connection(*address.split(":"), limit=1 << 26)
    named = {"Host": address} | {name.replace("_", "-"): text for name, text in headers.items()}
    payload = body.encode() if isinstance(body, str) else body or b""
    if body is not None or method == "POST":
        named["Content-Length"] = str(len(payload))
    lines = [f"{method} {path} HTTP/{version}", *(f"{k}: {v}" for k, v in named.items()), "", ""]
    writer.write("\r\n".join(lines).encode() + payload)
    try:
        status = int((await reader.readline()).split()[1])
        answer = Answer(reader, writer, status)
        while line := (await reader.readline()).strip().decode("latin-1"):
            name, _, value = line.partition(":")
            answer.headers[name.lower()] = value.strip()
    except BaseException:
        writer.transport.abort()
        raise
    return answer


async def whole(*args: Any, **options: Any) -> tuple[int, bytes]:
    """Make a request; its status and body."""
    answer = await ask(*args, **options)
    body = await answer.body()
    answer.hang_up()
    return answer.status, body


class Session:
    """A session by one of the transports, frame by frame.

    Args:
        address: ``host:port``.
        transport: One of `TRANSPORTS`.
        prefix: The address of SockJS.
        id: The session's.
        headers: Of all requests.
    """

    def __init__(
        self,
        address: str,
        transport: str,
        prefix: str = "/sockjs",
        id: str | None = None,
        **headers: str,
    ) -> None:
        self.address = address
        self.transport = transport
        self.path = f"{prefix}/000/{id or secrets.token_hex(4)}"
        self.headers = headers or (
            {"Referer": f"http://{address}/"} if transport == "jsonp" else {}
        )
        self.answer: Answer | None = None
        self._buffer = b""

    async def ask(self) -> Answer:
        """Open the request that waits for frames."""
        if self.transport in ("xhr", "xhr_streaming"):
            return await ask(self.address, "POST", f"{self.path}/{self.transport}", **self.headers)
        query = "" if self.transport == "eventsource" else "?c=parent.cb"
        path = f"{self.path}/{self.transport}{query}"
        return await ask(self.address, "GET", path, **self.headers)

    async def frame(self) -> str:
        """The next frame, of this answer or of the next."""
        while True:
            if self.answer is None:
                self.answer = await self.ask()
                assert self.answer.status == 200, await self.answer.body()
                self._buffer = b""
            while (found := _FRAMES[self.transport].search(self._buffer)) is None:
                chunk = await self.answer.chunk()
                if not chunk:
                    self.hang_up()
                    break
                self._buffer += chunk
                self._buffer = self._buffer.removeprefix(_PRELUDE)
            if found is not None:
                self._buffer = self._buffer[found.end() :]
                if self.transport in POLLS:
                    assert await self.answer.chunk() == b""
                    self.hang_up()
                return _unwrapped(self.transport, found[1].decode())

    async def send(self, *texts: str) -> None:
        """Bring messages."""
        assert await self.post(json.dumps(texts)) in ((204, b""), (200, b"ok"))

    async def post(self, payload: str) -> tuple[int, bytes]:
        if self.transport != "jsonp":
            return await whole(
                self.address, "POST", f"{self.path}/xhr_send", payload, **self.headers
            )
        form = {"Content-Type": "application/x-www-form-urlencoded"} | self.headers
        return await whole(
            self.address, "POST", f"{self.path}/jsonp_send", urlencode({"d": payload}), **form
        )

    def hang_up(self) -> None:
        if self.answer is not None:
            self.answer.hang_up()
            self.answer = None


_PRELUDE = b"h" * 2048 + b"\n"
_FRAMES = {
    "xhr": re.compile(rb"(.*)\n"),
    "xhr_streaming": re.compile(rb"(.*)\n"),
    "eventsource": re.compile(rb"data: (.*)\r\n\r\n"),
    "htmlfile": re.compile(rb"<script>\np\((.*)\);\n</script>\r\n"),
    "jsonp": re.compile(rb"^/\*\*/parent\.cb\((.*)\);\r\n$"),
}


def _unwrapped(transport: str, frame: str) -> str:
    if transport in ("htmlfile", "jsonp"):
        assert "<" not in frame
        return str(json.loads(frame))
    return unquote(frame) if transport == "eventsource" else frame


class Socket:
    """A session as `ddp_client.Client` wants a socket."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.closed: tuple[int, str] | None = None
        self._reading: asyncio.Task[str] | None = None

    async def send(self, text: str) -> None:
        await self.session.send(text)

    async def __aiter__(self) -> AsyncIterator[str]:
        assert await self.session.frame() == "o"
        while True:
            self._reading = asyncio.ensure_future(self.session.frame())
            try:
                frame = await self._reading
            except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
                return
            if frame[0] == "c":
                self.closed = tuple(json.loads(frame[1:]))
                return
            if frame[0] == "a":
                for text in json.loads(frame[1:]):
                    yield text

    async def close(self) -> None:
        """Leave as a page does that is closed: hang up."""
        if self._reading is not None:
            self._reading.cancel()
        self.session.hang_up()
