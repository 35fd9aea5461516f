"""`ddpcore serve`, `ddpcore demo` and `manage.py ddp` at work, and how they end."""

from __future__ import annotations

import asyncio
import http.client
import http.cookiejar
import json
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import websockets
from ddp_client import PATIENCE, connect

ROOT = Path(__file__).parent.parent.parent
BOOKSTORE = ROOT / "examples" / "bookstore"
BOTH = pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
STOPPED = (0, "Stopping.\n", "")


async def ended(process, how=None):
    return await asyncio.to_thread(process.end, how)


# --- a server ----------------------------------------------------------------------------------


def test_it_says_where_and_with_what(shell):
    process = shell.serve("shop.server:server")
    assert process.line().startswith("Serving shop.server:server on http://127.0.0.1:")
    assert process.line() == "ddpcore 0.1.0, bus memory:. Ctrl-C stops.\n"
    assert process.end(signal.SIGTERM) == STOPPED


async def test_several_addresses(shell):
    process = shell.serve("shop.server:server", "--bind", "[::1]:0", "--bind", "localhost:0")
    addresses = {process.address() for _ in range(3)}
    assert len(addresses) == 3
    assert not any(address.endswith(":0") for address in addresses)
    for address in addresses:
        async with connect(address) as client:
            assert await client.call("echo", 1) == [1]
    assert (await ended(process, signal.SIGTERM))[::2] == (0, "")


def test_other_paths_are_explained(shell):
    process = shell.serve("shop.server:server")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://{process.address()}/")
    with caught.value as response:
        assert (response.code, b"/websocket" in response.read()) == (404, True)
    assert process.end(signal.SIGTERM)[::2] == (0, "")


@BOTH
async def test_stop_while_a_client_is_connected(shell, how):
    process = shell.serve("shop.server:server")
    async with connect(process.address()) as client:
        assert await client.call("echo", 1) == [1]
        process.signal(how)
        await client.until(lambda: client.closed)
        assert client.socket.close_code == 1001
    assert (await ended(process))[::2] == (0, "")


@BOTH
async def test_stop_lets_a_method_finish(shell, how):
    process = shell.serve("shop.server:server")
    async with connect(process.address()) as client:
        process.line()
        call = asyncio.ensure_future(client.call("slow"))
        assert await asyncio.to_thread(process.line) == "working\n"
        process.signal(how)
        assert await call == "done"
    assert (await ended(process))[::2] == (0, "")


async def test_a_second_interrupt_waits_for_nothing(shell):
    process = shell.serve("shop.server:server")
    async with connect(process.address()) as client:
        process.line()
        await client.send(msg="method", id="1", method="stuck")
        assert await asyncio.to_thread(process.line) == "stuck\n"
        process.signal(signal.SIGINT)
        assert await asyncio.to_thread(process.line) == "Stopping.\n"
        assert await ended(process, signal.SIGINT) == (-signal.SIGINT, "", "")


def test_interrupted_before_it_serves(shell):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a database that never answers
        url = "postgres://nobody@{}:{}/none?sslmode=disable".format(*silent.getsockname())
        process = shell.serve("shop.server:server", "--bus", url)
        connection, _ = silent.accept()
        with connection:
            assert process.end(signal.SIGINT) == (130, "", "")


def test_passwords_are_notshown_url():
    from ddpcore.plugins import shown_url

    assert shown_url("memory:") == "memory:"
    assert shown_url("postgres://me@host/base") == "postgres://me@host/base"
    assert shown_url("postgres://me:se%3Acret@host:5432/base") == "postgres://me:***@host:5432/base"
    assert shown_url("postgres://me:a@b:c@host/base") == "postgres://me:***@host/base"
    assert (
        shown_url("postgres:///base?password=secret&host=h")
        == "postgres:///base?password=***&host=h"
    )
    assert shown_url("user=me password=secret dbname=base") == "user=me password=*** dbname=base"
    assert shown_url(r"password='s\' cret' dbname=base") == "password=*** dbname=base"


async def test_origins_that_are_named(shell):
    process = shell.serve("shop.server:server", "--origin", "https://app.example.com")
    url = f"ws://{process.address()}/websocket"
    async with websockets.connect(url, origin="https://app.example.com", open_timeout=PATIENCE):
        pass
    with pytest.raises(websockets.InvalidStatus, match="403"):
        async with websockets.connect(url, origin="https://evil.example", open_timeout=PATIENCE):
            pass
    assert (await ended(process, signal.SIGTERM))[::2] == (0, "")


