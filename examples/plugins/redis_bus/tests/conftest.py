"""A Redis server of the tests' own, which they may kill."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

PATIENCE = 60.0


class Server:
    """`redis-server` on a port that stays the same."""

    def __init__(self, directory: Path, *options: str) -> None:
        # As long as it is bound, nobody is given the port by chance while Redis is away; Redis may
        # listen there all the same, on Linux.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self.port = self._held.getsockname()[1]
        if sys.platform != "linux":
            self._held.close()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = ["redis-server", "--port", str(self.port), "--dir", str(directory)]
        self._command += ["--bind", "127.0.0.1", "--save", "", *options]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    break
                except redis.RedisError:
                    assert self.process.poll() is None, "redis-server ended"
                    assert time.monotonic() < deadline, "redis-server does not answer"
                    time.sleep(0.01)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def end(self) -> None:
        self.kill()
        self._held.close()

    def do(self, *command: object) -> object:
        """A command, by a connection of its own."""
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return client.execute_command(*command)

    def kill_clients(self) -> None:
        self.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if shutil.which("redis-server") is None:
        lack = "There is no redis-server here: apt-get install redis-server."
        (pytest.fail if os.environ.get("CI") else pytest.skip)(lack)
    server = Server(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.end()
