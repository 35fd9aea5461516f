"""The site with accounts, and servers of plain Python in processes of their own."""

import os
import re
import shutil
import subprocess

import pytest
from accounts_site import *  # noqa: F403
from project import ROOT, Process

SERVER = """
from ddpcore import Server
server = Server()
runs = 0

@server.method
async def count(ctx):
    global runs
    runs += 1
    return runs

@server.publish("things")
def things(ctx):
    ctx.added("things", "1", {"runs": runs})
    ctx.ready()
"""


class Served(Process):
    """`ddpcore serve` of a server of plain Python."""

    def __init__(self, directory, *arguments, bind="127.0.0.1:0"):
        (directory / "plain.py").write_text(SERVER)
        super().__init__(
            "-m", "ddpcore", "serve", "plain:server", "--bind", bind, "--drain", "0", *arguments,
            site=directory, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.address = re.search(r"https?://([^/]+)/", self.line())[1]


@pytest.fixture
def serve(tmp_path):
    """`serve(*arguments)`: a process that serves."""
    running = []

    def start(*arguments, **options):
        process = Served(tmp_path, *arguments, **options)
        running.append(process)
        return process

    yield start
    for process in running:
        if not process.process.stdout.closed:
            process.end()


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=example", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return str(cert), str(key)
