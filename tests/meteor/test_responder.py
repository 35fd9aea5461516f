"""What requests get, without any server."""

from __future__ import annotations

import gzip
import json
import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meteor_bundle import (
    BOTH,
    CHROME,
    LEGACY,
    MODERN,
    OLD,
    SECRET,
    Made,
    build,
    fragment,
    item,
    module,
    script,
)

from ddpcore.meteor import MeteorApp, Options, Request
from ddpcore.meteor.bundle import path_of
from ddpcore.meteor.compression import accepts_gzip
from ddpcore.meteor.dynamic import PATH


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    return build(tmp_path_factory.mktemp("bundle"), BOTH)


@pytest.fixture(scope="module")
def app(star):
    return MeteorApp(star)


def ask(app, path, method="GET", query="", body=b"", **headers):
    named = {"user-agent": CHROME} | {k.replace("_", "-"): v for k, v in headers.items()}
    path, _, own = path.partition("?")
    request = Request(method, path, own or query, named, "https", "shop.example", lambda: body)
    return app.respond(request)


def content(response):
    if isinstance(response.body, bytes):
        body = response.body
    else:
        with response.body:
            body = response.body.read()
    if response.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return body


STYLE, PACKAGES, APP = MODERN[2:5]
LOGO = next(made for made in MODERN if made.url == "/logo.png")


# --- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [m for m in MODERN if m.where == "client"], ids=lambda m: m.path)
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_every_file_of_the_manifest(app, made, encoding):
    response = ask(app, path_of(made.url), accept_encoding=encoding)
    assert response.status == 200
    if made.cacheable:
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "User-Agent" in response.headers["Vary"]
    else:
        assert response.headers["Cache-Control"] == "public, max-age=0"
    assert response.headers["ETag"].removeprefix("W/") == f'"{item(made)["hash"]}"'
    assert int(response.headers["Content-Length"]) == len(response.body)
    assert "Last-Modified" not in response.headers
    assert content(response) == made.content


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (path_of(STYLE.url), "text/css; charset=UTF-8"),
        (path_of(APP.url), "application/javascript; charset=UTF-8"),
        ("/logo.png", "image/png"),
        ("/fonts/a name é.woff2", "font/woff2"),
        ("/hello.txt", "text/plain; charset=UTF-8"),
        ("/", "text/html; charset=utf-8"),
    ],
)
def test_types(app, path, kind):
    assert ask(app, path).headers["Content-Type"] == kind


def test_text_is_compressed_for_those_who_want_it(app):
    path = path_of(APP.url)
    plain, small = ask(app, path), ask(app, path, accept_encoding="br, gzip")
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert len(small.body) < len(plain.body)
    for response in (plain, small):
        assert response.headers["Vary"] == "User-Agent, Accept-Encoding"
    assert small.headers["ETag"] == "W/" + plain.headers["ETag"]
    assert ask(app, path, accept_encoding="gzip").body is small.body  # compressed once
    assert (
        "Content-Encoding"
        not in ask(app, path, accept_encoding="gzip", x_no_compression="1").headers
    )
    picture = ask(app, "/logo.png", accept_encoding="gzip").headers
    assert "Content-Encoding" not in picture
    assert "Vary" not in picture


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("gzip", True),
        ("GZIP;q=0.5, identity;q=0.1", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*, gzip;q=0", False),
        ("identity", False),
        ("gzip;q=0.1, identity;q=0.9", False),
        ("gzip;q=much", False),
        ("", False),
        ("br", False),
    ],
)
def test_who_takes_gzip(header, taken):
    assert accepts_gzip({"accept-encoding": header}) is taken


@given(st.text())
def test_no_header_is_too_odd(header):
    accepts_gzip({"accept-encoding": header})


