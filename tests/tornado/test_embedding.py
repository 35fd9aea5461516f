"""DDP inside a Tornado application of one's own."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import zlib
from contextlib import ExitStack

import pytest
import websockets
from ddp_client import Client, connect
from deploying import free_port
from served import CONNECT, connected, fetch, hear, listening, make_server, raw, say, served
from sockjs_client import TRANSPORTS, Session, Socket
from tornado.web import Application, RequestHandler

from ddpcore import Change, DDPError, MemoryBus, Op, hookimpl
from ddpcore.transport import MemoryTransport
from ddpcore_pg.bus import PgBus
from ddpcore_tornado import handlers


class Hello(RequestHandler):
    def get(self):
        self.finish("Hello")


def application(*rules):
    return Application([*rules, (r"/hello", Hello)], log_function=lambda _: None)


async def name_of(address, path):
    async with connected(address, path) as socket:
        await say(socket, msg="method", id="1", method="name")
        await hear(socket)
        return (await hear(socket))["result"]


async def name_over(session):
    client = Client(Socket(session))
    try:
        while client.socket._reading is None:  # it begins with its first request for frames
            await asyncio.sleep(0.001)
        await client.send(msg="connect", version="1", support=["1"])
        return await client.call("name")
    finally:
        await client.socket.close()
        await client._reader


def named(name):
    server = make_server()

    @server.method("name")
    async def give_name(ctx):
        return name

    return server


async def test_beside_handlers_of_ones_own():
    server = named("mine")
    async with listening(application(*handlers(server)), server) as address:
        assert await name_of(address, "/websocket") == "mine"
        assert (await fetch(address, "/hello")).body == b"Hello"
        assert (await fetch(address, "/nothing")).code == 404


@pytest.mark.parametrize("prefix", ["/live", "/live.v1", "/(a)"])
async def test_a_prefix(prefix):
    server = named("mine")
    async with listening(application(*handlers(server, prefix=prefix)), server) as address:
        assert await name_of(address, f"{prefix}/websocket") == "mine"
        assert await name_of(address, f"{prefix}/sockjs/websocket") == "mine"
        for path in ("/websocket", "/liveXv1/sockjs", "/a/sockjs", "/sockjs/info"):
            assert (await fetch(address, path)).code == 404


async def test_two_servers_in_one_process():
    one, two = named("one"), named("two")
    rules = [*handlers(one, prefix="/one"), *handlers(two, prefix="/two")]
    async with listening(application(*rules), one, two) as address:
        assert await name_of(address, "/one/websocket") == "one"
        assert await name_of(address, "/two/websocket") == "two"
        await one.stop()
        assert await name_of(address, "/two/websocket") == "two"


class Counting(MemoryBus):
    """A bus that counts its starts, and fails at some."""

    def __init__(self, failures=0):
        super().__init__()
        self.starts = 0
        self.failures = failures

    async def start(self, deliver):
        self.starts += 1
        if self.starts <= self.failures:
            raise DDPError("There is no database at db.example.")
        await super().start(deliver)


async def test_the_server_starts_with_its_first_client():
    bus = Counting()
    async with served(make_server(bus=bus)) as address:
        await fetch(address, "/websocket")
        await fetch(address, "/sockjs/info")
        assert bus.starts == 0  # these were no clients
        async with connect(address), connect(address):
            assert bus.starts == 1


async def test_a_stopped_server_starts_again():
    bus = Counting()
    server = make_server(bus=bus)
    async with served(server) as address:
        for starts in (1, 2):
            async with connect(address) as client:
                assert await client.call("echo", 1) == [1]
                assert bus.starts == starts
            await server.stop()
            await server.stop()


@pytest.mark.parametrize("path", ["/websocket", "/sockjs/000/abcdefgh/websocket"])
async def test_a_bus_that_cannot_start_is_tried_again(path, expect_log):
    expect_log("ddpcore_tornado", "^Cannot serve DDP: There is no database at db.example.$")
    async with served(make_server(bus=Counting(failures=2))) as address:
        for _ in range(2):
            with pytest.raises(websockets.InvalidStatus) as caught:
                async with raw(address, path):
                    pass
            assert caught.value.response.status_code == 503
            assert b"not available" in caught.value.response.body
        async with connect(address) as client:
            assert await client.call("echo", 1) == [1]


# --- several servers ------------------------------------------------------------------------------


async def is_let_in(address, path, origin):
    try:
        async with raw(address, path, origin=origin):
            return True
    except websockets.InvalidStatus as refused:
        assert refused.response.status_code == 403
        return False


async def test_two_servers_have_prefixes_and_origins_of_their_own():
    one, two = named("one"), named("two")
    rules = [
        *handlers(one, prefix="/one", origins=["https://one.example"]),
        *handlers(two, prefix="/two", origins=["https://two.example"]),
    ]
    async with listening(application(*rules), one, two) as address:
        for own, other in (("one", "two"), ("two", "one")):
            for path in (f"/{own}/websocket", f"/{own}/sockjs/000/abcdefgh/websocket"):
                assert await is_let_in(address, path, f"https://{own}.example")
                assert not await is_let_in(address, path, f"https://{other}.example")
            readable = await fetch(address, f"/{own}/sockjs/info", Origin=f"https://{own}.example")
            assert readable.headers["Access-Control-Allow-Origin"] == f"https://{own}.example"
            hidden = await fetch(address, f"/{own}/sockjs/info", Origin=f"https://{other}.example")
            assert "Access-Control-Allow-Origin" not in hidden.headers


async def test_sessions_over_http_belong_to_their_server():
    one, two = named("one"), named("two")
    rules = [*handlers(one, prefix="/one"), *handlers(two, prefix="/two")]
    async with listening(application(*rules), one, two) as address:
        for name in ("one", "two"):  # of the same id
            session = Session(address, "xhr", prefix=f"/{name}/sockjs", id="abcdefgh")
            assert await name_over(session) == name


async def test_two_applications_on_two_ports():
    one, two = named("one"), named("two")
    async with (
        listening(application(*handlers(one)), one) as first,
        listening(application(*handlers(two)), two) as second,
    ):
        for _ in range(2):
            assert await name_of(first, "/websocket") == "one"
            assert await name_of(second, "/websocket") == "two"


async def test_one_server_at_two_addresses():
    server = named("mine")
    rules = [*handlers(server), *handlers(server, prefix="/again")]
    async with (
        listening(application(*rules), server) as first,
        listening(application(*handlers(server))) as second,
        connected(first),
        connected(first, "/again/websocket"),
        connected(second),
    ):
        assert len(server.sessions) == 3


class Companion:
    def __init__(self):
        self.seen = []

    @hookimpl
    def ddpcore_server_started(self, server):
        self.seen.append(("started", server))

    @hookimpl
    def ddpcore_server_stopping(self, server):
        self.seen.append(("stopping", server))

    @hookimpl
    def ddpcore_session_opened(self, server):
        self.seen.append(("opened", server))


async def test_servers_share_plugins_and_nothing_else():
    companion = Companion()
    one, two = (make_server(plugins=[companion]) for _ in range(2))
    one.method("only")(lambda ctx: 1)
    rules = [*handlers(one, prefix="/one"), *handlers(two, prefix="/two")]
    async with listening(application(*rules), one, two) as address:
        async with connected(address, "/two/websocket") as socket:
            await say(socket, msg="method", id="1", method="only")
            assert (await hear(socket))["error"]["error"] == 404
        assert companion.seen == [("started", two), ("opened", two)]
        async with connected(address, "/one/websocket"):
            pass
        await two.stop()
        assert companion.seen[2:] == [("started", one), ("opened", one), ("stopping", two)]


# --- a start that is slow, or fails ---------------------------------------------------------------


@pytest.mark.parametrize("path", ["/websocket", "/sockjs/000/abcdefgh/websocket"])
async def test_clients_wait_for_plugins_and_are_refused_if_the_server_stops(path, expect_log):
    expect_log("ddpcore_tornado", "Cannot serve DDP: The server was stopped while it was starting")
    begun, gate = asyncio.Event(), asyncio.Event()

    class Slow:
        @hookimpl
        async def ddpcore_server_started(self):
            begun.set()
            await gate.wait()

    server = make_server(plugins=[Slow()])
    async with served(server) as address:
        first = asyncio.ensure_future(fetch_upgrade(address, path))
        await begun.wait()
        await server.stop()
        assert await first == 503
        gate.set()
        async with raw(address, path):
            pass


async def fetch_upgrade(address, path):
    try:
        async with raw(address, path):
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


async def test_a_plugin_that_cannot_start_costs_a_client_503(expect_log):
    expect_log("ddpcore_tornado", "Cannot serve DDP: The plugin 'Moody' cannot start")
    expect_log("ddpcore_tornado", "Cannot serve SockJS: The plugin 'Moody' cannot start")

    class Moody:
        starts = 0

        @hookimpl
        def ddpcore_server_started(self):
            self.starts += 1
            if self.starts < 3:
                raise OSError("not yet")

    async with served(make_server(plugins=[Moody()])) as address:
        assert await fetch_upgrade(address, "/websocket") == 503
        assert (await fetch(address, "/sockjs/000/abcdefgh/xhr", "POST", "")).code == 503
        assert (await fetch(address, "/sockjs/000/abcdefgh/xhr", "POST", "")).body == b"o\n"
        assert await fetch_upgrade(address, "/websocket") == 101


# --- settings of the application ------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_application_that_compresses_and_demands_xsrf_tokens(transport):
    server = named("mine")
    app = Application(
        handlers(server), log_function=lambda _: None, compress_response=True, xsrf_cookies=True
    )
    async with listening(app, server) as address:
        assert await name_over(Session(address, transport)) == "mine"


@pytest.mark.parametrize("transport", ["xhr_streaming", "eventsource", "htmlfile"])
async def test_a_stream_that_an_application_compresses_is_still_a_stream(transport):
    server = make_server()
    app = Application(handlers(server), log_function=lambda _: None, compress_response=True)
    async with listening(app, server) as address:
        session = Session(address, transport, Accept_Encoding="gzip")
        answer = await session.ask()
        assert answer.headers["content-encoding"] == "gzip"
        unpack = zlib.decompressobj(31).decompress
        await session.send(CONNECT)
        text = b""
        while b"connected" not in text:  # it comes while the stream goes on
            text += unpack(await answer.chunk())
        answer.hang_up()


# --- event loops ----------------------------------------------------------------------------------


async def once(server, name):
    async with listening(application(*handlers(server)), server) as address:
        assert await name_of(address, "/websocket") == name


def test_a_server_restarts_on_another_loop():
    companion = Companion()
    server = named("mine")
    server.plugins.register(companion)
    for _ in range(3):
        asyncio.run(once(server, "mine"))
    assert [what for what, _ in companion.seen] == ["started", "opened", "stopping"] * 3


def test_rules_serve_on_another_loop_as_well():
    server = named("mine")
    app = application(*handlers(server))

    async def poll():
        async with listening(app, server) as address:
            assert await Session(address, "xhr", id="abcdefgh").frame() == "o"

    for _ in range(2):
        asyncio.run(poll())


def test_a_loop_that_ends_before_the_server_is_told_of(expect_log):
    expect_log("ddpcore.server", "^The event loop was closed while the server ran on it: `await")
    companion = Companion()
    server = named("mine")
    server.plugins.register(companion)

    async def leave_it_running():
        await server.start()
        client = MemoryTransport()
        server.accept(client)
        client.receiver.receive('{"msg":"connect","version":"1","support":["1"]}')
        assert len(server.sessions) == 1
        # What waits to be sent waits for a turn of this loop that never comes.

    asyncio.run(leave_it_running())
    asyncio.run(once(server, "mine"))
    assert server.sessions == {}
    assert [what for what, _ in companion.seen] == [
        "started", "opened", "started", "opened", "stopping",
    ]  # fmt: skip


@pytest.mark.pg
def test_the_same_with_postgresql(expect_log, pg_dsn):
    expect_log("ddpcore.server", "^The event loop was closed while the server ran on it: `await")
    server = make_server(bus=PgBus(pg_dsn))
    heard = []

    async def run(*, stop):
        await server.start()
        try:
            await server.bus.subscribe("things")
            await server.bus.publish(Change("things", Op.INSERT, "1"))
            await server.bus.fence()
            heard.append(server.crossbar.number)
        finally:
            if stop:
                await server.stop()

    asyncio.run(run(stop=False))
    asyncio.run(run(stop=True))
    assert heard == [1, 1]


class Loop:
    """An event loop in a thread of its own."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(30)