async def test_tls(shell):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    cert, key = shell.directory / "cert.pem", shell.directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    process = shell.serve("shop.server:server", "--certfile", str(cert), "--keyfile", str(key))
    line = process.line()
    assert "on https://" in line
    address = line.split("//")[1].rstrip("/\n")
    trust = ssl.create_default_context(cafile=cert)
    async with websockets.connect(
        f"wss://{address}/websocket", ssl=trust, open_timeout=PATIENCE
    ) as client:
        await client.send('{"msg":"connect","version":"1","support":["1"]}')
        assert json.loads(await client.recv())["msg"] == "connected"
        text = "x" * 100_000
        call = {"msg": "method", "id": "1", "method": "echo", "params": [text]}
        await client.send(json.dumps(call))
        while (heard := json.loads(await client.recv()))["msg"] != "result":
            pass
        assert heard["result"] == [text]
    assert (await ended(process, signal.SIGTERM))[::2] == (0, "")


# --- the demo ----------------------------------------------------------------------------------


def get(address, path="/", **headers):
    request = urllib.request.Request(f"http://{address}{path}", headers=headers)
    with urllib.request.urlopen(request) as response:
        return response.read().decode()


async def test_demo(shell):
    demos = [
        # What somebody set up for a bookstore of their own does not matter.
        shell.start(
            "demo", "--bind", "127.0.0.1:0", BOOKSTORE_DATABASE="postgres://x@127.0.0.1:1/x"
        )
        for _ in range(2)
    ]
    first, second = demos
    assert first.line() == "The live bookstore: open the address below in a browser.\n"
    addresses = [demo.address() for demo in demos]
    for address in addresses:
        assert "<html" in get(address)
        assert "class" in get(address, "/static/bookstore/ddp.js")
        async with connect(address) as client:
            await client.sub("AllBooks")
            assert len(client.docs("bookstore.author")) == 4
            assert len(client.docs("bookstore.book")) == 8
            author = next(iter(client.docs("bookstore.author")))
            await client.call("bookstore.addBook", f"Printed at {address}", author)
            titles = [book["title"] for book in client.docs("bookstore.book").values()]
            assert f"Printed at {address}" in titles
            assert len(titles) == 9
    assert len(list(shell.temporary.iterdir())) == 2
    assert (await ended(first, signal.SIGINT))[::2] == (0, "")
    assert len(list(shell.temporary.iterdir())) == 1
    assert (await ended(second, signal.SIGTERM))[::2] == (0, "")
    assert not list(shell.temporary.iterdir())


# With tables and no books yet, it waits.
HELD = """
import sys, time

def hold(event, arguments):
    if event == "exec" and arguments[0].co_filename.endswith("seed_bookstore.py"):
        print("held", flush=True)
        time.sleep(600)

sys.addaudithook(hold)
"""


@BOTH
def test_demo_interrupted_while_it_is_set_up(shell, how):
    shell.write("sitecustomize.py", HELD)
    process = shell.start("demo", "--bind", "127.0.0.1:0", PYTHONPATH=f"{shell.directory}:{ROOT}")
    assert process.line() == "held\n"
    assert list(shell.temporary.glob("*/bookstore.sqlite3"))
    assert process.end(how) == (130, "", "")
    assert not list(shell.temporary.iterdir())


# --- a Django project --------------------------------------------------------------------------


async def test_manage_py(bookstore):
    shutil.copy(BOOKSTORE / "manage.py", bookstore.directory)
    assert bookstore.run("manage.py", "migrate", "--verbosity=0") == (0, "", "")
    process = bookstore.start("manage.py", "ddp", "--bind", "127.0.0.1:0")
    assert "mysite.settings" in process.line()
    process.line()
    assert await ended(process, signal.SIGINT) == STOPPED

    code, _, err = bookstore.run("manage.py", "ddp", "--bind", "nowhere")
    assert code == 1
    assert err.startswith("CommandError: --bind takes HOST:PORT")
    assert "Traceback" not in err


URLS = """
import sys, time
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

def headers(request):
    found = {name: text for name, text in request.META.items() if name.startswith("HTTP_X_")}
    return HttpResponse(repr(sorted(found.items())), content_type="text/plain")

@csrf_exempt
def size(request):
    response = HttpResponse(f"{len(request.body)} {request.headers.get('Content-Length')}")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2", httponly=True)
    return response

@csrf_exempt
def fields(request):
    return HttpResponse(f"{len(request.POST)} {len(request.FILES)}")

def fail(request):
    raise RuntimeError("broken on purpose")

def leave(request):
    sys.exit("no")

def stream(request):
    return StreamingHttpResponse((f"{number}\\n" for number in range(1000)))

def broken_stream(request):
    def parts():
        yield "one"
        raise RuntimeError("broken on purpose")
    return StreamingHttpResponse(parts())

def slow(request):
    print("in the view", flush=True)
    time.sleep(0.3)
    return HttpResponse("done")

def none(request):
    return HttpResponse("no content has no content", status=204)

urlpatterns = [path(view.__name__, view) for view in
               (headers, size, fields, fail, leave, stream, broken_stream, slow, none)]
urlpatterns.append(path("", include("mysite.urls")))
"""

