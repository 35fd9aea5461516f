"""SockJS, as its own client and Meteor's speak it: over the WebSocket transport."""

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


def test_sockjs_client(launch, writer, janet):
    client = launch("ddpjs", "websocket")
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
def test_sockjs_client_in_a_browser(launch):
    client = launch("sockjs")
    client.do("connect")
    client.do("open", "websocket")
    client.until("open", transport="websocket")

    client.do("send", {"msg": "connect", "version": "1", "support": ["1"]})
    client.until("message", msg="connected")
    echo = {"msg": "method", "id": "1", "method": "interop.echo", "params": ["é\u2028"]}
    client.do("send", echo)
    client.until("message", msg="result", id="1", result="é\u2028")
