"""Behind nginx and HAProxy, with the configuration of examples/deploy, word by word.

Only addresses and the names of files are replaced, and a main file is put around it that lets it
run here: as any user, at free ports.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import websockets
from ddp_client import Client
from deploying import Certificate, client, free_port, ready
from project import PATIENCE, ROOT
from sockjs_client import Session, Socket, whole
from workers import ended, until

EXAMPLES = ROOT / "examples" / "deploy"

SERVER = """
import asyncio, os
from ddpcore import Server

# A handler may take its time at the end, since it waits for a test.
class Patient(Server):
    async def stop(self, patience=60.0, spread=0.0):
        await super().stop(patience, spread)

server = Patient(forwarded_count=1, heartbeat_interval=HEARTBEAT, connect_timeout=0)

@server.method
async def pid(ctx):
    return os.getpid()

@server.method
async def address(ctx):
    return ctx.connection.client_address

@server.method
async def headers(ctx):
    return dict(ctx.connection.headers)

@server.method
async def slow(ctx):
    ctx.unblock()
    print("working", flush=True)
    while not os.path.exists("enough"):
        await asyncio.sleep(0.01)
    return "done"

@server.publish("steps")
async def steps(ctx):
    ctx.ready()

@server.method
async def upper(ctx, text):
    return text.upper()
"""

NGINX = """
daemon off;
pid {directory}/nginx.pid;
error_log stderr notice;
{user}
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {fragment};
}}
"""

HAPROXY = """
global
    log stdout format raw local0
    maxconn 1000
    stats socket {directory}/admin
defaults
    log global
"""


class Proxy:
    """A proxy before two servers.

    Attributes:
        address, tls_address: Where clients reach it.
    """

    name: str
    fragment: str

    def __init__(self, directory: Path, upstreams: list[str], monitors: list[str]) -> None:
        # Where Debian puts them, which is not on the path of every user.
        path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
        self.program = shutil.which(self.name, path=path)
        if self.program is None:
            lack = f"no {self.name}: apt-get install {self.name}"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(lack)
        self.directory = directory
        self.certificate = Certificate(directory, "proxy")
        both = directory / "both.pem"
        both.write_text(
            self.certificate.certfile.read_text() + self.certificate.keyfile.read_text()
        )
        ports = [free_port() for _ in range(2)]
        self.address, self.tls_address = (f"127.0.0.1:{port}" for port in ports)
        text = (EXAMPLES / self.fragment).read_text()
        for old, new in self.replacements(ports, upstreams, monitors).items():
            assert old in text, old
            text = text.replace(old, new)
        for old, new in (
            ("/etc/ssl/ddpcore-with-key.pem", both),
            ("/etc/ssl/ddpcore.pem", self.certificate.certfile),
            ("/etc/ssl/ddpcore.key", self.certificate.keyfile),
        ):
            text = text.replace(old, str(new))
        assert "/etc/ssl/" not in text
        self.written = directory / self.fragment
        self.written.write_text(text)
        self.log = directory / f"{self.name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def replacements(
        self, ports: list[int], upstreams: list[str], monitors: list[str]
    ) -> dict[str, str]:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    async def served(self) -> None:
        async def answers() -> bool:
            try:
                status, _ = await whole(self.address, "GET", "/sockjs/info")
            except OSError:
                return False
            # Before it says so it may not hear signals.
            return status == 200 and self.reloads() > 0

        async with asyncio.timeout(PATIENCE):
            while not await answers():
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.02)

    async def reload(self) -> None:
        """Have it read its configuration again, and wait until it has."""
        before = self.reloads()
        self.process.send_signal(self.reload_signal)
        await until(lambda: self.reloads() > before, "the reload")

    def reloads(self) -> int:
        return self.log.read_text().count(self.reloaded)

    def close(self) -> None:
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()


class Nginx(Proxy):
    name = "nginx"
    fragment = "nginx.conf"
    reload_signal = signal.SIGHUP
    reloaded = "start worker process "
    stop_signal = signal.SIGTERM

    def replacements(self, ports, upstreams, monitors):
        return {
            "listen 80;": f"listen 127.0.0.1:{ports[0]};",
            "listen 443 ssl;": f"listen 127.0.0.1:{ports[1]} ssl;",
            "server 127.0.0.1:8001;": f"server {upstreams[0]};",
            "server 127.0.0.1:8002;": f"server {upstreams[1]};",
        }

    def command(self):
        main = self.directory / "main.conf"
        user = "user root;" if os.getuid() == 0 else ""  # else its workers cannot enter tmp_path
        main.write_text(NGINX.format(directory=self.directory, fragment=self.written, user=user))
        return [self.program, "-e", "stderr", "-p", str(self.directory), "-c", str(main)]


class HAProxy(Proxy):
    name = "haproxy"
    fragment = "haproxy.cfg"
    reload_signal = signal.SIGUSR2
    reloaded = "Loading success"
    stop_signal = signal.SIGTERM

    def replacements(self, ports, upstreams, monitors):
        return {
            "bind :80": f"bind 127.0.0.1:{ports[0]}",
            "bind :443": f"bind 127.0.0.1:{ports[1]}",
            "127.0.0.1:8001": upstreams[0],
            "127.0.0.1:8002": upstreams[1],
            "port 9001": f"port {monitors[0].rpartition(':')[2]}",
            "port 9002": f"port {monitors[1].rpartition(':')[2]}",
        }

    def command(self):
        main = self.directory / "main.cfg"
        main.write_text(HAPROXY.format(directory=self.directory))
        return [self.program, "-W", "-f", str(main), "-f", str(self.written)]


class World:
    """Two servers, and a proxy before them."""

    def __init__(self, proxy: type[Proxy], commands, *, unix: bool = False, heartbeat: float = 15):
        text = SERVER.replace("HEARTBEAT", str(heartbeat))
        (commands.directory / "shop.py").write_text(text)
        self.directory = commands.directory
        self.servers, upstreams, monitors = [], [], []
        for number in range(2):
            where = (
                f"unix:{commands.directory}/{number}.sock" if unix else f"127.0.0.1:{free_port()}"
            )
            command = commands.start(
                "-m", "ddpcore", "serve", "shop:server", "--bus", "memory:", "--bind", where,
                "--drain", "0.5", "--monitor", "127.0.0.1:0",
            )  # fmt: skip
            command.monitor = command.line().split("//")[1].rstrip("/\n")
            command.line()
            command.line()
            self.servers.append(command)
            upstreams.append(where)
            monitors.append(command.monitor)
        self.pids = {each.pid for each in self.servers}
        directory = commands.directory / "proxy"
        directory.mkdir()
        self.proxy = proxy(directory, upstreams, monitors)

    @property
    def url(self) -> str:
        return f"ws://{self.proxy.address}/websocket"

    @property
    def secure_url(self) -> str:
        return f"wss://{self.proxy.tls_address}/websocket"

    async def end(self) -> None:
        for each in self.servers:
            if each.process.returncode is None:
                assert await ended(each, signal.SIGTERM) == 0
                assert not each.errors


@pytest.fixture
def world(commands):
    """`await world(Nginx)`: servers behind that proxy, all of which end well."""
    made: list[World] = []

    async def world(proxy: type[Proxy], **options) -> World:
        made.append(await asyncio.to_thread(lambda: World(proxy, commands, **options)))
        await made[-1].proxy.served()
        return made[-1]

    yield world
    for each in made:
        each.proxy.close()


PROXIES = pytest.mark.parametrize("proxy", [Nginx, HAProxy], ids=lambda it: it.name)


class Opened(Socket):
    """One that says when the server knows the session."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.opened = asyncio.Event()
        frame = session.frame

        async def seen() -> str:
            found = await frame()
            self.opened.set()
            return found

        session.frame = seen


