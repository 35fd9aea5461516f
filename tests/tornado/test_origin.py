"""Which web pages may talk to a server."""

from __future__ import annotations

import pytest
import websockets
from served import connected, fetch, raw, served

from ddpcore import DDPError
from ddpcore.origin import Origins


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "example.com"),
        ("https://example.com", "example.com"),
        ("http://example.com:3000", "example.com:8000"),
        ("https://EXAMPLE.com", "example.COM"),
        ("http://localhost:3000", "127.0.0.1:8000"),
        ("http://127.0.0.1:3000", "[::1]:8000"),
        ("http://[::1]", "localhost"),
    ],
)
def test_pages_of_the_same_host_may(origin, host):
    assert Origins().allow(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "example.com"),
        ("https://sub.example.com", "example.com"),
        ("https://example.com.evil.example", "example.com"),
        ("https://example.com@evil.example", "example.com"),
        ("http://localhost", "example.com"),
        ("http://example.com", "localhost"),
        ("null", "example.com"),
        ("null", ""),
        ("", "example.com"),
        ("", ""),
        ("example.com", "example.com"),
        ("http://[::1", "[::1]"),
        ("http://[", "["),
        ("http://x", "[x"),
    ],
)
def test_others_may_not(origin, host):
    assert not Origins().allow(origin, host)


def test_origins_that_are_named_may():
    origins = Origins(["https://App.example.com/", "null"])
    assert origins.allow("https://app.example.com", "other.example")
    assert origins.allow("null", "other.example")
    assert not origins.allow("http://app.example.com", "other.example")
    assert not origins.allow("https://app.example.com:8443", "other.example")
    assert Origins(["*"]).allow("https://anything.example", "other.example")


@pytest.mark.parametrize(
    "origin", ["app.example.com", "https://*.example.com", "https://example.com/path", ""]
)
def test_what_would_never_match_is_refused(origin):
    with pytest.raises(DDPError, match=r"https://app\.example\.com"):
        Origins([origin])


PATHS = ["/websocket", "/sockjs/000/abcdefgh/websocket"]


async def refused(address, origin, path="/websocket"):
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with raw(address, path, origin=origin):
            pass
    return caught.value.response.status_code


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[::1", "%", "http://é"])
async def test_websockets_of_foreign_pages_are_refused(path, origin):
    async with served() as address:
        assert await refused(address, origin, path) == 403


async def test_websockets_of_own_and_named_pages():
    async with served(origins=["https://app.example.com"]) as address:
        for origin in (None, "http://localhost:3000", "https://app.example.com"):
            async with connected(address, origin=origin):
                pass
        assert await refused(address, "https://evil.example") == 403


async def test_a_star_lets_everybody_in_who_says_who_they_are():
    async with served(origins=["*"]) as address:
        for origin in ("https://evil.example", "null"):
            async with connected(address, origin=origin):
                pass
        assert await refused(address, "http://[::1") == 403


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_info_is_readable_for_pages_that_may(method):
    allow = "Access-Control-Allow-Origin"
    async with served(origins=["https://app.example.com"]) as address:
        for origin in ("http://localhost:1234", "https://app.example.com"):
            response = await fetch(address, "/sockjs/info", method, Origin=origin)
            assert response.headers[allow] == origin
        for origin in ("https://evil.example", "null", "http://[::1"):
            response = await fetch(address, "/sockjs/info", method, Origin=origin)
            assert allow not in response.headers
            assert response.headers["Vary"] == "Origin"


@pytest.mark.parametrize("allowed", [(), ("*",), ("null",), ("https://app.example.com",)])
@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "NULL",
        "https://evil.example",
        "http://[",
        "https://app.example.com",
        "http://host:1",
    ],
)
def test_trust_is_for_pages_that_are_known(allowed, origin):
    is_own = origin == "http://host:1"
    is_named = origin in allowed and origin != "null"
    assert Origins(allowed).trusts(origin, "host:3000") is (is_own or is_named)
