"""Servers at Unix sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat

import pytest
import websockets
from ddp_client import PATIENCE
from deploying import client, get
from site_client import wsgi
from workers import ended

from ddpcore import DDPError
from ddpcore_tornado.listening import Binding, bind, parse_binding
from ddpcore_tornado.unix_socket import UnixAddress, UnixFiles

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ddp.sock"


def said_unix(command, path):
    assert command.line() == f"Serving shop:server on unix:{path}\n"
    command.line()


@WORKERS
async def test_clients_come_by_it(commands, path, workers):
    command = commands.serve("--bind", f"unix:{path}", "--workers", workers)
    said_unix(command, path)
    async with client(f"unix:{path}") as there:
        assert await there.call("address") is None
    origins = {"http://localhost": 101, "http://evil.example": 403}
    for origin, status in origins.items():
        try:
            async with websockets.unix_connect(
                str(path), "ws://localhost/websocket", origin=origin, open_timeout=PATIENCE
            ) as there:
                assert there.response.status_code == status
        except websockets.InvalidStatus as refused:
            assert refused.response.status_code == status
    status, _, body = await get(f"unix:{path}", "/sockjs/info")
    assert (status, b'"websocket"' in body) == (200, True)
    assert await ended(command, signal.SIGTERM) == 0
    assert not path.exists()
    assert not command.errors


async def test_sockjs_and_several_addresses(commands, path):
    command = commands.serve("--bind", f"unix:{path}", "--bind", "127.0.0.1:0", "--workers", "2")
    assert command.line() == f"Serving shop:server on unix:{path}\n"
    command.serving()
    async with client(f"unix:{path}") as one, client(f"ws://{command.address}/websocket") as two:
        assert await one.call("pid") in command.workers
        assert await two.call("address") == "127.0.0.1"
    for number in range(8):  # sessions of both workers
        where = f"/sockjs/000/session{number}/xhr"
        status, _, body = await get(f"unix:{path}", where, "POST", **{"Content-Length": "0"})
        assert (status, body) == (200, b"o\n")
    assert await ended(command, signal.SIGTERM) == 0
    assert not command.errors


async def test_a_dead_servers_is_replaced_a_living_ones_is_not(commands, path):
    first = commands.serve("--bind", f"unix:{path}", "--workers", "1")
    said_unix(first, path)
    second = commands.serve("--bind", f"unix:{path}", "--workers", "1")
    assert await ended(second) == 2
    assert second.said(f"Cannot listen on unix:{path}: Address already in use. Choose another")
    async with client(f"unix:{path}") as there:
        assert await there.call("pid") == first.pid
    assert await ended(first, signal.SIGKILL) == -signal.SIGKILL
    assert stat.S_ISSOCK(path.stat().st_mode)
    third = commands.serve("--bind", f"unix:{path}", "--workers", "2")
    said_unix(third, path)
    async with client(f"unix:{path}") as there:
        assert await there.call("pid") != first.pid
    assert await ended(third, signal.SIGTERM) == 0
    assert not path.exists()


def test_what_is_no_socket_is_never_removed(path):
    path.write_text("dear to somebody")
    with pytest.raises(DDPError, match="a file that is no socket"):
        bind([UnixAddress(str(path))])
    path.unlink()
    elsewhere = path.with_name("target")
    path.symlink_to(elsewhere)
    with pytest.raises(DDPError, match="a file that is no socket"):
        bind([UnixAddress(str(path))])
    assert path.is_symlink()


def test_a_full_queue_is_no_death(path):
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))
        with pytest.raises(DDPError, match="Address already in use"):
            bind([UnixAddress(str(path))])


@pytest.mark.parametrize(("mode", "expected"), [(None, 0o750), (0o660, 0o660), (0o777, 0o777)])
def test_who_may_connect(path, mode, expected):
    before = os.umask(0o027)
    try:
        (listening,) = bind([UnixAddress(str(path), mode)])
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    with listening:
        assert stat.S_IMODE(path.stat().st_mode) == expected


def test_the_mode_on_the_command_line(commands, path):
    command = commands.serve("--bind", f"unix:{path}", "--bind-mode", "600", "--workers", "1")
    said_unix(command, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert command.end() == 0
    wrong = commands.serve("--bind-mode", "rw", "--workers", "1")
    assert wrong.process.wait(30) == 2
    wrong.end()
    assert wrong.said("--bind-mode takes an octal number such as 660, not 'rw'")


def test_one_that_cannot_be_leaves_no_others_behind(path):
    long = f"{path.parent}/{'x' * 200}"
    with pytest.raises(DDPError, match="too long"):
        bind([UnixAddress(str(path)), Binding("127.0.0.1", 0), UnixAddress(long)])
    assert not path.exists()


def test_a_successors_is_not_removed(path):
    (listening,) = bind([UnixAddress(str(path))])
    files = UnixFiles([listening])
    path.unlink()
    (successor,) = bind([UnixAddress(str(path))])
    with listening, successor:
        files.remove()
        assert path.exists()


def test_reading(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert parse_binding("unix:/run/a:1") == UnixAddress("/run/a:1")
    assert parse_binding("unix:here") == UnixAddress(str(tmp_path / "here"))
    assert parse_binding("unix:8000") == UnixAddress(str(tmp_path / "8000"))
    for text in ("unix:", "/run/socket", "nowhere"):
        with pytest.raises(DDPError, match="--monitor takes HOST:PORT, such"):
            parse_binding(text, option="--monitor")


def site(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = "REMOTE_ADDR", "SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme"
    return [json.dumps([environ[name] for name in names]).encode()]


async def test_a_site_sees_no_address(path):
    async with wsgi(site, path=str(path)):
        _, _, body = await get(f"unix:{path}", "/", Host="example.org")
    assert json.loads(body) == ["", "example.org", "80", "http"]