async def session(world: World, transport: str, **headers: str) -> Client:
    """A DDP client by a SockJS transport over HTTP."""
    socket = Opened(Session(world.proxy.address, transport, **headers))
    one = Client(socket)
    await socket.opened.wait()  # earlier messages would be for no session
    await one.send(msg="connect", version="1", support=["1"])
    await one.message(msg="connected")
    return one


async def close(one: Client) -> None:
    await one.socket.close()
    await one._reader


@PROXIES
async def test_websockets(world, proxy):
    here = await world(proxy)
    trust = here.proxy.certificate.trust
    large = "x" * 300_000
    sockjs = here.url.replace("/websocket", "/sockjs/000/a1b2c3/websocket")
    pids = Counter()
    for _ in range(20):
        async with client(here.url) as one:
            pids[await one.call("pid")] += 1
    assert set(pids) == here.pids
    async with client(here.secure_url, ssl=trust) as one:
        assert await one.call("upper", large) == large.upper()
        headers = await one.call("headers")
        assert headers["x-forwarded-proto"] == "https"
        assert headers["host"] == here.proxy.tls_address
    async with client(here.url) as one:
        assert (await one.call("headers"))["x-forwarded-proto"] == "http"
    async with websockets.connect(sockjs, open_timeout=PATIENCE) as raw:
        assert await raw.recv() == "o"
    for origin, welcome in ((f"http://{here.proxy.address}", True), ("http://evil.test", False)):
        try:
            async with client(here.url, origin=origin) as one:
                assert await one.call("pid")
            assert welcome
        except websockets.InvalidStatus as refused:
            assert (refused.response.status_code, welcome) == (403, False)
    await here.end()


