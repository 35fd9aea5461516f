"""The same app through Tornado, through Django, and by the command line: real sockets."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from ddp_client import connect
from meteor_bundle import BOTH, CHROME, MODERN, OLD, SECRET, Made, item, release, script
from project import Project
from served import fetch, listening
from tornado.web import Application

from ddpcore import DDPError, Server
from ddpcore.meteor import BundleError, MeteorApp, Options
from ddpcore.meteor.autoupdate import NAME
from ddpcore.meteor.bundle import path_of
from ddpcore.meteor.dynamic import PATH
from ddpcore_tornado import Limits, handlers, meteor_handlers

SITE = Path(__file__).parent / "site"
ROOT = SITE.parents[2]
STYLE, PACKAGES, APP = MODERN[2:5]
LARGE = Made("asset", os.urandom(3_000_000), "app/film.mp4", "/film.mp4", cacheable=False)
PROGRAMS = BOTH | {"web.browser": [*MODERN, LARGE]}


@pytest.fixture
def star(tmp_path):
    return release(tmp_path / "bundle", PROGRAMS)


class Tornado:
    """The twin, in this process."""

    def __init__(self, star):
        self._star = star

    async def __aenter__(self):
        server = Server()
        rules = handlers(server) + meteor_handlers(self._star, server)
        self._listening = listening(Application(rules, log_function=lambda _: None), server)
        return await self._listening.__aenter__()

    async def __aexit__(self, *how):
        await self._listening.__aexit__(*how)


class Django:
    """`ddpcore serve --settings`, in a process of its own."""

    site = "wsgi"

    def __init__(self, star):
        self._project = Project(
            SITE, "meteorsite.settings", str(star.parents[1] / "db.sqlite3"),
            TEST_BUNDLE=str(star), TEST_PUBLIC="by name", METEOR_SETTINGS='{"public":{"env":1}}',
            TEST_SITE=self.site,
        )  # fmt: skip

    async def __aenter__(self):
        self.server = await asyncio.to_thread(self._project.serve, "--log-level", "WARNING")
        return self.server.address

    async def __aexit__(self, *_how):
        code = await asyncio.to_thread(self.server.end)
        errors = [line for line in self.server.errors if "WARNING django.request" not in line]
        assert (code, errors) == (0, [])


class DjangoASGI(Django):
    """The same by ASGI."""

    site = "asgi"


class Command:
    """`ddpcore serve module:server --meteor`, in a process of its own."""

    def __init__(self, star, *arguments, **environ):
        (star.parents[1] / "shop.py").write_text(
            "import ddpcore\nserver = ddpcore.Server()\n"
            "@server.method\ndef echo(ctx, it):\n    return it\n"
        )
        self._directory = star.parents[1]
        self._command = [
            sys.executable, "-m", "ddpcore", "serve", "shop:server",
            "--bind", "127.0.0.1:0", "--log-level", "WARNING", "--meteor", str(star), *arguments,
        ]  # fmt: skip
        self._environ = os.environ | {"PYTHONPATH": str(ROOT), **environ}

    async def __aenter__(self):
        self.process = subprocess.Popen(
            self._command, cwd=self._directory, env=self._environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        line = await asyncio.to_thread(self.process.stdout.readline)
        return re.search(r"http://([^/]+)/", line)[1]

    async def __aexit__(self, *_how):
        self.process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.to_thread(self.process.communicate, timeout=30)
        assert (self.process.returncode, errors) == (0, "")


FACES = [Tornado, Django, DjangoASGI, Command]


@pytest.fixture(params=FACES, ids=lambda face: face.__name__.lower())
def face(request, star):
    return request.param(star)


async def ask(address, path, method="GET", body=None, **headers):
    """A request whose answer is taken as it is."""

    def talk():
        connection = http.client.HTTPConnection(address, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"User-Agent": CHROME} | named)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response, content

    return await asyncio.to_thread(talk)


def config_of(page):
    (text,) = re.findall(r'decodeURIComponent\("([^"]*)"\)', page.decode())
    return json.loads(unquote(text))


async def test_all_that_can_be_asked(face, star):
    async with face as address:
        for made in PROGRAMS["web.browser"]:
            if made.where != "client":
                continue
            path = quote(path_of(made.url))
            response, content = await ask(address, path)
            assert (response.status, content) == (200, made.content)
            assert response.headers["ETag"] == f'"{item(made)["hash"]}"'
            assert int(response.headers["Content-Length"]) == len(made.content)
            assert response.headers.get_all("Content-Type") == [response.headers["Content-Type"]]
            assert "Set-Cookie" not in response.headers
            head, nothing = await ask(address, path, "HEAD")
            assert (head.status, nothing) == (200, b"")
            for name in ("ETag", "Content-Length", "Content-Type", "Cache-Control", "Vary"):
                assert head.headers[name] == response.headers[name]
            again, nothing = await ask(address, path, If_None_Match=response.headers["ETag"])
            assert (again.status, nothing) == (304, b"")
            assert again.headers["ETag"] == response.headers["ETag"]

        response, content = await ask(address, path_of(APP.url), Accept_Encoding="gzip")
        assert response.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(content) == APP.content
        assert response.headers["Vary"] == "User-Agent, Accept-Encoding"
        again, _ = await ask(
            address,
            path_of(APP.url),
            Accept_Encoding="gzip",
            If_None_Match=response.headers["ETag"],
        )
        assert again.status == 304

        response, page = await ask(address, "/books/7?x=1")
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert config_of(page)["ROOT_URL"] == f"http://{address}/"
        assert config_of((await ask(address, "/", User_Agent=OLD))[1])["isModern"] is False
        response, _ = await ask(address, "/", If_None_Match="W/" + response.headers["ETag"])

        for method, code in (("POST", 405), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 200)):
            response, content = await ask(address, "/", method)
            assert (response.status, content) == (code, b"")
            assert response.headers["Allow"] == "OPTIONS, GET, HEAD"
        response, content = await ask(address, "/x.js?meteor_js_resource=true")
        assert (response.status, content) == (404, b"404 Not Found")

        tree = {"imports": {"page.js": 1}}
        response, content = await ask(address, PATH, "POST", json.dumps(tree), Origin="http://a")
        assert json.loads(content) == {"imports": {"page.js": "module.exports = 'page';"}}
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert (await ask(address, PATH, "POST", "{"))[0].status == 400
        assert (await ask(address, PATH, "OPTIONS"))[0].status == 200
        response, _ = await ask(address, PATH, "POST", b"{}", Content_Type="multipart/form-data")
        assert response.status == 200

        for path in (
            "/../server/app/app.js", "/%2e%2e/%2e%2e/main.js", "/..%2fserver%2fapp%2fapp.js",
            "/programs/server/boot.js", "/star.json", "/%00", "/..%5cserver", "//etc/passwd",
            "/__browser/../server/boot.js", "/hidden.txt", "/program.json", "/%ff%fe",
        ):  # fmt: skip
            response, content = await ask(address, path)
            assert SECRET not in content
            assert content.startswith(b"<!DOCTYPE html>") or response.status in (400, 404)


async def test_a_body_that_is_too_large(face):
    async with face as address:
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(
            f"POST {PATH} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 1100000\r\n\r\n".encode()
        )
        writer.write(bytes(1_100_000))
        try:
            first = await reader.readline()
        except ConnectionResetError:  # it is closed with what it has not read
            first = b""
        writer.close()
        assert not first or re.match(rb"HTTP/1.1 4(00|13) ", first)
        assert (await ask(address, "/"))[0].status == 200


async def test_versions_are_told_and_changes_of_them(face, star):
    async with face as address:
        _, page = await ask(address, "/")
        versions = config_of(page)["autoupdate"]["versions"]
        async with connect(address) as client:
            await client.sub(NAME, "testapp.id")
            for arch, expected in versions.items():
                told = dict(client.docs(NAME)[arch])
                assert told.pop("assets")
                assert told == expected
            release(star.parent, PROGRAMS | {"web.browser": [*MODERN, script("new", "new")]})
            before = versions["web.browser"]["version"]
            await client.until(lambda: client.docs(NAME)["web.browser"]["version"] != before)
            _, page = await ask(address, "/")
            now = config_of(page)["autoupdate"]["versions"]["web.browser"]
            assert now.items() <= client.docs(NAME)["web.browser"].items()


# --- Tornado ----------------------------------------------------------------------------------


async def test_below_a_prefix_among_other_handlers(star):
    server = Server()
    rules = [
        *handlers(server, prefix="/shop"),
        *meteor_handlers(star, server, prefix="/shop/"),
        *meteor_handlers(star, server, options=Options(root_url="https://example.com/other")),
    ]
    application = Application(rules, log_function=lambda _: None)
    async with listening(application, server) as address:
        for path in ("/shop", "/shop/", "/shop/a/b"):
            page = (await fetch(address, path)).body.decode()
            assert config_of(page.encode())["ROOT_URL_PATH_PREFIX"] == "/shop"
        other = config_of((await fetch(address, "/other")).body)
        assert other["ROOT_URL"] == "https://example.com/other"
        for path in ("/", "/shopping", "/favicon.ico"):
            assert (await fetch(address, path)).code == 404
        assert (await fetch(address, "/shop/sockjs/info")).code == 200


def test_what_cannot_be_served_is_told_at_once(tmp_path):
    with pytest.raises(BundleError, match="Cannot read"):
        meteor_handlers(tmp_path / "star.json", Server())
    with pytest.raises(TypeError, match="own options"):
        meteor_handlers(MeteorApp(tmp_path), Server(), options=Options())
    for wrong in ("example.com", "ftp://x", "http://", "http://x/?a", "http://[x", "//x"):
        with pytest.raises(DDPError, match="A root URL is such as"):
            _ = Options(root_url=wrong).path


# --- the command line -------------------------------------------------------------------------


async def test_root_url_and_settings_of_the_environment(star):
    settings = json.dumps({"public": {"a": 1}, "secret": "S"})
    command = Command(
        star, "--root-url", "https://example.com/shop", "--workers", "1", METEOR_SETTINGS=settings
    )
    async with command as address:
        _, page = await ask(address, "/shop")
        config = config_of(page)
        assert config["PUBLIC_SETTINGS"] == {"a": 1}
        assert config["ROOT_URL"] == "https://example.com/shop"
        assert (await ask(address, "/shop/sockjs/info"))[0].status == 200
        response, content = await ask(address, "/elsewhere")
        assert (response.status, content) == (404, b"Unknown path")
        assert (await ask(address, "/favicon.ico"))[1] == b"404 Not Found"


@pytest.mark.parametrize(
    ("arguments", "said", "url"),
    [
        ([], "https", "http"),
        (["--forwarded-count", "1"], "https", "https"),
        (["--forwarded-count", "1"], "http", "http"),
    ],
)
async def test_behind_a_proxy_that_speaks_tls(star, arguments, said, url):
    async with Command(star, *arguments) as address:
        _, page = await ask(address, "/", Host="shop.example", X_Forwarded_Proto=said)
        assert config_of(page)["ROOT_URL"] == f"{url}://shop.example/"


async def test_a_prefix_may_have_any_letters(star):
    async with Command(star, "--root-url", "https://example.com/caf%C3%A9") as address:
        response, page = await ask(address, "/caf%C3%A9/")
        assert response.status == 200
        assert f'src="/caf%C3%A9{APP.url}"'.encode() in page
        assert (await ask(address, f"/caf%C3%A9{APP.url}"))[0].status == 200
        response, _ = await ask(address, "/caf%C3%A9/sockjs/info")
        assert response.status == 200


async def test_a_body_that_never_comes(star):
    server = Server()
    rules = meteor_handlers(star, server, limits=Limits(body_timeout=0.2))
    async with listening(Application(rules, log_function=lambda _: None), server) as address:
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{{".encode())
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    ("arguments", "environ", "what"),
    [
        (["--root-url", "example.com"], {}, "A root URL is such as"),
        ([], {"METEOR_SETTINGS": "{"}, "METEOR_SETTINGS in the environment is no JSON"),
        ([], {"METEOR_SETTINGS": '{"public": 1}'}, "METEOR_SETTINGS is a JSON object"),
        (["--meteor", "nowhere/star.json"], {}, "Cannot read nowhere/star.json"),
        (["--wsgi", "shop:echo"], {}, "Serve them by two commands"),
    ],
)
def test_what_is_wrong_is_told_at_the_start(star, arguments, environ, what):
    command = Command(star, *arguments, **environ)
    done = subprocess.run(
        command._command, cwd=command._directory, env=command._environ, capture_output=True,
        text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert what in done.stderr


# --- Django -----------------------------------------------------------------------------------


async def test_a_site_with_its_own_pages_and_settings(star):
    async with Django(star) as address:
        assert (await ask(address, "/hello"))[1] == b"the site"
        _, page = await ask(address, "/anything")
        assert config_of(page)["PUBLIC_SETTINGS"] == {
            "where": "settings", "deep": {"a": 1, "b": 2}, "env": 1, "TEST_PUBLIC": "by name"
        }  # fmt: skip
        assert b"secret" not in page
        _, page = await ask(address, "/bare/x")
        assert b"JSON.parse" not in page
        (source,) = re.findall(rb'src="(/bare/meteor_runtime_config.js[^"]*)"', page)
        _, config = await ask(address, source.decode())
        assert json.loads(config.partition(b" = ")[2][:-1])["agent"] == CHROME


def django(star, *command, **environ):
    project = Project(
        SITE, "meteorsite.settings", str(star.parents[1] / "x.sqlite3"), TEST_BUNDLE=str(star), **environ
    )  # fmt: skip
    return subprocess.run(
        [sys.executable, *command], cwd=SITE, env=project.env, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_a_damaged_bundle_is_told_when_serving_begins_and_not_before(star):
    (star.parent / "programs" / "web.browser" / "program.json").write_text("{")
    done = django(star, "-m", "django", "check")
    assert done.returncode == 0, done.stderr
    done = django(star, "-m", "ddpcore", "serve", "--settings", "meteorsite.settings")
    assert (done.returncode, done.stdout) == (2, "")
    assert "web.browser/program.json is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_django_site_serves_its_own(star):
    done = django(
        star, "-m", "ddpcore", "serve", "--settings", "meteorsite.settings", "--meteor", str(star)
    )
    assert done.returncode == 2
    assert "ddpcore_django.MeteorView in urls.py" in done.stderr


def test_every_option_of_the_view_is_documented_with_its_default(star):
    page = (ROOT / "docs" / "how-to" / "meteor-app.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? *\|", page, re.MULTILINE)
    code = (
        "import django; django.setup(); from ddpcore_django import MeteorView\n"
        "for name in MeteorView.__annotations__: print(name, repr(getattr(MeteorView, name)))"
    )
    done = django(star, "-c", code)
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    found.pop("app")
    assert dict(rows) | {"json_path": "None"} == found


@pytest.mark.parametrize("wrong", ["MeteorView.as_view()", 'MeteorView.as_view(json_path="x", root_url="y")'])  # fmt: skip
def test_views_that_cannot_be(star, wrong):
    code = f"import django; django.setup(); from ddpcore_django import MeteorView; {wrong}"
    done = django(star, "-c", code)
    assert "ImproperlyConfigured: " in done.stderr
