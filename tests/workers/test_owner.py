"""Sessions that poll: each lives in one worker, and its requests come to any."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import ssl
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given
from project import PATIENCE
from workers import ended, running

from ddpcore_tornado.owner import owner_of

POLLING = Path(__file__).parent / "polling.py"


# --- whose it is -------------------------------------------------------------------------------


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="/.?#%"), min_size=1),
    st.integers(1, 64),
)
def test_every_session_has_an_owner(session, count):
    owner = owner_of(f"/sockjs/000/{session}/xhr", count)
    assert 1 <= owner <= count
    for server, transport in (("123", "xhr_send"), ("x", "eventsource"), ("0", "jsonp/")):
        assert owner_of(f"/sockjs/{server}/{session}/{transport}", count) == owner


def test_sessions_are_spread():
    owners = [owner_of(f"/sockjs/000/s{number}/xhr", 4) for number in range(1000)]
    assert all(200 < owners.count(worker) < 300 for worker in (1, 2, 3, 4))


def test_workers_old_and_new_agree():
    """A hash of another value would tear sessions apart while workers are replaced one by one."""
    assert [owner_of(f"/sockjs/000/{name}/xhr", 4) for name in ("a", "b", "ab%63", "abc")] == [
        4, 2, 3, 3,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["/", "/sockjs", "/sockjs/info", "/sockjs/000/abc/websocket", "/sockjs/000/abc/websocket/",
     "/sockjs/websocket", "/sockjs/000/a.b/xhr", "/sockjs/000/abc", "/x/sockjs/000/abc/xhr"],
)  # fmt: skip
def test_what_belongs_to_nobody(path):
    assert owner_of(path, 4) is None


def test_sessions_below_a_prefix():
    assert owner_of("/app/sockjs/000/abc/xhr", 4, "/app") == owner_of("/sockjs/000/abc/xhr", 4)
    assert owner_of("/sockjs/000/abc/xhr", 4, "/app") is None


# --- handing over ------------------------------------------------------------------------------


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: bytes = b""


class Line:
    """One HTTP connection, held to one worker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        named = {"Host": "test", "Content-Length": str(len(body))} | named
        head = "".join(f"{name}: {text}\r\n" for name, text in named.items())
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        await self.writer.drain()

    async def head(self) -> Answer:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        pairs = [line.split(": ", 1) for line in lines[1:-1]]
        cookies = [text for name, text in pairs if name == "Set-Cookie"]
        return Answer(int(lines[0].split()[1]), dict(pairs), cookies)

    async def chunk(self) -> bytes:
        size = int(await self.reader.readline(), 16)
        chunk = await self.reader.readexactly(size)
        assert await self.reader.readexactly(2) == b"\r\n"
        return chunk

    async def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        async with asyncio.timeout(PATIENCE):
            await self.ask(method, path, body, **headers)
            answer = await self.head()
            if method != "HEAD" and answer.status not in (204, 304):
                answer.body = await self.reader.readexactly(int(answer.headers["Content-Length"]))
            return answer

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def line_to(command, pid: int, **options):
    """A connection with that worker."""
    while True:
        line = Line(*await asyncio.open_connection(*command.address.split(":"), **options))
        try:
            if (await line.request("GET", "/here")).body == str(pid).encode():
                yield line
                return
        finally:
            line.close()


@asynccontextmanager
async def polling(commands, *arguments: str, **options):
    """The command, an address of a session of worker 1, and a connection with each worker."""
    command = commands.start(
        str(POLLING), "serve", "shop:server", "--bind", "127.0.0.1:0", "--bus", "claims:",
        "--workers", "2", "--drain", "0", *arguments,
    ).serving()  # fmt: skip
    session = next(
        path
        for path in (f"/sockjs/000/s{number}" for number in range(100))
        if owner_of(f"{path}/xhr", 2) == 1
    )
    async with (
        line_to(command, command.workers[0], **options) as own,
        line_to(command, command.workers[1], **options) as other,
    ):
        yield command, session, own, other


