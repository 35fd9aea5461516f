"""Each request of SockJS: methods, headers, bodies, and who may send it."""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

import pytest
from served import fetch, listening, make_server, served
from sockjs_client import TRANSPORTS, Session, ask, whole
from sockjs_services import Services, serving
from tornado.web import Application

from ddpcore import DDPError
from ddpcore.origin import Origins
from ddpcore_tornado import handlers
from ddpcore_tornado.sockjs import Options

NEVER = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
YEAR = "public, max-age=31536000"
METHODS = {
    "/info": "OPTIONS, GET",
    "/0/x/xhr": "OPTIONS, POST",
    "/0/x/xhr_send": "OPTIONS, POST",
    "/0/x/xhr_streaming": "OPTIONS, POST",
    "/0/x/eventsource": "GET",
    "/0/x/htmlfile": "GET",
    "/0/x/jsonp": "GET",
    "/0/x/jsonp_send": "POST",
    "/iframe.html": "GET",
    "": "GET",
}
FORM = {"Content_Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def polled():
    """Open a session by polling; its path."""

    async def polled(address, id="x"):
        assert await whole(address, "POST", f"/s/0/{id}/xhr") == (200, b"o\n")
        return f"/s/0/{id}"

    return polled


# --- methods, headers ----------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "methods"), METHODS.items())
async def test_other_methods_are_not_allowed(path, methods):
    async with serving(Services()) as address:
        for method in {"GET", "POST", "OPTIONS", "HEAD", "PUT", "DELETE"} - set(
            methods.split(", ")
        ):
            response = await fetch(
                address, f"/s{path}", method, "" if method in ("POST", "PUT") else None
            )
            assert (response.code, response.body) == (405, b""), method
            assert response.headers["Allow"] == methods
            assert "Content-Type" not in response.headers


@pytest.mark.parametrize("path", [path for path in METHODS if "OPTIONS" in METHODS[path]])
async def test_preflights(path):
    async with serving(Services()) as address:
        asked = {"Origin": "http://localhost", "Access_Control_Request_Headers": "a, b"}
        response = await fetch(address, f"/s{path}", "OPTIONS", **asked)
        assert (response.code, response.body) == (204, b"")
        assert response.headers["Access-Control-Allow-Origin"] == "http://localhost"
        assert response.headers["Access-Control-Allow-Credentials"] == "true"
        assert response.headers["Access-Control-Allow-Methods"] == METHODS[path]
        assert response.headers["Access-Control-Allow-Headers"] == "a, b"
        assert response.headers["Access-Control-Max-Age"] == "31536000"
        assert response.headers["Cache-Control"] == YEAR
        assert response.headers["Vary"] == "Origin"
        assert response.headers["Expires"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_answers_of_sessions_are_never_kept(transport):
    types = {
        "eventsource": "text/event-stream",
        "htmlfile": "text/html; charset=UTF-8",
    }
    async with serving(Services(), origins=Origins()) as address:
        answer = await Session(address, transport, "/s").ask()
        assert answer.headers["cache-control"] == NEVER
        assert answer.headers["content-type"] == types.get(
            transport, "application/javascript; charset=UTF-8"
        )
        readable = transport not in ("htmlfile", "jsonp")
        assert answer.headers.get("access-control-allow-origin") == ("*" if readable else None)
        assert "access-control-allow-credentials" not in answer.headers
        assert "set-cookie" not in answer.headers
        assert "expires" not in answer.headers
        assert "etag" not in answer.headers
        if transport in ("xhr_streaming", "eventsource", "htmlfile"):
            assert answer.headers["x-accel-buffering"] == "no"
        answer.hang_up()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_cookie_for_load_balancers(transport):
    async with serving(Services(), Options(jsessionid=True)) as address:
        assert json.loads((await fetch(address, "/s/info")).body)["cookie_needed"] is True
        for cookie, expected in (("a=b", "dummy"), ("a=b; JSESSIONID=abc", "abc")):
            answer = await Session(address, transport, "/s", Cookie=cookie).ask()
            assert answer.headers["set-cookie"] == f"JSESSIONID={expected}; path=/"
            answer.hang_up()


async def test_preludes():
    async with serving(Services()) as address:
        answer = await Session(address, "xhr_streaming", "/s").ask()
        assert [await answer.chunk() for _ in range(2)] == [b"h" * 2048 + b"\n", b"o\n"]
        answer.hang_up()
        answer = await Session(address, "eventsource", "/s").ask()
        assert [await answer.chunk() for _ in range(2)] == [b"\r\n", b"data: o\r\n\r\n"]
        answer.hang_up()
        answer = await Session(address, "htmlfile", "/s").ask()
        head = await answer.chunk()
        assert len(head) > 1024
        assert b"var c = parent.parent.cb;" in head
        assert await answer.chunk() == b'<script>\np("o");\n</script>\r\n'
        answer.hang_up()


# --- before a session ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["iframe", "iframe-1.6.1", "iframe-0.1.2abc-dirty.2144", "iframe-"]
)
async def test_the_iframe_page(name):
    async with serving(Services(), Options(client_url="/a?b&c"), origins=Origins()) as address:
        response = await fetch(address, f"/s/{name}.html?t=1")
        assert response.code == 200
        assert response.headers["Content-Type"] == "text/html; charset=UTF-8"
        assert response.headers["Cache-Control"] == YEAR
        assert b'<script src="/a?b&amp;c"></script>' in response.body
        again = await fetch(address, f"/s/{name}.html", If_None_Match=response.headers["ETag"])
        assert (again.code, again.body) == (304, b"")
        assert "Content-Type" not in again.headers


@pytest.mark.parametrize(
    "name", ["iframe", "iframe.htm", "IFRAME.html", "iframe-/.html", "iframexhtml"]
)
async def test_no_iframe_page(name):
    async with serving(Services()) as address:
        assert (await fetch(address, f"/s/{name}")).code == 404


@pytest.mark.parametrize(
    ("host", "origins", "ancestors"),
    [
        ("example.com:80", [], "'self' http://example.com:*"),
        ("localhost", [], "'self' http://localhost:* http://127.0.0.1:*"),
        ("[::1]:80", [], "'self'"),
        (
            "x",
            ["https://b.example", "https://a.example", "null"],
            "'self' http://x:* https://a.example https://b.example",
        ),
        ("x", ["*"], None),
    ],
)
@pytest.mark.parametrize("page", ["iframe.html", "0/x/htmlfile?c=f"])
async def test_only_pages_that_may_talk_may_frame(page, host, origins, ancestors):
    async with serving(Services(), origins=Origins(origins)) as address:
        answer = await ask(address, "GET", f"/s/{page}", Host=host)
        expected = f"frame-ancestors {ancestors}" if ancestors else None
        assert answer.headers.get("content-security-policy") == expected
        answer.hang_up()


@pytest.mark.parametrize("path", ["/websocket", "/0/x/websocket"])
async def test_without_websockets(path):
    options = Options(websocket=False)
    server = make_server()
    rules = handlers(server, sockjs=options)
    async with listening(Application(rules, log_function=lambda _: None), server) as address:
        assert json.loads((await fetch(address, "/sockjs/info")).body)["websocket"] is False
        response = await fetch(address, f"/sockjs{path}")
        assert (response.code, response.body) == (404, b"404 Error: Page not found\n")
        assert (await fetch(address, "/websocket")).code == 404


@pytest.mark.parametrize(
    "option", ["heartbeat_delay", "disconnect_delay", "response_limit", "max_waiting"]
)
def test_options_make_sense(option):
    with pytest.raises(DDPError, match=option):
        Options(**{option: 0})


# --- messages ------------------------------------------------------------------------------------

BROKEN = [
    ("", b"Payload expected."),
    ('"x"', b"Payload expected."),
    ("null", b"Payload expected."),
    ('{"0":"x"}', b"Payload expected."),
    ("[1]", b"Payload expected."),
    ('["x",null]', b"Payload expected."),
    ('["x', b"Broken JSON encoding."),
    ("x", b"Broken JSON encoding."),
    ("[" * 100_000, b"Broken JSON encoding."),
]


@pytest.mark.parametrize(("payload", "text"), BROKEN)
async def test_broken_messages(payload, text, polled):
    service = Services()
    async with serving(service) as address:
        path = await polled(address)
        assert await whole(address, "POST", f"{path}/xhr_send", payload) == (500, text)
        form = urlencode({"d": payload})
        assert await whole(address, "POST", f"{path}/jsonp_send", form, **FORM) == (500, text)
        assert await whole(address, "POST", f"{path}/jsonp_send", payload) == (500, text)
        assert await whole(address, "POST", f"{path}/xhr_send", '["a"]') == (204, b"")
        assert service.clients[0].got == ["a"]


async def test_messages_and_what_they_claim_to_be(polled):
    service = Services()
    async with serving(service) as address:
        path = await polled(address)
        for each in [
            "text/plain",
            "T",
            "application/json",
            "text/xml; charset=utf-8",
            "application/xml",
            "",
        ]:
            assert await whole(address, "POST", f"{path}/xhr_send", '["a"]', Content_Type=each) == (
                204,
                b"",
            )
        for each in [
            "image/png",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ]:
            answer = await whole(address, "POST", f"{path}/xhr_send", '["b"]', Content_Type=each)
            assert answer == (500, b"Payload expected.")
        for form in [
            "",
            "d=",
            "p=p",
            "&" * 100 + "d=[]",
            urlencode({f"a{n}": "1" for n in range(50)}),
        ]:
            answer = await whole(address, "POST", f"{path}/jsonp_send", form, **FORM)
            assert answer == (500, b"Payload expected."), form
        assert service.clients[0].got == ["a"] * 6


async def test_what_is_no_utf_8(polled):
    service = Services()
    async with serving(service) as address:
        path = await polled(address)
        assert await whole(address, "POST", f"{path}/xhr_send", b'["\xff"]') == (204, b"")
        assert service.clients[0].got == ["\ufffd"]


@pytest.mark.parametrize("send", ["xhr_send", "jsonp_send"])
async def test_an_unknown_session(send):
    async with serving(Services()) as address:
        assert await whole(address, "POST", f"/s/0/nobody/{send}", '["a"]') == (
            404,
            b"404 Error: Page not found\n",
        )


@pytest.mark.parametrize("name", ["xhr_send", "jsonp_send", "xhr", "xhr_streaming"])
async def test_a_body_that_is_too_long(name, polled):
    service = Services(max_message_size=1000)
    async with serving(service) as address:
        path = await polled(address)
        good, bad = (json.dumps(["x" * size]) for size in (996, 997))
        assert (await whole(address, "POST", f"{path}/xhr_send", good))[0] == 204
        assert (await whole(address, "POST", f"{path}/{name}", bad))[0] == 413
        chunked = await ask(
            address,
            "POST",
            f"{path}/{name}",
            b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\n",
            Transfer_Encoding="chunked",
            Content_Length="",
        )
        assert chunked.status in (400, 413)
        chunked.hang_up()
        assert service.clients[0].got == ["x" * 996]


@pytest.mark.parametrize("transport", ["jsonp", "htmlfile"])
async def test_callbacks(transport):
    async with serving(Services()) as address:
        path = f"/s/0/x/{transport}"
        assert await whole(address, "GET", path) == (500, b'"callback" parameter required')
        for name in [
            "%20",
            "*",
            "abc(",
            "abc%28",
            "%0a",
            "a%00",
            "%C3%A9",
            *["x" * 33][: transport == "jsonp"],
        ]:
            for key in ("c", "callback"):
                answer = await whole(address, "GET", f"{path}?{key}={name}")
                assert answer == (500, b'invalid "callback" parameter')
        answer = await ask(address, "GET", f"{path}?callback=%61-b.C_1")
        assert b"a-b.C_1" in await answer.chunk()
        answer.hang_up()


# --- who may -------------------------------------------------------------------------------------

FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://[::1"},
    {"Referer": "https://evil.example/page"},
    {"Referer": "http://127.0.0.1@evil.example/"},
    {"Referer": "http://[::1"},
    {"Referer": "nonsense"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "anything"},
]
OWN = [
    {"Origin": "http://127.0.0.1:1234"},
    {"Origin": "https://app.example.com"},
    {"Referer": "http://localhost/page?x#y", "Sec-Fetch-Site": "cross-site"},
    {"Referer": "https://app.example.com/"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]
ORIGINS = ["https://app.example.com"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_foreign_pages_are_refused(transport, polled):
    service = Services()
    async with serving(service, origins=Origins(ORIGINS)) as address:
        for headers in FOREIGN:
            session = Session(address, transport, "/s", id="x", **headers)
            answer = await session.ask()
            assert answer.status == 403, headers
            assert "access-control-allow-origin" not in answer.headers
            answer.hang_up()
            assert (await session.post('["x"]'))[0] == 403
        assert service.clients == []
        # Neither can they talk in a session that is open.
        await polled(address)
        for headers in FOREIGN:
            assert (await Session(address, transport, "/s", id="x", **headers).post('["x"]'))[
                0
            ] == 403
        assert service.clients[0].got == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_own_and_named_pages_are_not(transport):
    async with serving(Services(), origins=Origins(ORIGINS)) as address:
        for headers in OWN:
            session = Session(address, transport, "/s", **headers)
            assert await session.frame() == "o"
            await session.send("x")
            session.hang_up()


async def test_native_clients_are_welcome_except_where_only_browsers_come():
    async with serving(Services(), origins=Origins()) as address:
        for transport in TRANSPORTS:
            session = Session(address, transport, "/s", User_Agent="native")
            answer = await session.ask()
            # A page could load the script and say nothing of itself.
            assert answer.status == (403 if transport == "jsonp" else 200)
            answer.hang_up()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_star_lets_everybody_in(transport):
    async with serving(Services(), origins=Origins(["*"])) as address:
        for headers in [{"X": "y"}, *FOREIGN]:
            session = Session(address, transport, "/s", **headers)
            assert await session.frame() == "o"
            session.hang_up()


async def test_cookies_for_other_handlers_do_not_matter_here():
    # An application with Tornado's own guards against other pages; these requests carry no cookie.
    server = make_server()
    application = Application(
        handlers(server),
        xsrf_cookies=True,
        cross_origin_protection=True,
        cookie_secret="secret",
        log_function=lambda _: None,
    )
    async with listening(application, server) as address:
        session = Session(address, "xhr", Origin="http://localhost:3000")
        assert await session.frame() == "o"
        await session.send('{"msg":"connect","version":"1","support":["1"]}')
        assert re.match(r'a\["\{\\"msg\\":\\"connected', await session.frame())


async def test_a_prefix():
    server = make_server()
    async with served(server, prefix="/live.v1") as address:
        assert await whole(address, "POST", "/live.v1/sockjs/0/x/xhr") == (200, b"o\n")
        assert (await fetch(address, "/liveXv1/sockjs/info")).code == 404
