"""A WSGI site: what leaves when, how a response ends, and what it costs others."""

from __future__ import annotations

import asyncio
import io
import threading
from contextlib import AsyncExitStack

import pytest
from served import answers, connected
from site_client import LIMIT, serving, visit, wsgi
from tornado.netutil import bind_sockets

from ddpcore_tornado.site import WSGISite

PLAIN = [("Content-Type", "text/plain")]
FAILED = (500, b"Internal Server Error\n")


def plain(*pieces, status="200 OK", headers=()):
    """An application that answers with these, in an iterator of no known length."""

    def application(environ, start_response):
        start_response(status, [*PLAIN, *headers])
        return iter(pieces)

    return application


class Stream:
    """An application whose pieces the test lets out one by one."""

    def __init__(self, *pieces, headers=PLAIN):
        self.pieces, self.headers = pieces, headers
        self.steps = threading.Semaphore(0)
        self.closed = threading.Event()
        self.threads = []

    def __call__(self, environ, start_response):
        start_response("200 OK", list(self.headers))
        self.threads.append(threading.get_ident())
        return self.parts()

    def parts(self):
        try:
            for piece in self.pieces:
                self.steps.acquire()
                yield piece
        finally:
            self.threads.append(threading.get_ident())
            self.closed.set()

    async def was_closed(self):
        assert await asyncio.to_thread(self.closed.wait, 30)


# --- responses ---------------------------------------------------------------------------------


async def test_a_piece_leaves_when_it_is_yielded():
    stream = Stream(b"one", b"", b"two")
    async with wsgi(stream) as address, visit(address) as client:
        await client.send("GET /")
        stream.steps.release()
        answer = await client.head()
        assert (answer.status, answer["transfer-encoding"]) == (200, "chunked")
        assert await client.chunk() == b"one"
        stream.steps.release(2)
        assert [await client.chunk(), await client.chunk()] == [b"two", b""]
        await stream.was_closed()
        stream.steps.release()
        assert (await client.ask("HEAD /")).status == 200  # the connection goes on


async def test_the_length_of_a_response():
    def application(environ, start_response):
        headers = list(PLAIN)
        if "told" in environ["PATH_INFO"]:
            headers.append(("Content-Length", "4"))
        start_response("200 OK", headers)
        body = [b"ab", b"", b"cd"] if "two" in environ["PATH_INFO"] else [b"abcd"]
        if "none" in environ["PATH_INFO"]:
            body = []
        return iter(body) if "generator" in environ["PATH_INFO"] else body

    async with wsgi(application) as address, visit(address) as client:
        for path, length, body in [
            ("/", "4", b"abcd"),
            ("/two", None, b"abcd"),
            ("/generator", None, b"abcd"),
            ("/two/generator/told", "4", b"abcd"),
            ("/none", "0", b""),
            ("/none/generator", "0", b""),
        ]:
            answer = await client.ask(f"GET {path}")
            assert (answer["content-length"], answer.body) == (length, body), path
            assert answer["transfer-encoding"] == (None if length else "chunked")
            assert answer["date"]


async def test_http_1_0():
    async with wsgi(plain(b"ab", b"cd")) as address, visit(address) as client:
        answer = await client.ask("GET /", "Connection: keep-alive", version="1.0")
        # Without a length only the end of the connection ends it, whatever the client hopes.
        assert (answer["transfer-encoding"], answer["connection"]) == (None, "close")
        assert answer.body == b"abcd"
    whole = plain(b"abcd", headers=[("Content-Length", "4")])
    async with wsgi(whole) as address, visit(address) as client:
        for _ in range(2):
            answer = await client.ask("GET /", "Connection: keep-alive", version="1.0")
            assert (answer["connection"], answer.body) == ("Keep-Alive", b"abcd")
        assert (await client.ask("GET /", version="1.0")).body == b"abcd"
        assert await client.is_closed()


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("HEAD", "200 OK"),
        *[(method, code) for method in ("GET", "HEAD") for code in ("204 None", "304 Same")],
    ],
)
async def test_responses_without_a_body(status, method):
    stream = Stream(b"one", b"two", headers=[("Content-Length", "6")])

    def application(environ, start_response):
        return stream(environ, lambda _, headers: start_response(status, headers))

    async with wsgi(application) as address, visit(address) as client:
        stream.steps.release(10)
        for _ in range(2):
            answer = await client.ask(f"{method} /")
            assert answer["content-length"] == ("6" if status == "200 OK" else None)
            assert (answer.status, answer["transfer-encoding"]) == (int(status[:3]), None)
        await stream.was_closed()