async def stopped(command) -> None:
    assert await ended(command, signal.SIGTERM) == 0
    assert not any(map(running, command.workers))


async def test_a_session_is_one_whoever_is_asked(commands):
    async with polling(commands) as (command, session, own, other):
        assert (await other.request("POST", f"{session}/xhr_send", b"too early")).status == 404
        assert (await other.request("POST", f"{session}/xhr")).body == b"o\n"
        for sender, receiver in ((own, other), (other, own), (other, other), (own, own)):
            assert (await sender.request("POST", f"{session}/xhr_send", b"hello")).status == 204
            assert (await receiver.request("POST", f"{session}/xhr")).body == b"hello\n"
        await stopped(command)
    assert not command.errors


async def test_a_poll_waits_at_the_owner(commands):
    async with polling(commands) as (command, session, own, other):
        await own.request("POST", f"{session}/xhr")
        poll = asyncio.ensure_future(other.request("POST", f"{session}/xhr"))
        assert await asyncio.to_thread(command.line) == "waits\n"
        async with line_to(command, command.workers[1]) as third:
            assert (await third.request("POST", f"{session}/xhr_send", b"now")).status == 204
        assert (await poll).body == b"now\n"
        await stopped(command)
    assert not command.errors


async def test_a_stream_flows(commands):
    async with polling(commands) as (command, session, own, other):
        await other.ask("POST", f"{session}/xhr_streaming")
        assert (await other.head()).headers["Transfer-Encoding"] == "chunked"
        assert await other.chunk() == b"h" * 2048 + b"\n"
        for text in (b"one", b"two"):
            await own.request("POST", f"{session}/xhr_send", text)
            assert await other.chunk() == text + b"\n"
        await own.request("POST", f"{session}/xhr_send", b"end")
        assert await other.chunk() == b""
        # The connection goes on.
        assert (await other.request("GET", "/here")).status == 200
        await stopped(command)
    assert not command.errors


@pytest.mark.parametrize("transport", ["xhr", "xhr_streaming"])
async def test_who_hangs_up_ends_the_session(commands, transport):
    async with polling(commands) as (command, session, own, other):
        await own.request("POST", f"{session}/xhr")
        await other.ask("POST", f"{session}/{transport}")
        assert await asyncio.to_thread(command.line) == "waits\n"
        other.close()
        assert await asyncio.to_thread(command.line) == "hung up\n"
        assert (await own.request("POST", f"{session}/xhr_send", b"x")).status == 404
        await stopped(command)


async def test_headers_and_address_arrive_as_they_are(commands):
    sent = {
        "User_Agent": "test/1.0",
        "Cookie": "a=1",
        "X_Forwarded_For": "203.0.113.9, 198.51.100.7",
        "X_Ddpcore_Peer": "https 6.6.6.6",
    }
    async with polling(commands) as (command, session, own, other):
        answers = []
        for line in (own, other):
            answer = await line.request("POST", f"{session}/peer?t=%41&u", b"body", **sent)
            assert answer.cookies == ["a=1", "b=2"]
            told = json.loads(answer.body)
            assert told.pop("pid") == command.workers[0]
            assert told["address"] == "127.0.0.1"
            assert told["protocol"] == "http"
            assert told["uri"] == f"{session}/peer?t=%41&u"
            headers = {name.lower(): text for name, text in told.pop("headers").items()}
            assert headers.pop("connection", "close") == "close"
            headers.pop("x-ddpcore-peer", None)
            answers.append((told, headers, answer.headers))
        assert answers[0][:2] == answers[1][:2]
        direct, passed_on = ({**it[2], "Date": None, "Content-Length": None} for it in answers)
        assert direct == passed_on
        await stopped(command)
    assert not command.errors