@pytest.mark.parametrize("path", [path_of(APP.url), "/logo.png", "/", "/__browser/manifest.json"])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_what_is_known_is_not_sent_again(app, path, encoding):
    first = ask(app, path, accept_encoding=encoding)
    tag = first.headers["ETag"]
    for known in (tag, f'"other", {tag}', f"W/{tag.removeprefix('W/')}", "*"):
        again = ask(app, path, accept_encoding=encoding, if_none_match=known)
        assert (again.status, again.body) == (304, b"")
        kept = {"ETag", "Cache-Control", "Vary"} & first.headers.keys()
        assert again.headers == {name: first.headers[name] for name in kept}
    for known in ("", '"other"', tag.replace('"', "")):
        assert ask(app, path, accept_encoding=encoding, if_none_match=known).status == 200


@pytest.mark.parametrize("path", [path_of(APP.url), "/logo.png", "/", "/favicon.ico"])
def test_head_is_get_without_content(app, path):
    got, head = ask(app, path), ask(app, path, "HEAD")
    assert (head.status, head.headers, head.body) == (got.status, got.headers, b"")


@pytest.mark.parametrize("path", ["/", "/anything", path_of(APP.url), "/sockjs/info"])
def test_other_methods(app, path):
    for method in ("POST", "PUT", "DELETE", "PATCH", "PROPFIND"):
        response = ask(app, path, method)
        assert (response.status, response.body) == (405, b"")
        assert response.headers == {"Allow": "OPTIONS, GET, HEAD", "Content-Length": "0"}
    response = ask(app, path, "OPTIONS")
    assert (response.status, response.headers["Allow"]) == (200, "OPTIONS, GET, HEAD")


def test_large_files_are_given_open(tmp_path):
    video = Made("asset", bytes(3_000_000), "app/film.mp4", "/film.mp4", cacheable=False)
    app = MeteorApp(build(tmp_path, {"web.browser": [video]}))
    response = ask(app, "/film.mp4")
    assert not isinstance(response.body, bytes)
    assert content(response) == video.content
    assert ask(app, "/film.mp4", "HEAD").headers == response.headers
    assert ask(app, "/film.mp4", if_none_match=response.headers["ETag"]).status == 304


def test_an_older_name_of_a_file_is_not_kept_for_good(tmp_path):
    made = Made("js", b"1", "app.js", "/app.js?hash=new")
    app = MeteorApp(build(tmp_path, {"web.browser": [made]}))
    assert "immutable" in ask(app, "/app.js?hash=new").headers["Cache-Control"]
    assert "immutable" in ask(app, "/app.js").headers["Cache-Control"]
    assert ask(app, "/app.js?hash=old").headers["Cache-Control"] == "public, max-age=0"


def test_a_file_that_was_changed_in_place_is_not_served(tmp_path):
    app = MeteorApp(build(tmp_path, BOTH))
    assert ask(app, path_of(APP.url)).status == 200
    file = tmp_path / "programs" / "web.browser" / "app" / "app.js"
    file.write_bytes(b"something else")
    response = ask(app, path_of(APP.url))
    assert (response.status, response.headers["Cache-Control"]) == (404, "no-cache")
    file.unlink()
    assert ask(app, path_of(APP.url)).status == 404


def test_source_maps_by_choice(star):
    url = item(PACKAGES)["sourceMapUrl"]
    without, with_maps = MeteorApp(star), MeteorApp(star, Options(source_maps=True, prefix="/x"))
    assert ask(without, url).status == 404
    assert "X-SourceMap" not in ask(without, path_of(PACKAGES.url)).headers
    assert ask(with_maps, "/x" + path_of(PACKAGES.url)).headers["X-SourceMap"] == "/x" + url
    response = ask(with_maps, "/x" + url)
    assert content(response) == PACKAGES.map
    assert response.headers["Content-Type"] == "application/json; charset=UTF-8"


# --- architectures ----------------------------------------------------------------------------


def test_modern_and_legacy(app):
    assert b"isModern%22%3Atrue" in content(ask(app, "/"))
    assert path_of(APP.url).encode() in content(ask(app, "/"))
    page = content(ask(app, "/", user_agent=OLD))
    assert b"isModern%22%3Afalse" in page
    assert path_of(LEGACY[3].url).encode() in page
    assert b"isModern%22%3Afalse" in content(ask(app, "/__browser.legacy/"))
    assert b"isModern%22%3Atrue" in content(ask(app, "/__browser/some/where", user_agent=OLD))
    assert b"isModern%22%3Atrue" in content(ask(app, "/__unknown/", user_agent=CHROME))
    # Whoever has a script's URL gets it.
    assert content(ask(app, path_of(APP.url), user_agent=OLD)) == APP.content
    assert content(ask(app, "/__browser.legacy" + path_of(APP.url))) == APP.content


