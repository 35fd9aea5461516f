"""`ddpcore serve` with a site: its memory, its end, and Django's own handlers."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
from certificate import tls_contexts
from ddp_client import connect
from project import ROOT, Process
from site_client import visit

MB = 1_000_000

PLAIN = """
import asyncio, os, threading, time
from ddpcore import MemoryBus, Server, hookimpl

# It says that it crosses processes, which nothing here puts to the proof.
class Claims(MemoryBus):
    crosses_processes = True

class Plugin:
    @hookimpl
    def ddpcore_bus(self, url):
        return Claims() if url == "claims:" else None

server = Server(plugins=[Plugin()])

@server.method
async def echo(ctx, *params):
    return list(params)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/hang":
        print("hanging", flush=True)
        time.sleep(600)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/upload":
        size = 0
        while data := environ["wsgi.input"].read(65536):
            size += len(data)
        return [str(size).encode()]
    if path == "/stream":
        return (bytes(50_000) for _ in range(4000))
    return [b"one"]

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError
    path, size = scope["path"], 0
    if path == "/hang":
        print("hanging", flush=True)
        await asyncio.to_thread(time.sleep, 600)
    if path == "/block":
        print("hanging", flush=True)
        time.sleep(600)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if path == "/where":
        text = f"{scope['scheme']} {os.getpid()}"
        return await send({"type": "http.response.body", "body": text.encode()})
    for _ in range(4000 if path == "/stream" else 0):
        await send({"type": "http.response.body", "body": bytes(50_000), "more_body": True})
    await send({"type": "http.response.body", "body": str(size).encode() if size else b"one"})
"""

SETTINGS = """
SECRET_KEY = "x"
DEBUG = True
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django.contrib.staticfiles", "ddpcore_django", "live"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
ROOT_URLCONF = "urls"
STATIC_URL = "/static/"
STATICFILES_DIRS = ["static"]
LOGGING = {"version": 1}
"""

DDP = """
from ddpcore_django import API, Publication

class Nothing(Publication):
    queries = []

API.register(Nothing)
"""

URLS = """
import asyncio, threading, time
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

async def quick(request):
    return HttpResponse(type(request).__name__)

def sync(request):
    return HttpResponse(f"{request.method} {len(request.body)} {request.META['REMOTE_ADDR']}")

def upload(request):
    (file,) = request.FILES.values()
    return HttpResponse(f"{file.name} {file.size} {request.POST['a']}")

async def events(request):
    async def lines():
        try:
            while True:
                yield b"data: 1\\n\\n"
                await asyncio.sleep(0.01)
        finally:
            print("events closed", flush=True)
    return StreamingHttpResponse(lines(), content_type="text/event-stream")

async def patient(request):
    print("patient", flush=True)
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        print("patient cancelled", flush=True)
        raise

def hang(request):
    print("hanging", flush=True)
    time.sleep(600)

urlpatterns = [path(view.__name__, view) for view in (quick, sync, upload, events, patient, hang)]
"""


class Commands:
    """Commands in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running: list[Process] = []

    def serve(self, *arguments: str) -> Process:
        environ = {name: text for name, text in os.environ.items() if "DJANGO" not in name}
        environ["PYTHONPATH"] = str(ROOT)
        process = Process(
            "-m", "ddpcore", "serve", "--bind", "127.0.0.1:0", *arguments,
            site=self.directory, env=environ,
        )  # fmt: skip
        self._running.append(process)
        found = re.search(r"https?://(.+):(\d+)/", process.line())
        process.address = found[1], int(found[2])
        process.line()
        return process

    def end(self) -> None:
        for process in self._running:
            process.end(signal.SIGKILL)


@pytest.fixture
def commands(tmp_path):
    (tmp_path / "shop.py").write_text(PLAIN)
    (tmp_path / "urls.py").write_text(URLS)
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "__init__.py").touch()
    (tmp_path / "live" / "ddp.py").write_text(DDP)
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.txt").write_text("static")
    for kind in ("wsgi", "asgi", None):
        text = f'{SETTINGS}\nDDPCORE = {{"SITE": {kind!r}}}\n'
        (tmp_path / f"settings_{str(kind).lower()}.py").write_text(text)
    commands = Commands(tmp_path)
    yield commands
    commands.end()


BOTH = pytest.mark.parametrize(
    "site", [("--wsgi", "shop:app"), ("--asgi", "shop:asgi")], ids=["wsgi", "asgi"]
)


async def end(process) -> list[str]:
    """Stop it; what it has said on standard error."""
    async with asyncio.timeout(30):
        assert await asyncio.to_thread(process.end) == 0
    return list(process.errors)


class Memory:
    """The most memory that a process has had since."""

    def __init__(self, process) -> None:
        self._process = psutil.Process(process.process.pid)
        self._before = self._process.memory_info().rss
        self.most = 0

    def look(self) -> None:
        self.most = max(self.most, self._process.memory_info().rss - self._before)


@BOTH
async def test_a_long_stream_to_a_slow_reader(commands, site):
    process = commands.serve("shop:server", *site)
    async with visit(process.address, limit=64 * 1024) as client:
        await client.ask("GET /")
        memory = Memory(process)
        await client.send("GET /stream")
        await client.head()
        await asyncio.sleep(0.5)  # it could be ahead of us by now
        memory.look()
        size = 0
        while chunk := await client.chunk():
            size += len(chunk)
            if size % 10 * MB == 0:
                memory.look()
        assert size in (200 * MB, 200 * MB + 3)
        assert memory.most < 30 * MB
    assert await end(process) == []