async def test_tls(commands):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    cert, key = commands.directory / "cert.pem", commands.directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    trust = ssl.create_default_context(cafile=cert)
    tls = ("--certfile", str(cert), "--keyfile", str(key))
    async with polling(commands, *tls, ssl=trust) as (command, session, own, other):
        for line in (own, other):
            told = json.loads((await line.request("GET", f"{session}/peer")).body)
            assert (told["protocol"], told["address"]) == ("https", "127.0.0.1")
            assert told["pid"] == command.workers[0]
        await stopped(command)
    assert not command.errors


async def test_answers_of_every_form(commands):
    async with polling(commands) as (command, session, own, other):
        for line in (own, other):
            head = await line.request("HEAD", f"{session}/peer")
            assert (head.status, head.headers["Content-Length"]) == (200, "12345")
            assert (await line.request("OPTIONS", f"{session}/peer")).status == 204
            assert (await line.request("GET", f"{session}/cached")).status == 304
            assert (await line.request("GET", f"{session}/nothing")).status == 404
            assert (await line.request("DELETE", f"{session}/peer")).status == 405
            assert len((await line.request("GET", f"{session}/big")).body) == 5_000_000
            big = await line.request("PUT", f"{session}/peer", b"y" * 1_000_000)
            assert json.loads(big.body)["size"] == 1_000_000
            await line.ask(
                "POST", f"{session}/peer", Transfer_Encoding="chunked", Content_Length=""
            )
            line.close()
        await stopped(command)


async def test_more_than_a_message_may_have_is_not_gathered(commands):
    async with polling(commands) as (command, session, _, other):
        huge = await other.request("PUT", f"{session}/peer", b"y" * 1_100_000)
        assert (huge.status, huge.body) == (413, b"The body is too long.\n")
        await stopped(command)


async def test_an_owner_that_dies(commands):
    async with polling(commands) as (command, session, _, other):
        await other.ask("POST", f"{session}/xhr_streaming")
        await other.head()
        await other.chunk()
        os.kill(command.workers[0], signal.SIGKILL)
        # A stream that breaks off must not look like one that ended.
        assert await other.reader.read() == b""
        seen = set()

        async def gone() -> bool:
            async with line_to(command, command.workers[1]) as again:
                seen.add((await again.request("POST", f"{session}/xhr_send", b"x")).status)
                return 404 in seen

        async with asyncio.timeout(PATIENCE):
            while not await gone():
                await asyncio.sleep(0.01)
        assert seen <= {503, 404}
        async with line_to(command, command.workers[1]) as again:
            told = json.loads((await again.request("GET", f"{session}/peer")).body)
            assert told["pid"] not in command.workers
            assert (await again.request("POST", f"{session}/xhr")).body == b"o\n"
        await stopped(command)
    assert all("Worker 1" in line for line in command.errors)


async def test_stop_while_streams_flow(commands):
    async with polling(commands) as (command, session, _, other):
        await other.ask("POST", f"{session}/xhr_streaming")
        await other.head()
        await other.chunk()
        await stopped(command)
        assert await other.reader.read() == b""
    assert not command.errors


async def test_the_directory_is_private(commands):
    async with polling(commands) as (command, *_):
        (directory,) = commands.temporary.iterdir()
        assert directory.stat().st_mode & 0o777 == 0o700
        assert {path.name for path in directory.iterdir()} == {"1", "2"}
        await stopped(command)


async def test_websockets_are_served_where_they_land(commands):
    import websockets

    command = commands.serve().serving()
    sessions = {owner_of(f"/sockjs/000/s{n}/xhr", 2): f"s{n}" for n in range(20)}
    url = f"ws://{command.address}/sockjs/000/{sessions[1]}/websocket"
    landed = set()
    while landed != set(command.workers):
        async with websockets.connect(url, open_timeout=PATIENCE) as socket:
            assert await socket.recv() == "o"
            for message in (
                {"msg": "connect", "version": "1", "support": ["1"]},
                {"msg": "method", "id": "1", "method": "pid"},
            ):
                await socket.send(json.dumps([json.dumps(message)]))
            while '"result' not in (text := await socket.recv()):
                pass
            for message in json.loads(text[1:]):
                landed |= {json.loads(message).get("result")} - {None}
    await stopped(command)