def test_the_architecture_decides_between_files_of_one_name(tmp_path):
    new, old = (Made("asset", text, "a.txt", "/a.txt", cacheable=False) for text in (b"n", b"o"))
    app = MeteorApp(build(tmp_path, {"web.browser": [new], "web.browser.legacy": [old]}))
    assert content(ask(app, "/a.txt")) == b"n"
    assert content(ask(app, "/a.txt", user_agent=OLD)) == b"o"
    assert content(ask(app, "/__browser/a.txt", user_agent=OLD)) == b"n"


def test_without_legacy_all_are_modern(tmp_path):
    app = MeteorApp(build(tmp_path, {"web.browser": MODERN}))
    assert b"isModern%22%3Atrue" in content(ask(app, "/", user_agent=OLD))


def test_cordova_pages_know_where_they_come_from(tmp_path):
    app = MeteorApp(build(tmp_path, {"web.cordova": LEGACY, "web.browser": MODERN}))
    config = config_of(content(ask(app, "/__cordova/")))
    assert config["DDP_DEFAULT_CONNECTION_URL"] == "https://shop.example/"
    assert "DDP_DEFAULT_CONNECTION_URL" not in config_of(content(ask(app, "/")))
    manifest = json.loads(content(ask(app, "/__cordova/manifest.json")))
    assert manifest["version"] == app.edition.versions["web.cordova"]["version"]


def test_manifest_json(star):
    app = MeteorApp(star, Options(public_settings={"a": 1}))
    response = ask(app, "/__browser/manifest.json")
    told = json.loads(content(response))
    assert told["manifest"] == [item(made) for made in MODERN]
    assert told["format"] == "web-program-pre1"
    assert told["PUBLIC_SETTINGS"] == {"a": 1}
    assert told["version"] == app.edition.versions["web.browser"]["version"]
    assert response.headers["ETag"] == f'"{told["version"]}"'
    assert "Cache-Control" not in response.headers


# --- the page ---------------------------------------------------------------------------------


def config_of(page):
    (text,) = re.findall(
        r'__meteor_runtime_config__ = JSON.parse\(decodeURIComponent\("([^"]*)"\)\)', page.decode()
    )
    return json.loads(unquote(text))


def test_the_page(star):
    hostile = {"text": "</script><script>alert(1)</script>\u2028\"'\\"}
    app = MeteorApp(star, Options(public_settings=hostile, html_attributes={"lang": 'd"e'}))
    page = content(ask(app, "/")).decode()
    assert page.startswith(
        '<!DOCTYPE html>\n<html lang="d&quot;e">\n<head>\n<title>Bookshop</title>'
    )
    assert page.endswith("</body>\n</html>")
    link = f'<link rel="stylesheet" type="text/css" class="__meteor-css__" href="{STYLE.url}">'
    assert f"<title>Bookshop</title>\n{link}\n<meta name=x>" in page
    assert page.index("<main id=app>") < page.index("__meteor_runtime_config__")
    assert re.findall(r'<script type="text/javascript" src="([^"]+)"></script>', page) == [
        PACKAGES.url, APP.url
    ]  # fmt: skip
    assert "alert" not in page.replace("%3Ealert", "")
    config = config_of(page.encode())
    assert config["meteorEnv"] == {"NODE_ENV": "production", "TEST_METADATA": "{}"}
    assert config["PUBLIC_SETTINGS"] == hostile
    assert (config["ROOT_URL"], config["ROOT_URL_PATH_PREFIX"]) == ("https://shop.example/", "")
    assert config["autoupdate"]["versions"] == app.edition.versions
    assert config["autoupdate"]["appId"] == config["appId"] == "testapp.id"
    assert config["meteorRelease"] == "METEOR@3.0.4"
    assert config["gitCommitHash"] == "0123456789012345678901234567890123456789"