@PROXIES
@pytest.mark.parametrize("transport", ["xhr", "xhr_streaming", "eventsource", "htmlfile", "jsonp"])
async def test_sessions_over_http_stay_with_their_server(world, proxy, transport):
    here = await world(proxy)
    pids = Counter()
    sessions = await asyncio.gather(*(session(here, transport) for _ in range(12)))
    # The proxy goes by their names, which may all lead to the same server.
    while {await one.call("pid") for one in sessions} != here.pids:
        sessions.append(await session(here, transport))
    for one in sessions:
        first = await one.call("pid")
        pids[first] += 1
        for _ in range(3):  # each by requests of its own, of which some go astray if any can
            assert await one.call("pid") == first
        # What a stream has been told arrives while the stream goes on.
        assert await one.call("upper", "by and by") == "BY AND BY"
    assert set(pids) == here.pids
    for one in sessions:
        await close(one)
    await here.end()


@PROXIES
async def test_the_address_is_the_clients_and_not_what_it_says(world, proxy):
    here = await world(proxy)
    forged = {"X-Forwarded-For": "203.0.113.7"}
    async with client(here.url, additional_headers=forged) as one:
        assert await one.call("address") == "127.0.0.1"
    one = await session(here, "xhr", X_Forwarded_For="203.0.113.7")
    assert await one.call("address") == "127.0.0.1"
    await close(one)
    await here.end()


async def test_nginx_and_unix_sockets(world):
    here = await world(Nginx, unix=True)
    pids = set()
    for _ in range(20):
        async with client(here.url) as one:
            assert await one.call("address") == "127.0.0.1"
            pids.add(await one.call("pid"))
    assert pids == here.pids
    one = await session(here, "xhr")
    assert await one.call("address") == "127.0.0.1"
    await close(one)
    await here.end()


@PROXIES
async def test_a_reload_of_the_proxy_breaks_nothing(world, proxy):
    here = await world(proxy)
    polling = await session(here, "xhr")
    first = await polling.call("pid")
    async with client(here.url) as one:
        assert await one.call("upper", "before") == "BEFORE"
        await here.proxy.reload()
        assert await one.call("upper", "after") == "AFTER"
        async with client(here.url) as another:
            assert await another.call("pid") in here.pids
    assert await polling.call("pid") == first
    await close(polling)
    await here.end()


@PROXIES
async def test_a_server_that_stops_gets_no_new_clients(world, proxy):
    here = await world(proxy)
    # By their polls the proxy has connections to both that it keeps.
    for one in await asyncio.gather(*(session(here, "xhr") for _ in range(12))):
        await close(one)
    async with client(here.url) as one:
        pid = await one.call("pid")
        leaving = next(each for each in here.servers if each.pid == pid)
        await one.send(msg="method", id="slow", method="slow")
        assert await asyncio.to_thread(leaving.line) == "working\n"
        leaving.process.send_signal(signal.SIGTERM)
        while (await ready(leaving.monitor))[0] == 200:
            pass
        for _ in range(20):
            async with client(here.url) as another:
                assert await another.call("pid") in here.pids - {pid}
            polling = await session(here, "xhr")
            assert await polling.call("pid") in here.pids - {pid}
            await close(polling)
        (here.directory / "enough").touch()
        assert (await one.message(msg="result", id="slow"))["result"] == "done"
        await one.until(lambda: one.closed)
        assert one.socket.close_code == 1001
    assert await ended(leaving) == 0
    await here.end()


async def test_haproxy_asks_who_is_ready(world):
    here = await world(HAProxy)

    async def states() -> dict[str, str]:
        reader, writer = await asyncio.open_unix_connection(here.proxy.directory / "admin")
        writer.write(b"show stat\n")
        rows = [line.split(",") for line in (await reader.read()).decode().splitlines() if line]
        writer.close()
        column = rows[0].index("status")
        return {f"{row[0]}/{row[1]}": row[column] for row in rows[1:] if row[1] in ("one", "two")}

    assert len(found := await states()) == 4
    assert {each.split()[0] for each in found.values()} <= {"UP", "no"}
    leaving = here.servers[0]
    async with client(f"ws://{here.proxy.address}/websocket"):
        leaving.process.send_signal(signal.SIGSTOP)  # it does not answer any more
        while (found := await states())["live/one"] != "DOWN":
            await asyncio.sleep(0.05)
        assert found["live/two"].startswith("UP")
        for _ in range(10):
            async with client(here.url) as another:
                assert await another.call("pid") == here.servers[1].pid
        leaving.process.send_signal(signal.SIGCONT)
        while not (found := await states())["live/one"].startswith("UP"):
            await asyncio.sleep(0.05)
    await here.end()


@PROXIES
async def test_long_silence(world, proxy):
    # The longest there is by design: a poll that has nothing to tell gets its heartbeat after 45 s.
    here = await world(proxy, heartbeat=0)
    polling = Session(here.proxy.address, "xhr")
    assert await polling.frame() == "o"
    async with client(here.url) as one:
        assert await polling.frame() == "h"
        assert await one.call("upper", "still there") == "STILL THERE"
    polling.hang_up()
    await here.end()
