"""The example of a Tornado application with a server in it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from ddp_client import Client
from deploying import free_port
from served import CONNECT, fetch, raw

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "embedding"
ENVIRON = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def test_its_own_tests_pass():
    done = subprocess.run(
        [sys.executable, "-Werror", "-m", "unittest", "discover", "examples/embedding"],
        cwd=ROOT, env=ENVIRON, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Ran 8 tests" in done.stderr
    assert "Exception" not in done.stderr


async def test_it_runs_as_its_readme_says(tmp_path):
    assert "\n    python examples/embedding/app.py\n" in (EXAMPLE / "README.md").read_text()
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-Werror", "examples/embedding/app.py", f"--port={port}",
        cwd=ROOT, env=ENVIRON | {"BOARD_TOKEN": "secret"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert f"http://127.0.0.1:{port}/" in (await process.stdout.readline()).decode()
        address = f"127.0.0.1:{port}"
        assert (await fetch(address, "/")).code == 200
        async with raw(address, "/live/websocket") as connection:
            client = Client(connection)
            await connection.send(CONNECT)
            await client.sub("builds")
            await client.until(lambda: len(client.docs("builds")) == 3)
            pushed = await fetch(
                address, "/hooks/push", "POST", '{"branch": "x", "by": "Ada"}',
                Authorization="Bearer secret",
            )  # fmt: skip
            assert pushed.code == 201
            await client.until(lambda: "4" in client.docs("builds"))
            process.send_signal(signal.SIGTERM)
            await client.until(lambda: client.closed)
            assert connection.close_code == 1001
            await client._reader
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        _, errors = await process.communicate()
    assert b"Traceback" not in errors, errors
