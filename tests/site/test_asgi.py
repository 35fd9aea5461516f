"""An ASGI site: what it is told, what becomes of what it says, and its life."""

from __future__ import annotations

import asyncio
import threading

import pytest
from served import answers, connected
from site_client import LIMIT, asgi, serving, visit

from ddpcore import DDPError
from ddpcore_tornado.site import ASGISite

FAILED = (500, b"Internal Server Error\n")


def http(function):
    """An application that speaks HTTP alone, as Django's."""

    async def application(scope, receive, send):
        if scope["type"] != "http":
            raise ValueError(scope["type"])
        await function(scope, receive, send)

    return application


async def start(send, status=200, headers=((b"content-type", b"text/plain"),)):
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def body(send, data=b"", *, more=False):
    await send({"type": "http.response.body", "body": data, "more_body": more})


# --- requests ------------------------------------------------------------------------------------


async def test_the_scope(tmp_path):
    scopes = []

    @http
    async def application(scope, receive, send):
        scopes.append(scope)
        await start(send)
        await body(send)

    async with asgi(application) as address, visit(address) as client:
        answer = await client.ask("GET /caf%C3%A9%2F?a=%20", "X-Two: 1", "X_No: 1", "X-Two: 2")
        assert (answer.status, answer.reason, answer["content-length"]) == (200, "OK", "0")
        (scope,) = scopes
        assert scope["headers"] == [(b"host", b"example.com"), (b"x-two", b"1"), (b"x-two", b"2")]
        assert scope["client"] == client.writer.get_extra_info("sockname")[:2]
        assert scope["server"] == address
        del scope["headers"], scope["client"], scope["server"]
        assert scope == {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/caf\xe9/",
            "raw_path": b"/caf%C3%A9%2F",
            "query_string": b"a=%20",
            "root_path": "",
            "state": {},
            "extensions": {},
        }
    path = str(tmp_path / "s")
    async with asgi(application, path=path), visit(path) as client:
        await client.ask("GET /", version="1.0")
        scope = scopes.pop()
        assert (scope["client"], scope["server"], scope["http_version"]) == (
            None,
            (path, None),
            "1.0",
        )


@http
async def echo(scope, receive, send):
    """Sends the body back while it comes."""
    await start(send)
    while (message := await receive())["type"] == "http.request":
        await body(send, message["body"], more=message["more_body"])
        if not message["more_body"]:
            assert (await receive()) == {"type": "http.disconnect"}
            return


async def test_both_directions_stream():
    async with asgi(echo) as address, visit(address) as client:
        await client.send("POST /", "Content-Length: 6", body=b"one")
        await client.head()
        assert await client.chunk() == b"one"
        await client.push(b"two")
        assert [await client.chunk(), await client.chunk()] == [b"two", b""]
        big = b"x" * LIMIT
        assert (await client.ask("POST /", f"Content-Length: {LIMIT}", body=big)).body == big


async def test_a_body_that_is_not_read_waits_at_the_client():
    go = threading.Event()

    @http
    async def application(scope, receive, send):
        await asyncio.to_thread(go.wait)
        size = 0
        while (message := await receive())["more_body"]:
            size += len(message["body"])
        await start(send)
        await body(send, str(size + len(message["body"])).encode())

    async with asgi(application, max_upload=100_000_000) as address, visit(address) as client:
        await client.send("POST /", "Content-Length: 50000000")
        client.writer.write(b"x" * 50_000_000)
        drained = asyncio.ensure_future(client.writer.drain())
        done, _ = await asyncio.wait([drained], timeout=0.5)
        assert not done  # the kernel does not keep so much
        go.set()
        assert (await client.answer()).body == b"50000000"


async def test_bodies_that_are_too_large():
    told = []

    @http
    async def application(scope, receive, send):
        while (message := await receive()).get("more_body"):
            pass
        told.append(message["type"])

    async with asgi(application) as address:
        async with visit(address) as client:
            answer = await client.ask("POST /", f"Content-Length: {LIMIT + 1}")
            assert answer.status == 413
        chunk = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
        async with visit(address) as client:
            await client.send("POST /", "Transfer-Encoding: chunked")
            await client.push(chunk * 21 + b"0\r\n\r\n")
            assert (await client.answer()).status == 413
            assert await client.is_closed()
        while not told:
            await asyncio.sleep(0)
        assert told == ["http.disconnect"]


