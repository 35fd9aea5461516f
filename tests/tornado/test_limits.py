"""Who is let in: crowds, addresses behind proxies, and `listen`."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import ssl
from collections import Counter
from contextlib import asynccontextmanager

import pytest
import websockets
from ddp_client import Client, connect
from hypothesis import given
from hypothesis import strategies as st
from served import make_server
from sockjs_client import Session, ask
from tornado.ioloop import IOLoop
from tornado.web import Application

import ddpcore_tornado
from ddpcore import DDPError
from ddpcore.forwarded import client_address, is_secure
from ddpcore_tornado import Limits, doorway, handlers
from ddpcore_tornado.crowd import Crowd, TooMany
from ddpcore_tornado.http import LimitedHTTPServer


@asynccontextmanager
async def crowded(server=None, forwarded_count=0, ssl_options=None, **limits):
    """A server with limits; the HTTP server, and its address."""
    server = server or make_server(forwarded_count=forwarded_count)
    given = Limits(**limits)
    http = ddpcore_tornado.listen(
        Application(handlers(server, limits=given), log_function=lambda _: None),
        0,
        "127.0.0.1",
        limits=given,
        forwarded_count=forwarded_count,
        ssl_options=ssl_options,
    )
    (listening,) = http._sockets.values()
    try:
        yield http, "{}:{}".format(*listening.getsockname())
    finally:
        http.stop()
        await http.close_all_connections()
        await server.stop()


@asynccontextmanager
async def connected_from(address, **headers):
    """A client whose proxies say these."""
    url = f"ws://{address}/websocket"
    async with websockets.connect(url, additional_headers=headers) as socket:
        client = Client(socket)
        await client.send(msg="connect", version="1", support=["1"])
        await client.message(msg="connected")
        yield client
        await socket.close()
        await client._reader


async def refusal(address, **headers):
    """The status with which a WebSocket is refused."""
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(f"ws://{address}/websocket", additional_headers=headers)
    assert refused.value.response.headers["Retry-After"] == "10"
    return refused.value.response.status_code


# --- crowds --------------------------------------------------------------------------------------

ADDRESSES = ["192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2",
             "2001:db8:0:1::1", "fe80::1%eth0", "::1", "127.0.0.1", None]  # fmt: skip
CUSTOMERS = {
    "::ffff:192.0.2.1": "192.0.2.1",
    "2001:db8::1": "first",
    "2001:db8::2": "first",
    "2001:db8:0:1::1": "second",
}


@pytest.fixture
def hush(expect_log):
    expect_log("ddpcore_tornado.crowd", "further ones are refused", required=False)


@pytest.mark.usefixtures("hush")
@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(ADDRESSES), st.integers(0, 9))),
    st.integers(1, 8),
    st.integers(1, 4),
    st.integers(0, 1),
)
def test_a_crowd(steps, most, most_of_one, proxies):
    """Beside one that counts anew each time."""
    crowd = Crowd("guests", most, most_of_one, proxies=lambda: proxies)
    here = []
    for enters, address, which in steps:
        if not enters:
            if here:
                _, place = here.pop(which % len(here))
                place.leave()
                place.leave()
            assert len(crowd) == len(here)
            continue
        customer = CUSTOMERS.get(address, address)
        same = Counter(each for each, _ in here)[customer]
        status = 0
        if len(here) >= most:
            status = 503
        elif same >= most_of_one and (customer is not None or proxies):
            status = 429
        try:
            crowd.check(address)
            here.append((customer, crowd.enter(address)))
            assert status == 0
        except TooMany as refused:
            assert refused.status == status
            assert refused.answer.startswith(b"HTTP/1.1 %d " % status)
        assert len(crowd) == len(here)


def test_who_is_refused_is_logged_once_until_half_have_left(expect_log, caplog):
    expect_log("ddpcore_tornado.crowd", "^192.0.2.1 has 4 guests: further ones are refused")
    crowd = Crowd("guests", None, 4)
    for times in (1, 2):
        places = [crowd.enter("192.0.2.1") for _ in range(4)]
        for _ in range(3):
            with pytest.raises(TooMany):
                crowd.enter("192.0.2.1")
            places.pop().leave()
            places.append(crowd.enter("192.0.2.1"))
        assert len(caplog.records) == times
        for place in places:
            place.leave()
    assert "forwarded-count" not in caplog.text


@pytest.mark.parametrize(
    ("address", "proxies", "advice"),
    [
        ("127.0.0.1", 0, "If that is a proxy, say how many there are: --forwarded-count."),
        ("::1", 0, "If that is a proxy, say how many there are: --forwarded-count."),
        (None, 1, "The proxies do not say who it is: is --forwarded-count right?"),
        ("127.0.0.1", 1, ""),
    ],
)
def test_the_log_says_what_to_do(address, proxies, advice, expect_log, caplog):
    expect_log("ddpcore_tornado.crowd", "further ones are refused")
    crowd = Crowd("guests", None, 1, proxies=lambda: proxies)
    crowd.enter(address)
    with pytest.raises(TooMany):
        crowd.enter(address)
    assert caplog.messages[0].endswith(f"Limits.connections_per_address).{advice and ' '}{advice}")


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", Limits.__slots__)
def test_limits_are_positive(name, wrong):
    with pytest.raises(DDPError, match=f"The limit {name} is a positive number"):
        Limits(**{name: wrong})


# --- who comes behind proxies --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "said", "address"),
    [
        (0, "192.0.2.9", "10.0.0.1"),
        (1, None, None),
        (1, "", None),
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "127.0.0.1, 192.0.2.1", "192.0.2.1"),  # what the client has made up stands left
        (2, "127.0.0.1, 192.0.2.1, 10.0.0.9", "192.0.2.1"),
        (2, "192.0.2.1", None),  # fewer than there are proxies: somebody came past one
        (1, "192.0.2.1,", None),
        (1, "unknown", None),
        (1, "_hidden", None),
        (1, "192.0.2.1; drop table", None),
        (1, "192.0.2.256", None),
        (1, "192.0.2.1:4711", "192.0.2.1"),
        (1, " 2001:DB8::1 ", "2001:db8::1"),
        (1, "[2001:db8::1]", "2001:db8::1"),
        (1, "[2001:db8::1]:443", "2001:db8::1"),
        (1, "[192.0.2.1", None),
        (1, "::ffff:192.0.2.1", "192.0.2.1"),
        (-1, "192.0.2.1", None),
    ],
)
def test_the_address_of_a_client(proxies, said, address):
    headers = {} if said is None else {"x-forwarded-for": said}
    assert client_address("10.0.0.1", headers, proxies) == address


@pytest.mark.parametrize(
    ("own", "proxies", "said", "secure"),
    [
        (False, 0, "https", False),  # nobody was asked
        (True, 0, "http", True),
        (False, 1, "https", True),
        (False, 1, "HTTPS", True),
        (False, 1, "http", False),
        (True, 1, "http", False),
        (True, 1, None, False),  # a proxy that forgets to say it
        (False, 1, None, False),
        (False, 1, "", False),
        (False, 1, "https, http", False),  # what the client has made up stands left
        (False, 2, "http, https", False),  # the first part of the way
        (False, 2, "https, https", True),
        (False, 1, "https,", False),
        (False, 1, "wss", False),
        (False, 1, "https;", False),
    ],
)
def test_whether_the_way_of_a_client_is_secure(own, proxies, said, secure):
    headers = {} if said is None else {"x-forwarded-proto": said}
    assert is_secure(own, headers, proxies) is secure


async def test_a_connection_says_whether_it_is_secure():
    server = make_server(forwarded_count=1)
    server.method("secure")(lambda ctx: [ctx.connection.secure, ctx.connection.client_address])
    async with crowded(server, forwarded_count=1) as (_, address):
        for proto, secure in (("https", True), ("http", False)):
            headers = {"X-Forwarded-Proto": proto, "X-Forwarded-For": "192.0.2.1"}
            async with connected_from(address, **headers) as client:
                assert await client.call("secure") == [secure, "192.0.2.1"]


async def test_behind_a_proxy_clients_count_by_their_own_address(expect_log):
    expect_log("ddpcore_tornado.crowd", "^192.0.2.1 has 2 clients: further ones are refused")
    expect_log("ddpcore_tornado.crowd", "^An unknown address has 2 clients: .* right\\?$")
    async with crowded(forwarded_count=1, connections_per_address=2) as (http, address):
        headers = {"X-Forwarded-For": "203.0.113.7, 192.0.2.1"}
        session = Session(address, "xhr", X_Forwarded_For="192.0.2.1")
        assert await session.frame() == "o"
        async with connected_from(address, **headers):
            assert await refusal(address, **headers) == 429
            session.path += "x"
            refused = await session.ask()
            assert refused.status == 429
            refused.hang_up()
            # Others come by the same proxy.
            others = {"X-Forwarded-For": "192.0.2.1, 203.0.113.7"}
            async with connected_from(address, **others) as other:
                assert await other.call("echo", 1) == [1]
            async with connect(address), connect(address):  # past the proxy, or it says nothing
                assert await refusal(address) == 429
                assert len(http.crowd) >= 3


async def test_a_place_is_free_when_a_client_is_gone(expect_log):
    expect_log("ddpcore_tornado.crowd", "further ones are refused")
    server = make_server()
    async with crowded(server, connections_per_address=2) as (http, address):
        for _ in range(5):
            async with connect(address), connect(address):
                assert await refusal(address) == 429
            while len(http.crowd):
                await asyncio.sleep(0)
        for _ in range(5):  # neither is one that has not waited for its answer
            _, writer = await asyncio.open_connection(*address.split(":"))
            writer.transport.abort()
        while len(http.crowd):
            await asyncio.sleep(0)


# --- listen --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    import subprocess

    folder = tmp_path_factory.mktemp("limits")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
        f" -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {key} -out {cert}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context, ssl.create_default_context(cafile=cert)


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_a_handshake_of_tls_that_never_ends(tls, said):
    async with crowded(ssl_options=tls[0], header_timeout=0.3) as (http, address):
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(said)
        assert await reader.read() == b""
        writer.close()
        while len(http.crowd):
            await asyncio.sleep(0)


async def test_over_tls_who_is_too_many_is_hung_up_on(tls, expect_log):
    expect_log("ddpcore_tornado.crowd", "127.0.0.1 has 1 connections")
    async with crowded(ssl_options=tls[0], connections_per_address=1) as (http, address):
        named = {"ssl": tls[1], "server_hostname": "localhost"}
        url = f"wss://{address}/websocket"
        async with websockets.connect(url, **named) as one:
            await one.send('{"msg":"connect","version":"1","support":["1"]}')
            assert "connected" in await one.recv()
            assert len(http.crowd) == 1
            with pytest.raises((ConnectionError, ssl.SSLError, EOFError)):
                await websockets.connect(url, **named)
        while len(http.crowd):
            await asyncio.sleep(0)


async def test_where_there_are_no_unix_sockets(monkeypatch):
    monkeypatch.delattr(socket, "AF_UNIX")  # Windows
    async with crowded() as (_, address):
        answer = await ask(address, "GET", "/sockjs")
        assert await answer.body() == b"Welcome to SockJS!\n"
        answer.hang_up()


async def test_a_connection_that_lies_idle_between_two_requests_is_closed():
    async with crowded(header_timeout=0.3) as (_, address):
        answer = await ask(address, "GET", "/sockjs")
        assert await answer.body() == b"Welcome to SockJS!\n"
        assert await answer.reader.read() == b""
        answer.hang_up()


async def test_a_server_without_files_lies_still_and_goes_on(monkeypatch, expect_log):
    """No turn of the loop is spent on those who wait, and they come in when there are files."""
    expect_log("ddpcore_tornado.doorway", "^Cannot accept connections: Too many open files.")
    monkeypatch.setattr(doorway, "PAUSE", 0.05)
    scarce = asyncio.Event()
    pause = doorway.Doorway._pause
    monkeypatch.setattr(doorway.Doorway, "_pause", lambda it: (pause(it), scarce.set()))
    async with crowded() as (http, address):
        (entrance,) = http._sockets.values()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        client = socket.socket()
        client.setblocking(False)
        highest = client.fileno() + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
        try:
            host, port = address.split(":")
            await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
            await scarce.wait()
            assert entrance.fileno() not in IOLoop.current().readers
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        client.send(b"GET /sockjs HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        said = await asyncio.get_running_loop().sock_recv(client, 1000)
        assert said.startswith(b"HTTP/1.1 200 ")
        client.close()


def test_what_else_is_wrong_with_a_socket_is_an_error(monkeypatch):
    class Broken(doorway.Doorway):
        def _pause(self):
            raise AssertionError

    with Broken() as entrance, pytest.raises(OSError, match="Invalid argument") as problem:
        entrance.accept()  # it does not listen
    assert problem.value.errno == errno.EINVAL


# --- servers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "login", "before", "after"),
    [
        ({}, True, 64 * 1024, 1 << 20),
        ({}, False, 1 << 20, 1 << 20),  # nobody is anybody
        ({"max_anonymous_message_size": 10}, False, 10, 1 << 20),
        ({"max_anonymous_message_size": 10}, True, 10, 1 << 20),
        ({"max_message_size": 100}, True, 100, 100),
        ({"max_message_size": 100}, False, 100, 100),
    ],
)
def test_how_long_messages_may_be(options, login, before, after):
    server = make_server(**options)
    if login:
        server.method("login")(lambda ctx: None)
    assert server.max_message_size(None) == before
    assert server.max_message_size("ann") == after


async def test_sessions_that_wait_are_so_many():
    server = make_server(max_absent=2, grace_period=60)
    async with crowded(server) as (_, address):
        ids = []
        for _ in range(4):
            async with websockets.connect(f"ws://{address}/websocket") as client:
                await client.send('{"msg":"connect","version":"1","support":["1"]}')
                ids.append((await client.recv()).split('"')[-2])
                client.transport.abort()
            while len(server._absent) < min(len(ids), 2) or ids[-1] not in [
                each.machine.id for each in server._absent
            ]:
                await asyncio.sleep(0)
        assert list(server.sessions) == ids[2:]


async def test_a_socket_for_both_protocols_tells_the_address_of_each():
    server = make_server()
    server.method("who")(lambda ctx: ctx.connection.client_address)
    app = Application(handlers(server), log_function=lambda _: None)
    http = LimitedHTTPServer(app)
    both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)  # systemd's
    both.setblocking(False)
    port = both.getsockname()[1]
    http.add_sockets([both])
    try:
        for host in ("127.0.0.1", "[::1]"):
            async with connect(f"{host}:{port}") as client:
                assert await client.call("who") == host.strip("[]")
    finally:
        http.stop()
        await http.close_all_connections()
        await server.stop()
