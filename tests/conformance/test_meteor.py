"""153-155: the page of a Meteor app, its versions, its files. See docs/reference/conformance.md."""

from __future__ import annotations

import asyncio
import json
import re
from urllib.parse import quote, unquote

import pytest
from meteor_bundle import BOTH, CHROME, MODERN, OLD, build, item, release, script
from served import fetch, listening
from tornado.web import Application

from ddpcore import Server
from ddpcore.meteor import MeteorApp
from ddpcore.meteor.autoupdate import NAME, autoupdate
from ddpcore.meteor.bundle import path_of
from ddpcore_tornado import handlers, meteor_handlers

STYLE, PACKAGES, APP = MODERN[2:5]
ARCHS = {"web.browser", "web.browser.legacy"}
PLAIN = {"x_no_compression": "1", "user_agent": CHROME}
OUTDATED = {"version", "version-refreshable", "version-cordova"}


@pytest.fixture
def star(tmp_path):
    return release(tmp_path / "bundle", BOTH)


def serving(star, server=None):
    server = server or Server()
    rules = handlers(server) + meteor_handlers(star, server)
    return listening(Application(rules, log_function=lambda _: None), server)


def documents(messages):
    assert {each["collection"] for each in messages} <= {NAME}
    return {each["id"]: each["fields"] for each in messages if each["msg"] == "added"}


async def versions(client, *params):
    """Subscribe; the documents that come before `ready`."""
    await client.sub("v", NAME, *params)
    *messages, ready = await client.until(msg="ready")
    assert ready["subs"] == ["v"]
    return documents(messages)


@pytest.mark.parametrize(("agent", "arch"), [(CHROME, "web.browser"), (OLD, "web.browser.legacy")])
async def test_153_the_page_holds_the_versions_that_are_published(ddp, star, agent, arch):
    async with serving(star) as address:
        page = (await fetch(address, "/some/where", user_agent=agent)).body.decode()
    (text,) = re.findall(r'decodeURIComponent\("([^"]*)"\)', page)
    config = json.loads(unquote(text))
    assert config["meteorEnv"] == {"NODE_ENV": "production", "TEST_METADATA": "{}"}
    assert config["isModern"] is (arch == "web.browser")

    server = Server()
    autoupdate(server).add(MeteorApp(star))
    async with ddp.client(server) as client:
        published = await versions(client, config["autoupdate"]["appId"])
    for each in ARCHS:
        published[each].pop("assets")
        assert config["autoupdate"]["versions"][each] == published[each]
        assert all(re.fullmatch("[0-9a-f]{40}", value) for value in published[each].values())


async def test_154_a_document_for_each_architecture_and_three_for_clients_of_old(ddp, star):
    server = Server()
    autoupdate(server).add(MeteorApp(star))
    async with ddp.client(server) as client:
        published = await versions(client)
        assert published.keys() == ARCHS | OUTDATED
        assert all(published[name] == {"version": "outdated"} for name in OUTDATED)
        assert published["web.browser"].keys() == {
            "version", "versionRefreshable", "versionNonRefreshable", "versionReplaceable", "assets"
        }  # fmt: skip
        assert published["web.browser"]["assets"] == [{"url": STYLE.url}]


@pytest.mark.parametrize(
    ("own", "told", "published"),
    [
        ("a", "a", True),
        ("a", None, True),
        (None, "a", True),
        (None, None, True),
        ("a", "", True),
        ("a", "b", False),
    ],
)
async def test_154_pages_of_other_apps_are_told_nothing(ddp, tmp_path, own, told, published):
    server = Server()
    autoupdate(server).add(MeteorApp(build(tmp_path, BOTH, app_id=own)))
    async with ddp.client(server) as client:
        assert bool(await versions(client, told)) is published


@pytest.mark.parametrize("app_id", [1, [], {}, True])
async def test_154_an_app_id_is_a_text(ddp, star, app_id):
    server = Server()
    autoupdate(server).add(MeteorApp(star))
    async with ddp.client(server) as client:
        error = await client.refused("v", NAME, app_id)
        assert (error["error"], error["reason"]) == (400, "Match failed")


async def test_154_without_an_app_it_is_empty_and_ready(ddp):
    async with ddp.client(Server()) as client:
        assert await versions(client) == {}
        assert await client.rest() == []


async def test_154_a_new_version_is_a_change(ddp, star):
    server = Server()
    app = MeteorApp(star)
    autoupdate(server).add(app)
    async with ddp.client(server) as client:
        before = await versions(client)
        release(star.parent, BOTH | {"web.browser": [*MODERN, script("new();", "new")]})
        (change,) = await client.until(msg="changed")
        assert change["id"] == "web.browser"
        assert change["fields"] == {
            name: value
            for name, value in app.edition.versions["web.browser"].items()
            if before["web.browser"][name] != value
        }
        assert change["fields"].keys() == {"version", "versionNonRefreshable"}


async def test_155_a_file_of_the_bundle(star):
    async with serving(star) as address:
        for made, forever in ((APP, True), (MODERN[7], False)):
            response = await fetch(address, quote(path_of(made.url)), **PLAIN)
            assert (response.code, response.body) == (200, made.content)
            assert response.headers["ETag"] == f'"{item(made)["hash"]}"'
            age = "max-age=31536000" if forever else "max-age=0"
            assert age in response.headers["Cache-Control"]
            assert ("User-Agent" in response.headers.get("Vary", "")) == forever
            assert "Last-Modified" not in response.headers
        assert response.headers["Content-Type"] == "image/png"


@pytest.mark.parametrize("path", ["/", "/logo.png", "/nothing"])
async def test_155_other_methods(star, path):
    async with serving(star) as address:
        for method, code in (("POST", 405), ("DELETE", 405), ("OPTIONS", 200)):
            response = await fetch(address, path, method)
            assert (response.code, response.body) == (code, b"")
            assert response.headers["Allow"] == "OPTIONS, GET, HEAD"
            assert response.headers["Content-Length"] == "0"


@pytest.mark.parametrize(
    ("path", "code", "body"),
    [
        ("/x.css?meteor_css_resource=true", 200, b".meteor-css-not-found-error { width: 0px;}"),
        ("/x.js?meteor_js_resource=true", 404, b"404 Not Found"),
        ("/x?meteor_dont_serve_index=true", 404, b"404 Not Found"),
    ],
)
async def test_155_scripts_and_styles_that_are_missing(star, path, code, body):
    async with serving(star) as address:
        response = await fetch(address, path)
        assert (response.code, response.body) == (code, body)
        assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/favicon.ico", "/robots.txt", "/app.manifest", "/_oauth/x"])
async def test_155_no_page_at_these_addresses(star, path):
    async with serving(star) as address:
        assert (await fetch(address, path)).code == 404


async def test_155_the_path_may_name_the_architecture(star):
    async with serving(star) as address:
        for arch in ARCHS:
            name = arch.removeprefix("web.")
            response = await fetch(address, f"/__{name}/manifest.json", **PLAIN)
            told = json.loads(response.body)
            assert told["manifest"] == [item(made) for made in BOTH[arch]]
            assert told["PUBLIC_SETTINGS"] == {}
            assert response.headers["ETag"] == f'"{told["version"]}"'
            assert "Cache-Control" not in response.headers
            page = (await fetch(address, f"/__{name}/")).body.decode()
            assert BOTH[arch][3].url in page


async def test_155_absolute_urls_are_refused(star):
    async with serving(star) as address:
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"Not a proxy")
