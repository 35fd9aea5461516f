"""What there is to compare with: servers that do the least that can be done.

`python -m bench.bare bare` or `tornado`. They understand two messages: `drive`, as the method of
`bench.server`, sends to all others; any other message is a call, and answered.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import sys
import time
from collections.abc import Awaitable
from typing import Any

import ujson
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

TURNS = 8  # as in bench.server


def message_of(version: int, size: int) -> bytes:
    """A change as long as that of `bench.server`."""
    at, text = int(time.monotonic() * 1e6), str(version).zfill(size)
    return (
        b'{"msg":"changed","collection":"rows","id":"fan-100-%d/%d","fields":'
        b'{"n":%d,"at":%d,"text":"%s"}}' % (size, version % 100, version, at, text.encode())
    )


def frame_of(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    return b"\x81\x7e" + size.to_bytes(2, "big") + payload


async def drive(others: Any, send: Any, call: dict[str, Any]) -> None:
    """Make the changes of a `drive`; `send(others, messages)` brings those of one turn."""
    room, turns, a_turn = call["params"]
    size = int(room.rpartition("-")[2])
    for turn in range(turns):
        send(others, [message_of(turn * a_turn + n, size) for n in range(a_turn)])
        for _ in range(TURNS):
            await asyncio.sleep(0)


def result_of(call: dict[str, Any]) -> str:
    return ujson.dumps({"msg": "result", "id": call["id"], "result": (call["params"] or [0])[0]})


def updated_of(call: dict[str, Any]) -> str:
    return ujson.dumps({"msg": "updated", "methods": [call["id"]]})


class Bare(asyncio.Protocol):
    """WebSocket frames straight from and to the transport: no library, no state, no checks."""

    everybody: dict[Bare, None] = {}

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.rest = b""
        self.upgraded = False
        self.everybody[self] = None

    def connection_lost(self, _problem: Exception | None) -> None:
        del self.everybody[self]

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        if not self.upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self.rest = head
                return
            self._upgrade(head)
        self.rest = self._frames(data)

    def _upgrade(self, head: bytes) -> None:
        self.upgraded = True
        key = head.lower().partition(b"sec-websocket-key:")[0]
        key = head[len(key) + 18 :].partition(b"\r\n")[0].strip()
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %s\r\n\r\n" % accept
        )

    def _frames(self, data: bytes) -> bytes:
        answers, at, end = [], 0, len(data)
        while at + 2 <= end:
            length, start = data[at + 1] & 0x7F, at + 2
            if length == 126:
                length, start = int.from_bytes(data[start : start + 2], "big"), start + 2
            stop = start + 4 + length
            if stop > end:
                break
            mask = data[start : start + 4]
            key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
            payload = int.from_bytes(data[start + 4 : stop], "big") ^ key
            answers.append(self._answer(payload.to_bytes(length, "big")))
            at = stop
        if answers:
            self.transport.write(b"".join(answers))
        return data[at:]

    def _answer(self, payload: bytes) -> bytes:
        if b'"drive"' in payload:
            self.task = asyncio.ensure_future(self._drive(ujson.loads(payload)))
            return b""
        if b'"collect"' in payload:
            gc.collect()
        if b'"connect"' in payload or b'"collect"' in payload:
            return _welcome(payload)
        return frame_of(payload)

    async def _drive(self, call: dict[str, Any]) -> None:
        others = [each for each in self.everybody if each is not self]
        await drive(others, self._send, call)
        self.transport.write(frame_of(result_of(call).encode()))

    @staticmethod
    def _send(others: list[Bare], messages: list[bytes]) -> None:
        frames = b"".join(map(frame_of, messages))
        for other in others:
            other.transport.write(frames)


def _welcome(payload: bytes) -> bytes:
    call = ujson.loads(payload)
    if call["msg"] == "connect":
        return frame_of(b'{"msg":"connected","session":"bare"}')
    return frame_of(result_of(call).encode())


class Tornado(WebSocketHandler):
    """The library's own way: `write_message` for each message of each client, no compression."""

    everybody: dict[Tornado, None] = {}

    def open(self) -> None:
        self.set_nodelay(True)
        self.everybody[self] = None

    def on_close(self) -> None:
        del self.everybody[self]

    def on_message(self, message: str) -> Awaitable[None] | None:
        call = ujson.loads(message)
        if call["msg"] == "connect":
            self.write_message('{"msg":"connected","session":"tornado"}')
        elif call["msg"] == "method":
            if call["method"] == "drive":
                return self._drive(call)
            if call["method"] == "collect":
                gc.collect()
            self._done(call)
        return None

    async def _drive(self, call: dict[str, Any]) -> None:
        await drive([each for each in self.everybody if each is not self], self._send, call)
        self._done(call)

    def _done(self, call: dict[str, Any]) -> None:
        self.write_message(result_of(call))
        self.write_message(updated_of(call))

    @staticmethod
    def _send(others: list[Tornado], messages: list[bytes]) -> None:
        for message in messages:
            text = message.decode()
            for other in others:
                other.write_message(text)


async def serve(name: str) -> None:
    if name == "bare":
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(Bare, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
    else:
        sockets = bind_sockets(0, "127.0.0.1")
        HTTPServer(Application([("/websocket", Tornado)], log_function=lambda _: None)).add_sockets(
            sockets
        )
        port = sockets[0].getsockname()[1]
    print(f"Serving {name} on http://127.0.0.1:{port}/", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
