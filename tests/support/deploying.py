"""What stands around a server: certificates, Unix sockets, supervisors, load balancers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from ddp_client import PATIENCE, Client


class Certificate:
    """A certificate of its own authority, and its key, in files."""

    def __init__(self, directory: Path, name: str) -> None:
        if shutil.which("openssl") is None:
            lack = "no openssl to make a certificate with"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(lack)
        self.certfile, self.keyfile = directory / f"{name}.pem", directory / f"{name}.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
             "-keyout", self.keyfile, "-out", self.certfile],
            check=True, capture_output=True,
        )  # fmt: skip

    def copy_to(self, certfile: Path, keyfile: Path) -> None:
        """Take the place of another one, as a renewal does."""
        for source, target in ((self.certfile, certfile), (self.keyfile, keyfile)):
            shutil.copy(source, target.with_suffix(".new"))
            target.with_suffix(".new").replace(target)

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certfile)

    @property
    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.certfile.read_text())


async def shown_at(address: str) -> bytes:
    """The certificate that is shown to who connects now."""
    host, port = address.split(":")
    text = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
    return ssl.PEM_cert_to_DER_cert(text)


@asynccontextmanager
async def client(url: str, **options: Any):
    """A DDP client of a WebSocket's URL, or of ``unix:PATH``; what it may have headers of."""
    options = {"open_timeout": PATIENCE} | options
    if url.startswith("unix:"):
        connecting = websockets.unix_connect(
            url.removeprefix("unix:"), "ws://localhost/websocket", **options
        )
    else:
        connecting = websockets.connect(url, **options)
    async with connecting as connected:
        one = Client(connected)
        try:
            await one.send(msg="connect", version="1", support=["1"])
            await one.message(msg="connected")
            yield one
            assert not one.faults, one.faults
        finally:
            await connected.close()
            await one._reader


async def get(
    address: str, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """An HTTP request to ``HOST:PORT`` or ``unix:PATH``: status, headers, body."""
    if address.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        reader, writer = await asyncio.open_connection(*address.rsplit(":", 1))
    try:
        named = {"Host": "localhost", "Connection": "close"} | headers
        lines = "".join(f"{name}: {text}\r\n" for name, text in named.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    status, *rest = head.decode().split("\r\n")
    found = dict(line.lower().split(": ", 1) for line in rest)
    return int(status.split()[1]), found, body


async def ready(address: str) -> tuple[int, dict[str, Any]]:
    """What ``/readyz`` says."""
    status, _, body = await get(address, "/readyz")
    return status, json.loads(body)


class Supervisor:
    """The side of systemd in sd_notify(3)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.settimeout(30)

    def hear(self) -> dict[str, str]:
        """What it is told next."""
        lines = self._socket.recv(4096).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)

    def hears(self) -> bool:
        """Whether it has been told more."""
        self._socket.setblocking(False)
        try:
            self._socket.recv(4096)
        except BlockingIOError:
            return False
        finally:
            self._socket.settimeout(30)
        return True

    def close(self) -> None:
        self._socket.close()


_HELD: list[socket.socket] = []


def free_port() -> int:
    """A port that is free now, and that nobody is given by chance until the tests end.

    On Linux a port stays ours as long as a socket is bound to it, and yet others may listen there,
    if they ask for it by its number and both allow that the address is used again, as servers do.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port: int = held.getsockname()[1]
    if sys.platform == "linux":
        _HELD.append(held)
    else:
        held.close()
    return port