SETTINGS = """
from mysite.settings import *
ROOT_URLCONF = "site_urls"
ALLOWED_HOSTS = ["127.0.0.1"]
LOGGING = {"version": 1}  # silences all loggers there are
"""


@pytest.fixture
def site(bookstore):
    bookstore.write("site_urls.py", URLS)
    bookstore.write("site_settings.py", SETTINGS)
    path = f"{BOOKSTORE}:{bookstore.directory}:{ROOT}"

    def start(*arguments, **env):
        return bookstore.serve("--settings", "site_settings", *arguments, PYTHONPATH=path, **env)

    return start


class Visitor:
    """Keeps cookies, and makes no exception of errors."""

    def __init__(self, address):
        self.address = address
        self.connection = http.client.HTTPConnection(address, timeout=30)

    def __call__(self, method, path, body=None, **headers):
        headers = {name.replace("__", "-"): text for name, text in headers.items()}
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        return response, response.read()


async def test_the_site_beside_ddp(site):
    process = site()
    visit = Visitor(process.address())

    # HEAD has the headers of GET, and no body; the connection goes on.
    response, body = visit("HEAD", "/fields")
    assert (response.status, body) == (200, b"")
    assert response.headers["Content-Length"] == "3"
    assert visit("GET", "/fields")[1] == b"0 0"
    response, body = visit("HEAD", "/stream")
    assert (response.status, body, response.headers["Content-Length"]) == (200, b"", None)
    response, body = visit("GET", "/none")
    assert (response.status, body) == (204, b"")

    # Bodies and cookies.
    big = b"x" * 2_000_000
    response, body = visit("POST", "/size", big)
    assert body == b"2000000 2000000"
    assert [text.split(";")[0] for text in response.headers.get_all("Set-Cookie")] == ["a=1", "b=2"]
    assert visit("POST", "/size", iter([b"abc", b"def"]))[1] == b"6 6"  # in chunks
    parts = "".join(
        f'--X\r\nContent-Disposition: form-data; name="f{number}"\r\n\r\n{number}\r\n'
        for number in range(500)
    )
    upload = '--X\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    form = f"{parts}{upload}{'y' * 5_000_000}\r\n--X--\r\n"
    kind = "multipart/form-data; boundary=X"
    assert visit("POST", "/fields", form, Content__Type=kind)[1] == b"500 1"

    # A form needs its token.
    response, _ = visit("GET", "/")
    cookie = response.headers["Set-Cookie"].split(";")[0]
    token = {"csrfmiddlewaretoken": cookie.partition("=")[2]}
    kind = "application/x-www-form-urlencoded"
    assert visit("POST", "/reprint", "", Content__Type=kind, Cookie=cookie)[0].status == 403
    form = urllib.parse.urlencode(token)
    response, body = visit("POST", "/reprint", form, Content__Type=kind, Cookie=cookie)
    # The database is empty, but the view was reached.
    assert response.status in (204, 500)

    # Errors.
    assert visit("GET", "/nothing")[0].status == 404
    response, body = visit("GET", "/fail")
    assert response.status == 500
    assert b"broken on purpose" in body  # DEBUG
    assert visit("GET", "/stream")[1].count(b"\n") == 1000
    response, body = visit("GET", "/leave")
    assert (response.status, body) == (500, b"Internal Server Error\n")
    with pytest.raises(http.client.IncompleteRead) as caught:  # not a whole answer
        visit("GET", "/broken_stream")
    assert caught.value.partial == b"one"
    visit.connection.close()
    for host in ("127.0.0.1:port", "evil.example", "["):
        assert visit("GET", "/stream", Host=host)[0].status == 400

    # A header with an underscore could pose as another.
    response, body = visit("GET", "/headers", X__Ok="1", X_Bad="2")
    assert body == b"[('HTTP_X_OK', '1')]"

    # It has served all that, and serves DDP as well.
    assert visit("GET", "/static/bookstore/ddp.js")[0].status == 200
    async with connect(visit.address) as client:
        await client.send(msg="sub", id="1", name="nonsense")
        assert (await client.message(msg="nosub"))["error"]["error"] == 404
    visit.connection.close()
    code, _, err = await ended(process, signal.SIGTERM)
    assert code == 0
    assert "The site failed at GET /broken_stream" in err
    assert "The site failed at GET /leave" in err
    assert "Task exception" not in err