async def test_an_answer_before_the_body_was_read():
    @http
    async def application(scope, receive, send):
        await start(send, 401)
        await body(send, b"no")

    async with asgi(application) as address, visit(address) as client:
        data = b"x" * LIMIT
        answer = await client.ask("POST /", f"Content-Length: {LIMIT}", body=data)
        assert (answer.status, answer.body) == (401, b"no")
        assert (await client.ask("GET /")).status == 401


async def test_websockets_are_refused():
    async with asgi(echo) as address, visit(address) as client:
        answer = await client.ask(
            "GET /chat", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"
        )
        assert answer.status == 403
        assert b"/websocket" in answer.body


# --- clients that leave ----------------------------------------------------------------------------


@pytest.mark.parametrize("listens", [True, False])
async def test_a_client_that_hangs_up(listens, monkeypatch):
    monkeypatch.setattr("ddpcore_tornado.site.asgi.AFTERWARDS", 0.2)
    ended = threading.Event()

    @http
    async def application(scope, receive, send):
        try:
            await receive()
            await start(send)
            if listens:
                await body(send, b"x", more=True)
                assert await receive() == {"type": "http.disconnect"}
                await body(send, b"to nobody", more=True)
            while not listens:
                await body(send, b"x" * 100_000, more=True)
        finally:
            ended.set()

    async with asgi(application) as address:
        async with visit(address) as client:
            await client.send("GET /")
            await client.head()
        assert await asyncio.to_thread(ended.wait, 30)


# --- responses -------------------------------------------------------------------------------------


async def fails(send):
    raise RuntimeError("broken on purpose")


async def leaves(send):
    raise SystemExit(3)


async def leaves_in_a_task(send):
    async def leave():
        raise SystemExit(3)

    await asyncio.create_task(leave())


async def begins_twice(send):
    await start(send)
    await start(send)


async def has_no_head(send):
    await body(send, b"x")


async def says_nonsense(send):
    await send({"type": "nonsense"})


async def says_nothing(send):
    pass


async def begins_only(send):
    await start(send)


async def splits_headers(send):
    await start(send, headers=[(b"x", b"a\r\nb: c")])
    await body(send, b"x")


async def has_no_such_status(send):
    await start(send, 42)


async def lies(send):
    await start(send, headers=[(b"content-length", b"1")])
    await body(send, b"long")


@pytest.mark.parametrize(
    "what",
    [
        fails,
        leaves,
        leaves_in_a_task,
        begins_twice,
        has_no_head,
        says_nonsense,
        says_nothing,
        begins_only,
        splits_headers,
        has_no_such_status,
        lies,
    ],
)
async def test_applications_that_fail_before_anything_has_left(what, expect_log):
    expect_log("ddpcore_tornado", "The site failed at GET /")
    expect_log("ddpcore_tornado", r"sys\.exit\(3\)", required=what is leaves_in_a_task)
    application = http(lambda scope, receive, send: what(send))
    async with asgi(application) as address, visit(address) as client:
        for _ in range(2):
            answer = await client.ask("GET /")
            assert (answer.status, answer.body) == FAILED


@pytest.mark.parametrize("raises", [True, False])
async def test_half_an_answer_does_not_look_whole(raises, expect_log):
    expect_log("ddpcore_tornado", "The site failed at GET /")

    @http
    async def application(scope, receive, send):
        await start(send)
        await body(send, b"one", more=True)
        if raises:
            raise RuntimeError("broken on purpose")

    async with asgi(application) as address:
        async with visit(address) as client:
            await client.send("GET /")
            await client.head()
            assert await client.chunk() == b"one"
            assert await client.is_closed()
        async with visit(address) as client:
            with pytest.raises(ConnectionResetError):
                await client.ask("GET /", version="1.0")


async def test_an_application_that_fails_after_its_answer(expect_log):
    expect_log("ddpcore_tornado", "The site failed after GET /")

    @http
    async def application(scope, receive, send):
        await start(send)
        await body(send, b"one")
        raise RuntimeError("broken on purpose")

    async with asgi(application) as address, visit(address) as client:
        for _ in range(2):
            assert (await client.ask("GET /")).body == b"one"