def test_styles_stand_first_where_the_head_has_no_place_for_them(tmp_path):
    files = [fragment("head", "<title>x</title>"), STYLE]
    page = content(ask(MeteorApp(build(tmp_path, {"web.browser": files})), "/")).decode()
    assert page.index("__meteor-css__") < page.index("<title>")


def test_demanded_integrity(star):
    page = content(ask(MeteorApp(star, Options(sri=True)), "/")).decode()
    for made in (STYLE, PACKAGES, APP):
        integrity = f'integrity="sha512-{item(made)["sri"]}" crossorigin="anonymous"'
        assert f'{made.url}" {integrity}>' in page


def test_another_host_for_scripts(star):
    page = content(ask(MeteorApp(star, Options(bundled_js_css_prefix="https://cdn/")), "/"))
    assert f'src="https://cdn{APP.url}"'.encode() in page
    assert f'href="https://cdn{STYLE.url}"'.encode() in page


def test_more_configuration(star):
    app = MeteorApp(star, Options(runtime_config={"DISABLE_SOCKJS": True}))
    assert config_of(content(ask(app, "/")))["DISABLE_SOCKJS"] is True

    def extend(config, request):
        return config | {"where": request.path}

    app = MeteorApp(star, Options(runtime_config=extend))
    assert config_of(content(ask(app, "/there")))["where"] == "/there"


def test_any_path_has_the_page(app):
    page = ask(app, "/")
    assert page.headers["Cache-Control"] == "no-cache"
    for path in ("/books/7", "/a.b/c", "/..", "/%2e%2e", "/\\", "//etc/passwd", "/websockets"):
        assert ask(app, path) == page


@pytest.mark.parametrize(
    "path",
    ["/favicon.ico", "/robots.txt", "/app.manifest", "/sockjs", "/sockjs/x/y/xhr", "/websocket",
     "/websocket/", "/_oauth/google", "/x?meteor_js_resource=true", "/x?meteor_dont_serve_index="],
)  # fmt: skip
def test_no_page_for_these(app, path):
    response = ask(app, path)
    assert (response.status, response.body) == (404, b"404 Not Found")
    assert response.headers["Cache-Control"] == "no-cache"


def test_styles_that_are_gone(app):
    response = ask(app, "/0123.css?meteor_css_resource=true")
    assert (response.status, response.headers["Cache-Control"]) == (200, "no-cache")
    assert response.headers["Content-Type"].startswith("text/css")
    assert response.body == b".meteor-css-not-found-error { width: 0px;}"


def test_no_proxy(app):
    assert (ask(app, "http://elsewhere/").status, ask(app, "*").status) == (400, 400)
    assert ask(app, "http://elsewhere/").body == b"Not a proxy"


def test_a_prefix(star):
    app = MeteorApp(star, Options(root_url="https://example.com/shop/"))
    page = content(ask(app, "/shop"))
    assert content(ask(app, "/shop/books")) == page
    assert f'src="/shop{APP.url}"'.encode() in page
    assert f'href="/shop{STYLE.url}"'.encode() in page
    config = config_of(page)
    assert config["ROOT_URL"] == "https://example.com/shop/"
    assert config["ROOT_URL_PATH_PREFIX"] == "/shop"
    assert content(ask(app, "/shop" + path_of(APP.url))) == APP.content
    assert ask(app, "/shop/__browser/manifest.json").status == 200
    assert ask(app, "/shop" + PATH, "POST", body=b"{}").status == 200
    for outside in ("/", "/shopping", path_of(APP.url), "/favicon.ico"):
        response = ask(app, outside)
        assert response.status == 404
        assert (response.body == b"Unknown path") == (outside != "/favicon.ico")
    assert app.edition.documents()["web.browser"]["assets"] == [{"url": "/shop" + STYLE.url}]