async def in_thread(loop, coroutine):
    return await asyncio.to_thread(loop.run, coroutine)


async def test_loops_in_several_threads_each_with_a_server():
    with ExitStack() as stack:
        loops = [stack.enter_context(Loop()) for _ in range(3)]
        places = []
        for number, loop in enumerate(loops):
            server = named(number)
            server.method("twice")(lambda ctx, value: value * 2)  # in a thread of its server
            place = listening(application(*handlers(server)), server)
            places.append((loop, place, await in_thread(loop, place.__aenter__())))

        async def talk(number, address):
            async with connect(address) as client:
                for turn in range(20):
                    assert await client.call("name") == number
                    assert await client.call("twice", "x" * turn) == "x" * turn * 2

        await asyncio.gather(
            *(talk(number, place[2]) for number, place in enumerate(places) for _ in range(3))
        )
        for loop, place, _ in places:
            await in_thread(loop, place.__aexit__(None, None, None))


async def test_a_server_that_runs_elsewhere_says_so(expect_log):
    expect_log("ddpcore_tornado", "Cannot serve DDP: The server runs on another event loop")
    server = named("mine")
    with Loop() as loop:
        await in_thread(loop, server.start())
        with pytest.raises(DDPError, match="Make a server for each loop"):
            await server.start()
        with pytest.raises(DDPError, match="runs on another event loop"):
            await server.stop()
        async with listening(application(*handlers(server))) as address:
            assert await fetch_upgrade(address, "/websocket") == 503
        await in_thread(loop, server.stop())
    await once(server, "mine")