async def test_a_request_that_runs_is_answered_before_the_end(site):
    process = site()
    visit = Visitor(process.address())
    process.line()
    answer = asyncio.ensure_future(asyncio.to_thread(visit, "GET", "/slow"))
    assert await asyncio.to_thread(process.line) == "in the view\n"
    process.signal(signal.SIGTERM)
    response, body = await answer
    assert (response.status, body) == (200, b"done")
    visit.connection.close()
    assert await ended(process) == STOPPED


async def test_a_visitor_who_leaves_before_the_answer(site):
    process = site()
    visit = Visitor(process.address())
    process.line()
    visit.connection.request("GET", "/slow")
    assert await asyncio.to_thread(process.line) == "in the view\n"
    visit.connection.close()
    assert await ended(process, signal.SIGTERM) == STOPPED


def test_a_record_is_written_once(bookstore):
    """Django's own handler writes to standard error while DEBUG is on; ours while it is not."""
    for debug in ("0", "1"):
        process = bookstore.serve("--settings", "mysite.settings", BOOKSTORE_DEBUG=debug)
        visit = Visitor(process.address())
        assert visit("GET", "/nothing")[0].status == 404
        visit.connection.close()
        code, _, err = process.end(signal.SIGTERM)
        assert (code, err.count("Not Found: /nothing"), err.count("\n")) == (0, 1, 1)


# --- SockJS, and routes of plugins -------------------------------------------------------------


def sockjs_info(address):
    with urllib.request.urlopen(f"http://{address}/sockjs/info") as response:
        return json.load(response)


def test_settings_of_sockjs(shell):
    process = shell.serve(
        "shop.server:server", "--sockjs", "websocket=no", "--sockjs", "jsessionid=yes"
    )
    address = process.address()
    info = sockjs_info(address)
    assert (info["websocket"], info["cookie_needed"]) == (False, True)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://{address}/websocket")
    with caught.value as response:
        assert response.code == 404
    assert process.end(signal.SIGTERM)[::2] == (0, "")


def test_a_setting_of_sockjs_that_does_not_exist(shell):
    code, _, errors = shell.run("serve", "shop.server:server", "--sockjs", "heartbeat=5")
    assert code == 2
    assert "heartbeat_delay=45" in errors
    assert "Traceback" not in errors


ROUTES = """
import tornado.web
from ddpcore import Server, hookimpl

class Say(tornado.web.RequestHandler):
    def initialize(self, text):
        self.text = text

    def get(self):
        self.finish(self.text)

class Plugin:
    @hookimpl
    def ddpcore_routes(self, server, options):
        said = f"{len(server.methods)} methods, drain {options.drain:g}, app {options.given.app}"
        return [(r"/about", Say, {"text": said}), (r"/websocket", Say, {"text": "shadowed"})]

class Silent:
    @hookimpl
    def ddpcore_routes(self):
        return None

server = Server(plugins=[Plugin(), Silent()])

@server.method
async def echo(ctx, *params):
    return list(params)
"""


async def test_plugins_add_routes_behind_those_of_ddp(shell):
    shell.write("shop/routes.py", ROUTES)
    process = shell.serve("shop.routes:server", "--drain", "1")
    address = process.address()
    about = await asyncio.to_thread(urllib.request.urlopen, f"http://{address}/about")
    with about as response:
        assert response.read() == b"1 methods, drain 1, app shop.routes:server"
    async with connect(address) as client:
        assert await client.call("echo", 1) == [1]
    assert (await ended(process, signal.SIGTERM))[::2] == (0, "")


PLUGIN = """
from ddpcore import Server, hookimpl

class Plugin:
    @hookimpl
    async def ddpcore_server_started(self):
        print("started", flush=True)
        {failure}

    @hookimpl
    async def ddpcore_server_stopping(self):
        print("stopping", flush=True)

server = Server(plugins=[Plugin()])
"""


def test_plugins_start_and_stop_with_the_command(shell):
    shell.write("shop/companion.py", PLUGIN.format(failure=""))
    process = shell.serve("shop.companion:server")
    assert process.line() == "started\n"
    process.address()
    assert process.line().startswith("ddpcore ")
    assert process.end(signal.SIGTERM) == (0, "Stopping.\nstopping\n", "")


def test_a_plugin_that_cannot_start_ends_the_command(shell):
    shell.write("shop/companion.py", PLUGIN.format(failure='raise OSError("no such printer")'))
    code, _, errors = shell.serve("shop.companion:server").end()
    assert code == 2
    assert "The plugin 'Plugin' cannot start" in errors
    assert "no such printer" in errors
    assert "Traceback" not in errors