@pytest.mark.parametrize("status", [200, 204, 304])
async def test_responses_without_a_body(status):
    @http
    async def application(scope, receive, send):
        await start(send, status, [(b"content-length", b"6")])
        await body(send, b"one", more=True)
        await body(send, b"two")

    async with asgi(application) as address, visit(address) as client:
        for method in ("HEAD", "HEAD") if status == 200 else ("HEAD", "GET", "GET"):
            answer = await client.ask(f"{method} /")
            assert (answer.status, answer["transfer-encoding"]) == (status, None)
            assert answer["content-length"] == ("6" if status == 200 else None)


# --- its life ----------------------------------------------------------------------------------------


async def test_lifespan():
    events = []

    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            scope["state"]["pool"] = events
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            events.append("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
            return
        scope["state"]["pool"].append("request")
        scope["state"]["mine"] = scope["state"].get("mine", 0) + 1
        await start(send)
        await body(send, str(scope["state"]["mine"]).encode())

    async with asgi(application) as address, visit(address) as client:
        for _ in range(2):
            assert (await client.ask("GET /")).body == b"1"  # what it adds is that request's alone
    assert events == ["request", "request", "shutdown"]


async def test_an_application_that_cannot_start():
    async def application(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(DDPError, match="does not start: no database"):
        async with asgi(application):
            pass


async def test_an_application_that_breaks_at_its_start(expect_log):
    expect_log("ddpcore_tornado", "goes on without lifespan")

    async def application(scope, receive, send):
        await receive()
        if scope["type"] == "lifespan":
            raise RuntimeError("broken on purpose")
        await start(send)
        await body(send, b"one")

    async with asgi(application) as address, visit(address) as client:
        assert (await client.ask("GET /")).body == b"one"


async def test_an_application_that_blocks_stalls_nobody_but_the_site():
    go, blocked = threading.Event(), threading.Event()

    @http
    async def application(scope, receive, send):
        if scope["path"] == "/block":
            blocked.set()
            go.wait()
        await start(send)
        await body(send, b"one")

    async with asgi(application) as address, visit(address) as one, visit(address) as two:
        await one.send("GET /block")
        assert await asyncio.to_thread(blocked.wait, 30)
        await two.send("GET /")
        async with connected("{}:{}".format(*address)) as socket:
            assert await answers(socket)
        go.set()
        for client in (one, two):
            assert (await client.answer()).body == b"one"


async def test_the_end_waits_for_answers():
    begun, go = threading.Event(), threading.Event()

    @http
    async def application(scope, receive, send):
        await start(send)
        begun.set()
        await asyncio.to_thread(go.wait)
        await body(send, b"one")

    site = ASGISite(application, max_upload=LIMIT)
    async with serving(site) as address, visit(address) as client:
        await client.send("GET /")
        assert await asyncio.to_thread(begun.wait, 30)
        end = asyncio.ensure_future(site.finish(30))
        await asyncio.sleep(0)
        go.set()
        assert (await client.answer()).body == b"one"
        await end
        answer = await client.ask("GET /")
        assert (answer.status, answer["connection"]) == (503, "close")


async def test_the_end_cuts_streams(monkeypatch):
    monkeypatch.setattr("ddpcore_tornado.site.exchange.GRACE", 30.0)
    ended = threading.Event()

    @http
    async def application(scope, receive, send):
        await start(send)
        await body(send, b"x", more=True)
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()

    site = ASGISite(application, max_upload=LIMIT)
    async with serving(site) as address, visit(address) as client:
        await client.send("GET /")
        await client.head()
        assert await client.chunk() == b"x"
        end = asyncio.ensure_future(site.finish(0.1))
        assert await client.is_closed()
        await end
        assert ended.is_set()


async def test_a_client_that_sends_nothing_more_is_cut_off(monkeypatch):
    monkeypatch.setattr("ddpcore_tornado.site.exchange.SILENCE", 0.2)
    heard = []

    async def application(scope, receive, send):
        if (
            scope["path"] == "/busy"
        ):  # an application that does not listen is not the client's fault
            await asyncio.sleep(0.5)
        while True:
            heard.append(message := await receive())
            if not message.get("more_body"):
                break
        if message["type"] == "http.request":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"one"})

    async with asgi(application) as address:
        async with visit(address) as client:
            await client.send("POST /", "Content-Length: 9", body=b"abc")
            assert await client.is_closed()
        while heard[-1]["type"] != "http.disconnect":
            await asyncio.sleep(0.01)
        async with visit(address) as client:
            await client.send("POST /busy", "Content-Length: 200000", body=bytes(200_000))
            assert (await client.answer()).body == b"one"
