"""Addresses, passwords and pauses."""

from __future__ import annotations

import pytest

from ddpcore.client import password_digest, retry_delay, websocket_url
from ddpcore.errors import DDPError

ADDRESSES = {
    "localhost:8000": "ws://localhost:8000/websocket",
    "example.org": "ws://example.org/websocket",
    "[::1]:8000": "ws://[::1]:8000/websocket",
    "http://example.org": "ws://example.org/websocket",
    "https://example.org:8443/": "wss://example.org:8443/websocket",
    "https://example.org/app/": "wss://example.org/app/websocket",
    "ws://example.org/websocket": "ws://example.org/websocket",
    "wss://example.org/app/websocket/": "wss://example.org/app/websocket",
    "ws://example.org/sockjs/websocket?x=1": "ws://example.org/sockjs/websocket?x=1",
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_addresses(text):
    assert websocket_url(text) == ADDRESSES[text]


@pytest.mark.parametrize(
    "text", ["", ":8000", "ftp://example.org", "http://", "host:port", "a b", "http://[::1", "h\n"]
)
def test_what_is_no_address(text):
    with pytest.raises(DDPError, match="Write localhost:8000"):
        websocket_url(text)


def test_secrets_are_no_part_of_an_address_and_not_repeated():
    with pytest.raises(DDPError) as caught:
        websocket_url("https://me:hunter2@example.org")
    assert "hunter2" not in str(caught.value)


def test_passwords_are_hashed_as_meteor_does():
    assert password_digest("secret") == {
        "digest": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
        "algorithm": "sha-256",
    }
    # The vector of a Meteor 3.0.4: it is not the hash of the UTF-8.
    assert password_digest("😀")["digest"].startswith("ea645893a930e087")


def test_pauses():
    assert [retry_delay(attempt, 0.5) for attempt in (0, 1)] == [0.01, 0.01]
    assert retry_delay(2, 0.5) == pytest.approx(4.84)
    assert (retry_delay(2, 0), retry_delay(2, 1)) == pytest.approx((3.63, 6.05))
    assert retry_delay(8, 0.5) == retry_delay(10**6, 0.5) == 300
