"""The application around the transport: where it is, who is let in, when the server lives."""

import asyncio
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import ddpcore_asgi
import pytest
import websockets
from served import uvicorn_serves

import ddpcore

CONNECT = '{"msg":"connect","version":"1","support":["1"]}'


def make_server():
    server = ddpcore.Server()

    @server.method
    async def add(ctx, a: int, b: int) -> int:
        return a + b

    return server


async def adds(url, **options):
    """A whole session, with another maker's WebSocket."""
    async with websockets.connect(url, **options) as socket:
        await socket.send(CONNECT)
        assert json.loads(await socket.recv())["msg"] == "connected"
        await socket.send('{"msg":"method","id":"1","method":"add","params":[1,2]}')
        answers = [json.loads(await socket.recv()) for _ in range(2)]
        assert {"msg": "result", "id": "1", "result": 3} in answers
        assert {"msg": "updated", "methods": ["1"]} in answers


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.status, answer.read()


def test_clients_are_served_at_one_address():
    async def run():
        async with uvicorn_serves(ddpcore_asgi.application(make_server())) as port:
            await adds(f"ws://127.0.0.1:{port}/websocket")
            with pytest.raises(websockets.InvalidStatus):
                await adds(f"ws://127.0.0.1:{port}/elsewhere")
            status, text = await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/")
            assert (status, text) == (404, b"DDP is at /websocket\n")

    asyncio.run(run())


def test_pages_of_named_origins_are_let_in():
    async def run():
        app = ddpcore_asgi.application(make_server(), origins=["https://app.example.com"])
        async with uvicorn_serves(app) as port:
            url = f"ws://127.0.0.1:{port}/websocket"
            await adds(url, origin="https://app.example.com")
            with pytest.raises(websockets.InvalidStatus):
                await adds(url, origin="https://other.example.com")

    asyncio.run(run())


def make_site(events, *, lifespan):
    async def site(scope, receive, send):
        if scope["type"] == "lifespan":
            if not lifespan:
                raise ValueError("Only HTTP here.")
            for name in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{name}"
                events.append(name)
                await send({"type": f"lifespan.{name}.complete"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"the site"})

    return site


@pytest.mark.parametrize("lifespan", [True, False])
def test_a_site_answers_everything_else(lifespan):
    events, server = [], make_server()

    async def run():
        app = ddpcore_asgi.application(server, site=make_site(events, lifespan=lifespan))
        async with uvicorn_serves(app) as port:
            assert server.crossbar is not None  # it runs before the first client
            await adds(f"ws://127.0.0.1:{port}/websocket")
            status, text = await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/")
            assert (status, text) == (200, b"the site")
        with pytest.raises(ddpcore.DDPError, match="not running"):
            server.crossbar

    asyncio.run(run())
    assert events == (["startup", "shutdown"] if lifespan else [])


def test_it_may_be_mounted():
    """Below a path, by an application that knows no lifespan: the first client starts it."""
    server = make_server()
    ddp = ddpcore_asgi.application(server)

    async def outer(scope, receive, send):
        await ddp({**scope, "root_path": "/live"}, receive, send)

    async def run():
        async with uvicorn_serves(outer, lifespan="off") as port:
            await adds(f"ws://127.0.0.1:{port}/live/websocket")
            await server.stop()

    asyncio.run(run())


class BadBus(ddpcore.MemoryBus):
    async def start(self, deliver):
        raise ddpcore.DDPError("The bus cannot work here.")


def test_a_server_that_cannot_start_says_why(caplog):
    app = ddpcore_asgi.application(ddpcore.Server(bus=BadBus()))
    sent = []

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(event):
        sent.append(event)

    async def run():
        await app({"type": "lifespan"}, receive, send)
        async with uvicorn_serves(app, lifespan="off") as port:
            with pytest.raises(websockets.InvalidStatus):
                await adds(f"ws://127.0.0.1:{port}/websocket")

    asyncio.run(run())
    assert sent == [{"type": "lifespan.startup.failed", "message": "The bus cannot work here."}]
    assert "Cannot serve DDP: The bus cannot work here." in caplog.text


README = Path(__file__).parents[1] / "README.md"


def test_uvicorn_serves_the_module_of_the_readme(tmp_path):
    module = re.search(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "shop.py").write_text(module[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "shop:app", "--port", "0", "--no-proxy-headers"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            line = next(line for line in process.stderr if "running on" in line)
            port = line.split("127.0.0.1:")[1].split()[0]
            asyncio.run(adds(f"ws://127.0.0.1:{port}/websocket"))
        finally:
            process.terminate()
            told = process.communicate(timeout=30)[1]
    assert "Traceback" not in told, told