def test_without_inline_scripts(star):
    app = MeteorApp(star, Options(inline_scripts=False, root_url="https://example.com/"))
    page = content(ask(app, "/")).decode()
    assert '<script type="text/javascript">' not in page
    (source,) = re.findall(r'src="(/meteor_runtime_config.js\?hash=\w+)"', page)
    response = ask(app, source)
    assert "immutable" in response.headers["Cache-Control"]
    text = content(response).decode()
    config = json.loads(re.fullmatch(r"__meteor_runtime_config__ = (.*);", text)[1])
    assert config["autoupdate"]["versions"] == app.edition.versions
    assert config["isModern"] is True
    # The page decides of which architecture it is, whatever the browser says now.
    assert content(ask(app, source, user_agent=OLD)).decode() == text
    # A page that some other edition has made must not take itself for this one.
    stranger = ask(app, "/meteor_runtime_config.js?hash=0123")
    assert stranger.headers["Cache-Control"] == "no-store"
    config = json.loads(content(stranger).decode().partition(" = ")[2][:-1])
    assert set(config["autoupdate"]["versions"]["web.browser"].values()) == {""}
    assert b"<!DOCTYPE" in content(ask(MeteorApp(star), "/meteor_runtime_config.js"))


# --- dynamic imports --------------------------------------------------------------------------


def test_dynamic_imports(app):
    tree = {
        "node_modules": {"left:pad": {"index.js": 1, "no.js": 1}},
        "imports": {"page.js": 1},
        "..": {"..": {"server": {"app": {"app.js": 1}}}},
    }
    response = ask(app, PATH, "POST", body=json.dumps(tree).encode())
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert json.loads(content(response)) == {
        "node_modules": {"left:pad": {"index.js": "module.exports = 'left';"}},
        "imports": {"page.js": "module.exports = 'page';"},
        "..": {"..": {"server": {"app": {}}}},
    }


def test_an_answer_is_no_larger_than_the_program(tmp_path):
    made = module("a:b:c.js", "x" * 1000)
    app = MeteorApp(build(tmp_path, {"web.browser": [made]}))
    names = {f"a{one}b{two}c.js": 1 for one in ":_" for two in ":_"}
    assert ask(app, PATH, "POST", body=json.dumps(names).encode()).body.count(b"x") == 1000


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"1", b"null", b'{"a":2}', b'{"a":[1]}', b'{"a":"x"}', b"[" * 500_000,
     b'{"a":' * 150 + b"1" + b"}" * 150, b'{"a":' * 100_000, b" " * 1_048_577, b"\xff"],
)  # fmt: skip
def test_trees_that_are_none(app, body):
    response = ask(app, PATH, "POST", body=body)
    assert response.status == 400
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("length", ["1048577", "99999999999999", "-1", "x"])
def test_what_is_too_large_is_not_even_read(app, length):
    def body():
        raise AssertionError

    headers = {"content-length": length}
    assert app.respond(Request("POST", PATH, headers=headers, body=body)).status == 413


def test_dynamic_imports_from_other_pages(app):
    response = ask(app, PATH, "OPTIONS", access_control_request_headers="X-A, content-type")
    assert response.status == 200
    assert response.headers["Access-Control-Allow-Headers"] == "X-A, content-type"
    assert response.headers["Access-Control-Allow-Methods"] == "POST"
    assert ask(app, PATH).status == 405
    assert ask(app, PATH).headers["Allow"] == "OPTIONS, POST"


# --- no file but those ------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["..", ".", "", "programs", "server", "web.browser", "app", "app.js", "boot.js", "main.js",
     "program.json", "star.json", "config.json", "%2e%2e", "%2f", "\\", "\0", "..\\", "etc",
     "passwd", "__browser", "__browser.legacy", "packages", "hidden.txt", "dynamic", "assets",
     "private.txt", "imports", "page.js", "logo.png", "head.html", "body.html", "merged.css"]
)  # fmt: skip
PATHS = st.lists(WORDS | st.text(max_size=3), max_size=8).map(lambda it: "/" + "/".join(it))
ALLOWED = {made.content for made in MODERN + LEGACY if made.where == "client"}


