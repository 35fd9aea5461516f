"""SockJS, as its own client and Meteor's speak it: every transport that they know."""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.node, pytest.mark.pg]


def read_and_write(client, writer, janet):
    """What clients do most of the time, in short."""
    client.subscribe("AllBooks")
    book = client.do("call", "bookstore.addBook", ["Hot Six", janet])
    client.until("added", _id=book)
    writer("save", "Book", book, title="High Five")
    client.until("changed", _id=book, title="High Five")
    client.do("unsubscribe", "AllBooks")
    client.until("removed", _id=book)


@pytest.mark.parametrize("transport", ["websocket", "xhr-streaming", "eventsource", "xhr-polling"])
def test_sockjs_client(launch, writer, janet, transport):
    client = launch("ddpjs", transport)
    client.do("connect")

    read_and_write(client, writer, janet)


@pytest.mark.browser
def test_meteor_starts_with_sockjs_from_another_origin(launch, site, writer, janet):
    client = launch("meteor", site.url.replace("127.0.0.1", "localhost"))
    client.do("connect")
    client.until("request", url=f"{site.url}/sockjs/info")
    assert re.fullmatch(r"ws://.*/sockjs/\d{3}/\w{8}/websocket", client.until("websocket")["url"])

    read_and_write(client, writer, janet)


@pytest.mark.browser
def test_meteor_without_websocket_polls(launch, site, writer, janet):
    client = launch("meteor", site.url, "no-websocket")
    client.do("connect")

    read_and_write(client, writer, janet)


BROWSER_TRANSPORTS = [
    "websocket",
    "xhr-streaming",
    "eventsource",
    "iframe-eventsource",
    "htmlfile",
    "iframe-htmlfile",
    "xhr-polling",
    "iframe-xhr-polling",
    "jsonp-polling",
]


@pytest.mark.browser
@pytest.mark.parametrize("transport", BROWSER_TRANSPORTS)
def test_sockjs_client_in_a_browser(launch, transport):
    client = launch("sockjs")
    client.do("connect")
    client.do("open", transport)
    client.until("open", transport=transport)

    client.do("send", {"msg": "connect", "version": "1", "support": ["1"]})
    client.until("message", msg="connected")
    text = "é\u2028%25<!--</script>"
    echo = {"msg": "method", "id": "1", "method": "interop.echo", "params": [text]}
    client.do("send", echo)
    client.until("message", msg="result", id="1", result=text)


@pytest.mark.browser
def test_a_foreign_page_gets_nothing_in_ways_that_need_no_permission(launch, site):
    own = launch("sockjs")
    own.do("connect")
    assert own.do("script", "/sockjs/000/interopa/jsonp?c=cb") == "o"
    assert own.do("frame", "/sockjs/iframe.html") == f"{site.url}/sockjs/iframe.html"

    # Another host, though it is this machine.
    foreign = launch("sockjs", site.url.replace("127.0.0.1", "foreign.localhost"))
    foreign.do("connect")
    assert foreign.do("script", "/sockjs/000/interopb/jsonp?c=cb") is None
    assert foreign.do("frame", "/sockjs/iframe.html") != f"{site.url}/sockjs/iframe.html"