# --- a process that reloads itself ----------------------------------------------------------------

RELOADING = """
import asyncio, sys
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
import ddpcore, ddpcore_tornado

VERSION = "one"
server = ddpcore.Server()

@server.method
async def version(ctx):
    return VERSION

@server.method
def in_thread(ctx):
    return VERSION

async def main():
    app = Application(ddpcore_tornado.handlers(server), debug=True)
    app.listen(int(sys.argv[1]), "127.0.0.1")
    print("listening", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_an_application_in_debug_mode_reloads(tmp_path):
    script = tmp_path / "app.py"
    script.write_text(RELOADING)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(port),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert await process.stdout.readline() == b"listening\n"
        pid = process.pid
        async with connect(f"127.0.0.1:{port}") as client:
            for method in ("version", "in_thread"):
                assert await client.call(method) == "one"
            script.write_text(RELOADING.replace('"one"', '"two"'))
            changed = 2_000_000_000
            while not client.closed:  # no socket of the old code is inherited
                # Tornado looks now and then, and what it sees first is no change.
                os.utime(script, (changed := changed + 1, changed))
                await asyncio.sleep(0.05)
        assert await process.stdout.readline() == b"listening\n"
        async with connect(f"127.0.0.1:{port}") as client:
            for method in ("version", "in_thread"):
                assert await client.call(method) == "two"
        assert process.pid == pid
    finally:
        process.terminate()
        _, errors = await process.communicate()
    assert b"Traceback" not in errors, errors