@given(PATHS | PATHS.map(unquote) | st.text(), st.sampled_from([CHROME, OLD, ""]))
def test_no_path_leads_to_another_file(app, path, agent):
    response = ask(app, path, user_agent=agent)
    body = content(response)
    assert SECRET not in body
    if response.headers["Content-Type"].startswith("text/html"):
        assert body.startswith(b"<!DOCTYPE html>")
    elif response.status == 200 and b"not-found-error" not in body and b"manifest" not in body:
        assert body in ALLOWED


@given(st.recursive(st.just(1), lambda it: st.dictionaries(WORDS | st.text(max_size=3), it)))
def test_no_tree_leads_to_another_file(app, tree):
    response = ask(app, PATH, "POST", body=json.dumps({"..": tree, "imports": tree}).encode())
    assert SECRET not in content(response)


# --- another bundle ---------------------------------------------------------------------------


class Time:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_new_bundle_is_noticed(tmp_path):
    app = MeteorApp(build(tmp_path, BOTH))
    before = app.edition
    told = []
    app.listeners.add(lambda: told.append(app.edition))
    ask(app, "/")
    assert app.edition is before
    new = script("window.app = 'new';", "app/app2")
    build(tmp_path, {"web.browser": [*MODERN, new]})
    assert path_of(new.url).encode() in content(ask(app, "/"))
    assert told == [app.edition]
    assert app.edition is not before


def test_a_link_that_is_exchanged_is_noticed_and_pages_find_their_scripts(tmp_path):
    build(tmp_path / "1", BOTH)
    new = script("window.app = 'new';")
    build(tmp_path / "2", {"web.browser": [new]})
    link = tmp_path / "current"
    link.symlink_to("1")
    app = MeteorApp(link / "star.json")
    assert path_of(APP.url).encode() in content(ask(app, "/"))
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(link)
    # A script of the new page may be asked of this process before a page is.
    assert content(ask(app, path_of(new.url))) == new.content
    assert path_of(new.url).encode() in content(ask(app, "/"))
    assert content(ask(app, path_of(APP.url))) == APP.content  # of the page of before
    assert b"<!DOCTYPE" in content(ask(app, "/logo.png"))


def test_a_damaged_new_bundle_takes_nobodys_place(tmp_path, expect_log):
    time = Time()
    app = MeteorApp(build(tmp_path, BOTH), clock=time)
    before = app.edition
    program = tmp_path / "programs" / "web.browser" / "program.json"
    good = program.read_bytes()
    program.write_bytes(good[:100])
    expect_log("ddpcore.meteor", r"cannot be served, so the old one is: .*program.json is damaged")
    with_page = content(ask(app, "/"))
    assert path_of(APP.url).encode() in with_page
    time.now += 100
    ask(app, "/")
    assert app.edition is before
    program.write_bytes(good)
    time.now += 100
    assert app.refresh() is not before


def test_it_is_logged_once(tmp_path, caplog, expect_log):
    time = Time()
    app = MeteorApp(build(tmp_path, BOTH), clock=time)
    ask(app, "/")
    (tmp_path / "star.json").write_text("{")
    expect_log("ddpcore.meteor", "damaged")
    for _ in range(5):
        ask(app, "/")
        time.now += 100
    assert len(caplog.records) == 1


def test_files_that_come_after_their_manifest_are_waited_for(tmp_path, expect_log):
    time = Time()
    app = MeteorApp(build(tmp_path / "a", BOTH), clock=time)
    before = app.edition
    new = [*MODERN, script("window.late = 1;", "late")]
    build(tmp_path / "b", {"web.browser": new})
    expect_log("ddpcore.meteor", "late.js")
    for name in ("star.json", "programs/web.browser/program.json"):
        (tmp_path / "b" / name).replace(tmp_path / "a" / name)
    assert app.refresh() is before
    (tmp_path / "b/programs/web.browser/late.js").replace(
        tmp_path / "a/programs/web.browser/late.js"
    )
    assert app.refresh() is before  # not at every request
    time.now += 2
    assert app.refresh() is not before
