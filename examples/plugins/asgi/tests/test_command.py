"""`ddpcore asgi`, a process of its own, found by the entry point."""

import asyncio
import json
import re
import signal
import subprocess
import sys

import websockets

SHOP = """
import ddpcore

server = ddpcore.Server()


@server.method
async def add(ctx, a: int, b: int) -> int:
    return a + b
"""


def ddpcore(*arguments, cwd):
    return subprocess.Popen(
        [sys.executable, "-m", "ddpcore", "asgi", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


async def call(port):
    async with websockets.connect(f"ws://127.0.0.1:{port}/websocket") as socket:
        await socket.send('{"msg":"connect","version":"1","support":["1"]}')
        assert json.loads(await socket.recv())["msg"] == "connected"
        await socket.send('{"msg":"method","id":"1","method":"add","params":[1,2]}')
        answers = [json.loads(await socket.recv()) for _ in range(2)]
        assert {"msg": "result", "id": "1", "result": 3} in answers


def test_it_serves_until_it_is_interrupted(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)
    with ddpcore("shop:server", "--port", "0", cwd=tmp_path) as process:
        try:
            told = ""
            for line in process.stderr:
                told += line
                if found := re.search(r"running on http://127.0.0.1:(\d+)", line):
                    break
            else:
                raise AssertionError(told)
            asyncio.run(call(found[1]))
            process.send_signal(signal.SIGTERM)
            rest = process.stderr.read()
        finally:
            process.kill()
    assert "Traceback" not in rest
    assert "shutdown complete" in rest


def test_it_says_what_it_lacks(tmp_path):
    with ddpcore(cwd=tmp_path) as process:
        said = process.stderr.read()
    assert process.returncode == 2
    assert (
        said
        == "ddpcore: Say what to serve: package.module:server, or --settings mysite.settings.\n"
    )


def test_it_knows_no_bus_of_that_name(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)
    with ddpcore("shop:server", "--bus", "pigeon://", cwd=tmp_path) as process:
        said = process.stderr.read()
    assert process.returncode == 2
    assert "No bus for 'pigeon:'" in said
