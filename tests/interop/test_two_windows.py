"""The page of the bookstore example in two windows, over each transport that browsers have.

The page is as it is: what it takes for a WebSocket is a SockJS socket with one transport to choose
from. Which one it was, the requests tell.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.pg]

TITLE = "[data-test=book-title]"

WAYS = {
    "websocket": {"WebSocket websocket"},
    "xhr-streaming": {"POST xhr_streaming", "POST xhr_send"},
    "eventsource": {"GET eventsource", "POST xhr_send"},
    "iframe-eventsource": {"GET iframe", "GET eventsource", "POST xhr_send"},
    "htmlfile": {"GET htmlfile", "POST xhr_send"},
    "iframe-htmlfile": {"GET iframe", "GET htmlfile", "POST xhr_send"},
    "xhr-polling": {"POST xhr", "POST xhr_send"},
    "iframe-xhr-polling": {"GET iframe", "POST xhr", "POST xhr_send"},
    "jsonp-polling": {"GET jsonp", "POST jsonp_send"},
}
BY_HTTP = [transport for transport in WAYS if transport != "websocket"]


@pytest.fixture
def open_shops(start, writer, tmp_path):
    """Open the shop in two windows."""

    def open_shops(site, *transport):
        author = writer("create", "Author", name="Jane Austen", email="jane@example.org")
        writer("create", "Book", title="Emma", author_id=author)
        windows = start("windows", site.url, str(tmp_path), *transport)
        for window in ("left", "right"):
            windows.do("open", window, "/shop")
            windows.do("see", window, TITLE, "Emma")
        return windows

    return open_shops


def rename(windows, window, old, new):
    windows.do("click", window, f"{TITLE}:text-is('{old}')")
    windows.do("fill", window, "[data-test=edit]", new)
    windows.do("press", window, "[data-test=edit]", "Enter")


def changes_go_both_ways(windows, writer):
    rename(windows, "left", "Emma", "Persuasion")
    windows.do("see", "right", TITLE, "Persuasion")
    windows.do("unsee", "right", TITLE, "Emma")
    rename(windows, "right", "Persuasion", "Lady Susan")
    windows.do("see", "left", TITLE, "Lady Susan")
    writer("save_all", "Book", title="Sanditon")  # another process
    for window in ("left", "right"):
        windows.do("see", window, TITLE, "Sanditon")


def used(windows, transport):
    for window in ("left", "right"):
        assert windows.do("transports", window) == [transport]  # one, which was never lost
        assert set(windows.do("ways", window)) == WAYS[transport]


def test_over_a_raw_websocket(open_shops, site, writer):
    windows = open_shops(site)
    changes_go_both_ways(windows, writer)
    for window in ("left", "right"):
        assert windows.do("ways", window) == ["WebSocket /websocket"]


@pytest.mark.parametrize("transport", WAYS)
def test_over(open_shops, site, writer, transport):
    windows = open_shops(site, transport)
    changes_go_both_ways(windows, writer)
    used(windows, transport)


@pytest.mark.parametrize("transport", BY_HTTP)
def test_with_two_workers_over(open_shops, workers, writer, transport):
    windows = open_shops(workers, transport)
    changes_go_both_ways(windows, writer)
    used(windows, transport)