@BOTH
async def test_a_large_upload(commands, site):
    process = commands.serve("shop:server", *site, "--max-upload", str(100 * MB))
    async with visit(process.address) as client:
        await client.ask("GET /")
        memory = Memory(process)
        await client.send("POST /upload", f"Content-Length: {100 * MB}")
        for _ in range(100):
            await client.push(bytes(MB))
            memory.look()
        assert (await client.answer()).body == str(100 * MB).encode()
        assert memory.most < 30 * MB
        answer = await client.ask("POST /upload", f"Content-Length: {100 * MB + 1}")
        assert answer.status == 413
    assert await end(process) == []


@pytest.mark.parametrize(
    ("site", "path"),
    [
        (("shop:server", "--wsgi", "shop:app", "--site-threads", "2"), "/hang"),
        (("shop:server", "--asgi", "shop:asgi"), "/hang"),
        (("shop:server", "--asgi", "shop:asgi"), "/block"),
        (("--settings", "settings_asgi"), "/hang"),
    ],
    ids=["wsgi", "asgi", "asgi that blocks", "django"],
)
async def test_what_hangs_stalls_neither_ddp_nor_the_end(commands, site, path):
    process = commands.serve(*site)
    async with visit(process.address) as one, visit(process.address) as two:
        await one.send(f"GET {path}")
        await two.send(f"GET {path}")
        await asyncio.to_thread(process.line)
        async with visit(process.address) as three:
            await three.send("GET /")
            async with connect("{}:{}".format(*process.address)) as client:
                await client.send(msg="sub", id="1", name="nonsense")
                assert (await client.message(msg="nosub"))["error"]["error"] == 404
                if "shop:server" in site:
                    assert await client.call("echo", "hello") == ["hello"]
        errors = await end(process)
    assert "requests to the site do not end" in errors[0] or "does not end" in errors[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--wsgi", "shop:nothing"], "has no 'nothing'"),
        (["--asgi", "shop:server"], "is no ASGI application, but of type Server"),
        (["--asgi", "shop"], "package.module:app"),
        (["--wsgi", "shop:app", "--asgi", "shop:asgi"], "not both"),
        (["--site-threads", "0"], "--site-threads takes"),
        (["--max-upload", "-1"], "--max-upload takes"),
    ],
)
async def test_mistakes(commands, arguments, expected):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ddpcore", "serve", "shop:server", *arguments,
        cwd=commands.directory, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await process.communicate()
    assert process.returncode == 2
    assert expected in err.decode()
    assert "Traceback" not in err.decode()


async def test_asgi_in_each_worker(commands):
    process = commands.serve(
        "shop:server", "--asgi", "shop:asgi", "--bus", "claims:", "--workers", "2"
    )
    pids = set()
    while len(pids) < 2:  # the system chooses who answers
        async with visit(process.address) as client:
            scheme, pid = (await client.ask("GET /where")).body.split()
            assert scheme == b"http"
            pids.add(int(pid))
    assert process.process.pid not in pids
    assert await end(process) == []


@BOTH
async def test_over_tls(commands, site):
    _, trusted = tls_contexts(commands.directory)
    process = commands.serve("shop:server", *site, "--certfile", "cert.pem", "--keyfile", "key.pem")
    url = f"https://localhost:{process.address[1]}"

    def get(path):
        with urllib.request.urlopen(url + path, context=trusted, timeout=20) as answer:
            return answer.read()

    assert await asyncio.to_thread(get, "/") == b"one"
    if "--asgi" in site:
        assert (await asyncio.to_thread(get, "/where")).startswith(b"https ")
    assert await end(process) == []


async def test_django_by_asgi(commands):
    process = commands.serve("--settings", "settings_asgi")
    async with visit(process.address) as client:
        assert (await client.ask("GET /quick")).body == b"ASGIRequest"
        assert (await client.ask("GET /sync")).body == b"GET 0 127.0.0.1"
        data = b"x" * (2 * MB)
        answer = await client.ask("POST /sync", f"Content-Length: {2 * MB}", body=data)
        assert answer.body == b"POST 2000000 127.0.0.1"
        data *= 3
        form = (
            b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
            b'--X\r\nContent-Disposition: form-data; name="f"; filename="big"\r\n\r\n'
            + data
            + b"\r\n--X--\r\n"
        )
        kind = "Content-Type: multipart/form-data; boundary=X"
        answer = await client.ask("POST /upload", kind, f"Content-Length: {len(form)}", body=form)
        assert answer.body == f"big {len(data)} b".encode()
        assert (await client.ask("GET /static/a.txt")).body == b"static"
        assert (await client.ask("GET /nothing")).status == 404
    async with visit(process.address) as client:
        await client.send("GET /events")
        answer = await client.head()
        assert answer["content-type"] == "text/event-stream"
        for _ in range(20):
            assert await client.chunk() == b"data: 1\n\n"
    assert await asyncio.to_thread(process.line) == "events closed\n"
    async with visit(process.address) as client:
        await client.send("GET /patient")
        assert await asyncio.to_thread(process.line) == "patient\n"
    assert await asyncio.to_thread(process.line) == "patient cancelled\n"
    errors = await end(process)
    assert [line for line in errors if "Traceback" in line or "Not Found" not in line] == []


async def test_django_by_wsgi_and_without_a_site(commands):
    process = commands.serve("--settings", "settings_wsgi")
    async with visit(process.address) as client:
        assert (await client.ask("GET /quick")).body == b"WSGIRequest"
        assert (await client.ask("GET /static/a.txt")).body == b"static"
    assert await end(process) == []
    process = commands.serve("--settings", "settings_none")
    async with visit(process.address) as client:
        answer = await client.ask("GET /quick")
        assert (answer.status, b"/websocket" in answer.body) == (404, True)
    assert await end(process) == []