async def test_headers_of_one_connection_are_not_the_applications():
    headers = [("Connection", "close"), ("Transfer-Encoding", "gzip"), ("Keep-Alive", "9")]
    async with wsgi(plain(b"one", headers=headers)) as address, visit(address) as client:
        answer = await client.ask("GET /")
        assert (answer["connection"], answer["keep-alive"]) == ("close", None)
        assert (answer["transfer-encoding"], answer.body) == ("chunked", b"one")
        assert await client.is_closed()  # that much it may ask for


async def test_start_response_late_and_again():
    def application(environ, start_response):
        if environ["PATH_INFO"] == "/write":
            write = start_response("200 OK", PLAIN)
            write(b"one ")
            yield b""
            write(b"two ")
            yield b"three"
            return
        yield b""
        start_response("200 OK", PLAIN)
        yield b""
        try:
            raise ValueError
        except ValueError as problem:
            info = type(problem), problem, problem.__traceback__
            start_response("403 Forbidden", PLAIN, info)
        yield b"late"

    async with wsgi(application) as address, visit(address) as client:
        answer = await client.ask("GET /")
        assert (answer.status, answer.reason, answer.body) == (403, "Forbidden", b"late")
        assert (await client.ask("GET /write")).body == b"one two three"


async def test_start_response_again_when_it_is_too_late(expect_log):
    expect_log("ddpcore_tornado", "The site failed at GET /")

    def application(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"one"
        try:
            raise KeyError("broken on purpose")
        except KeyError as problem:
            start_response("500 No", PLAIN, (KeyError, problem, problem.__traceback__))
        yield b"never"

    async with wsgi(application) as address, visit(address) as client:
        await client.send("GET /")
        await client.head()
        assert await client.chunk() == b"one"
        assert await client.is_closed()


def twice(environ, start_response):
    start_response("200 OK", PLAIN)
    start_response("201 OK", PLAIN)
    return [b""]


def leaves(environ, start_response):
    raise SystemExit(3)


@pytest.mark.parametrize(
    "application",
    [
        lambda environ, start_response: 1 / 0,
        lambda environ, start_response: [b"no start_response"],
        lambda environ, start_response: [],
        twice,
        leaves,
        plain("text"),
        plain(b"x", headers=[("X", "a\r\nb: c")]),
        plain(b"x", headers=[("X", "\N{SNOWMAN}")]),
        plain(b"x", headers=[("Content-Length", "-1")]),
        plain(b"x", headers=[("Content-Length", "0")]),
        plain(headers=[("Content-Length", "1")]),
        plain(b"x", status="100 Continue"),
        plain(b"x", status="Fine"),
    ],
)
async def test_applications_that_fail_before_anything_has_left(application, expect_log):
    expect_log("ddpcore_tornado", "The site failed at GET /")
    async with wsgi(application) as address, visit(address) as client:
        for _ in range(2):
            answer = await client.ask("GET /")
            assert (answer.status, answer.body) == FAILED


async def test_half_an_answer_does_not_look_whole(expect_log):
    expect_log("ddpcore_tornado", "The site failed at GET /")

    def application(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"one"
        raise RuntimeError("broken on purpose")

    async with wsgi(application) as address:
        async with visit(address) as client:
            await client.send("GET /")
            await client.head()
            assert await client.chunk() == b"one"
            assert await client.is_closed()
        async with visit(address) as client:
            with pytest.raises(ConnectionResetError):
                await client.ask("GET /", version="1.0")


@pytest.mark.parametrize(("told", "sent"), [("5", b"four"), ("3", b"1234")])
async def test_a_length_that_is_not_true(told, sent, expect_log):
    expect_log("ddpcore_tornado", "The site failed at GET /")
    body = (sent[:2], sent[2:])
    application = plain(*body, headers=[("Content-Length", told)])
    async with wsgi(application) as address, visit(address) as client:
        await client.send("GET /")
        await client.head()
        assert len(await client.reader.read()) < int(told) or told == "3"


async def test_files():
    content = b"0123456789" * 50_000
    sizes = []

    class File(io.BytesIO):
        def read(self, size=-1):
            sizes.append(size)
            return super().read(size)

    def application(environ, start_response):
        start_response("200 OK", PLAIN)
        return environ["wsgi.file_wrapper"](File(content), 4096)

    async with wsgi(application) as address, visit(address) as client:
        assert (await client.ask("GET /")).body == content
        assert min(sizes) >= 64 * 1024


# --- clients that leave, or read slowly ----------------------------------------------------------


async def test_a_client_that_hangs_up_ends_the_iterator_in_its_thread():
    stream = Stream(*[b"piece"] * 1000)
    async with wsgi(stream) as address:
        async with visit(address) as client:
            await client.send("GET /")
            stream.steps.release()
            await client.head()
        while not stream.closed.is_set():  # each piece may be the last that somebody seems to take
            stream.steps.release()
            await asyncio.sleep(0)
        assert len(stream.threads) == 2
        assert len(set(stream.threads)) == 1


async def test_a_writer_that_waits_for_a_client_that_hangs_up():
    stream = Stream(b"x" * 50_000_000)
    async with wsgi(stream) as address:
        async with visit(address) as client:
            await client.send("GET /")
            stream.steps.release()
            await client.head()
        await stream.was_closed()


async def test_a_client_that_does_not_read_costs_no_memory():
    made = 0

    def application(environ, start_response):
        nonlocal made
        start_response("200 OK", PLAIN)
        for _ in range(4000):
            made += 64 * 1024
            yield bytes(64 * 1024)

    async with wsgi(application) as address, visit(address, limit=1024) as client:
        await client.send("GET /", "Connection: close")
        await client.head()
        before = -1
        while before != made:  # until it waits
            before = made
            await asyncio.sleep(0.2)
        assert made < 20_000_000  # most of that is with the kernel
        while await client.reader.read(1_000_000):
            pass
        assert made == 4000 * 64 * 1024


async def test_a_client_that_takes_nothing_is_cut_off(monkeypatch):
    monkeypatch.setattr("ddpcore_tornado.site.response.STUCK", 0.2)
    stream = Stream(b"x" * 50_000_000)
    async with wsgi(stream) as address, visit(address, limit=1024) as client:
        await client.send("GET /")
        stream.steps.release()
        await client.head()
        await stream.was_closed()


async def test_a_client_that_sends_nothing_more_is_cut_off(monkeypatch):
    monkeypatch.setattr("ddpcore_tornado.site.exchange.SILENCE", 0.2)
    async with wsgi(plain(b"one")) as address, visit(address) as client:
        for lines in (["Content-Length: 9"], ["Transfer-Encoding: chunked"]):
            async with visit(address) as silent:
                await silent.send("POST /", *lines, body=b"3\r\n")
                assert await silent.is_closed()
        assert (await client.ask("POST /", "Content-Length: 2", body=b"ab")).body == b"one"
        assert (await client.ask("GET /")).body == b"one"


async def test_a_slow_reader_of_a_usual_page_holds_no_thread():
    page = b"x" * 900_000

    def application(environ, start_response):
        start_response("200 OK", PLAIN)
        return iter([page[:400_000], page[400_000:]])

    site = wsgi(application, threads=1)
    async with site as address, visit(address, limit=1024) as slow, visit(address) as quick:
        for _ in range(20):  # the kernel takes some
            await slow.send("GET /")
        assert (await quick.ask("GET /")).body == page


async def test_nobody_works_for_a_reader_who_has_left():
    stream = Stream(b"one")
    site = WSGISite(stream, threads=1, max_upload=LIMIT)
    async with serving(site) as address:
        async with visit(address) as first:
            await first.send("GET /")
            async with visit(address) as second:
                await second.send("GET /")
            async with visit(address) as third:
                await third.send("POST /", "Content-Length: 0")
            while sum(each.response.gone for each in site.exchanges) < 2:
                await asyncio.sleep(0)
            stream.steps.release(2)
            assert (await first.answer()).body == b"one"
            async with visit(address) as fourth:
                await fourth.send("GET /")
                stream.steps.release()
                assert (await fourth.answer()).body == b"one"
        assert len(stream.threads) == 6  # those of three requests


# --- requests ------------------------------------------------------------------------------------


def tell(environ, start_response):
    """How much has come, and of what."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", PLAIN)
    kinds = "".join(sorted({chr(byte) for byte in body}))
    return [f"{len(body)} {environ['CONTENT_LENGTH']} {kinds}".encode()]


def in_chunks(body, size):
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


async def test_bodies():
    async with wsgi(tell) as address, visit(address) as client:
        for size in (0, 1, 1_048_576, 1_048_577, LIMIT):
            body = b"x" * (size // 2) + b"y" * (size - size // 2)
            kinds = b"".join([b"x" if size > 1 else b"", b"y" if size else b""])
            expected = b"%d %d %b" % (size, size, kinds)
            answer = await client.ask("POST /", f"Content-Length: {size}", body=body)
            assert answer.body == expected
            chunks = in_chunks(body, 100_000)
            answer = await client.ask("POST /", "Transfer-Encoding: chunked", body=chunks)
            assert answer.body == expected


async def test_requests_in_one_piece():
    """What follows a body is the next request, and none of its bytes."""
    async with wsgi(tell) as address, visit(address) as client:
        request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\naaa"
        await client.push(request + request + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [(await client.answer()).body for _ in range(3)] == [b"3 3 a", b"3 3 a", b"0 0 "]


async def test_a_body_that_is_announced_too_large():
    async with wsgi(tell) as address:
        async with visit(address) as client:
            await client.send("POST /", f"Content-Length: {LIMIT + 1}")
            answer = await client.answer()  # nothing of it has been sent
            assert (answer.status, answer["connection"]) == (413, "close")
            assert str(LIMIT).encode() in answer.body
        async with visit(address) as client:
            await client.send("POST /", f"Content-Length: {LIMIT + 1}", "Expect: 100-continue")
            assert (await client.answer()).status == 413
            assert await client.is_closed()
        async with visit(address) as client:  # it sends all the same, and gets its answer
            body = b"x" * (LIMIT + 1)
            answer = await client.ask("POST /", f"Content-Length: {LIMIT + 1}", body=body)
            assert answer.status == 413
            assert await client.is_closed()


async def test_a_body_that_turns_out_too_large():
    async with wsgi(tell) as address, visit(address) as client:
        chunks = in_chunks(b"x" * (LIMIT + 1), 100_000)
        answer = await client.ask("POST /", "Transfer-Encoding: chunked", body=chunks)
        assert answer.status == 413


async def test_expect():
    async with wsgi(tell) as address, visit(address) as client:
        await client.send("POST /", "Content-Length: 3", "Expect: 100-continue")
        assert (await client.head()).status == 100
        await client.push(b"aaa")
        assert (await client.answer()).body == b"3 3 a"


@pytest.mark.parametrize("length", ["x", "-1", "1, 2", "9" * 30])
async def test_lengths_that_are_none(length):
    async with wsgi(tell) as address, visit(address) as client:
        assert (await client.ask("POST /", f"Content-Length: {length}")).status == 400


async def test_a_slow_upload_holds_no_thread():
    async with wsgi(tell, threads=1) as address:
        async with visit(address) as slow, visit(address) as quick:
            await slow.send("POST /", "Content-Length: 2000000", body=b"x" * 1_999_999)
            assert (await quick.ask("GET /")).body == b"0 0 "
            await slow.push(b"y")
            assert (await slow.answer()).body == b"2000000 2000000 xy"
        async with visit(address) as leaving:
            await leaving.send("POST /", "Content-Length: 2000000", body=b"x" * 1_999_999)


# --- environ ---------------------------------------------------------------------------------------


def show(environ, start_response):
    start_response("200 OK", PLAIN)
    names = environ.keys() - {name for name in environ if name.startswith("wsgi.")}
    return ["\n".join(f"{name}={environ[name]}" for name in names).encode("latin-1")]


async def environ_of(client, *lines, **options):
    answer = await client.ask(*lines, **options)
    return dict(line.split("=", 1) for line in answer.body.decode("latin-1").split("\n"))


async def test_environ():
    async with wsgi(show) as address, visit(address) as client:
        environ = await environ_of(
            client,
            "GET /caf%C3%A9/\xe9%2F?a=%20&b",
            "X-Forwarded-For: 10.0.0.1",
            "X-Forwarded-Proto: https",
            "X_Forwarded_User: root",
            "Content-Type: text/x",
        )
        assert environ["PATH_INFO"] == "/caf\xc3\xa9/\xe9/"
        assert environ["QUERY_STRING"] == "a=%20&b"
        assert environ["SCRIPT_NAME"] == ""
        assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("example.com", "80")
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert environ["REMOTE_PORT"] == str(client.writer.get_extra_info("sockname")[1])
        # Whom to believe is Django's to decide; here they are headers like others.
        assert environ["HTTP_X_FORWARDED_FOR"] == "10.0.0.1"
        assert environ["HTTP_X_FORWARDED_PROTO"] == "https"
        assert "HTTP_X_FORWARDED_USER" not in environ
        assert environ["CONTENT_TYPE"] == "text/x"
        environ = await environ_of(client, "GET http://example.com/here?x=http://a/b")
        assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/here", "x=http://a/b")


async def test_peers_of_other_families(tmp_path):
    try:
        for socket in bind_sockets(0, "::1"):
            socket.close()
    except OSError:
        pytest.skip("no IPv6 here")
    async with wsgi(show, host="::1") as address, visit(address) as client:
        assert (await environ_of(client, "GET /"))["REMOTE_ADDR"] == "::1"
    async with wsgi(show, path=str(tmp_path / "s")) as address, visit(address) as client:
        environ = await environ_of(client, "GET /")
        assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("", "")


# --- beside DDP, and the end -----------------------------------------------------------------------


async def test_views_that_hang_stall_nobody_but_the_site():
    stream = Stream(b"one")
    async with wsgi(stream, threads=2) as address, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(visit(address)) for _ in range(3)]
        for client in clients:
            await client.send("GET /")
        async with connected("{}:{}".format(*address)) as socket:
            assert await answers(socket)
        stream.steps.release(3)
        for client in clients:  # the third had to wait
            assert (await client.answer()).body == b"one"


async def test_the_end_waits_for_answers():
    stream = Stream(b"one")
    site = WSGISite(stream, threads=2, max_upload=LIMIT)
    async with serving(site) as address, visit(address) as client:
        await client.send("GET /")
        while not stream.threads:
            await asyncio.sleep(0)
        end = asyncio.ensure_future(site.finish(30))
        await asyncio.sleep(0)
        stream.steps.release()
        assert (await client.answer()).body == b"one"
        await end
        answer = await client.ask("GET /")
        assert (answer.status, answer["connection"]) == (503, "close")


async def test_the_end_cuts_streams(monkeypatch):
    monkeypatch.setattr("ddpcore_tornado.site.exchange.GRACE", 30.0)
    endless = Stream(*[b"x"] * 1000)
    site = WSGISite(endless, threads=2, max_upload=LIMIT)
    async with serving(site) as address, visit(address) as client:
        await client.send("GET /")
        endless.steps.release()
        await client.head()
        assert await client.chunk() == b"x"
        end = asyncio.ensure_future(site.finish(0.1))
        assert await client.is_closed()
        endless.steps.release(1000)
        await end
        await endless.was_closed()
        assert len(endless.threads) == 2


async def test_views_that_hang_do_not_hold_the_end_up(expect_log):
    expect_log("ddpcore_tornado", "1 requests to the site do not end")
    hanging = Stream(b"one")
    async with wsgi(hanging, patience=0.1) as address, visit(address) as client:
        await client.send("GET /")
        while not hanging.threads:
            await asyncio.sleep(0)
    hanging.steps.release()
    await hanging.was_closed()
