"""What the wire adds to a message."""

from __future__ import annotations

import json

import pytest

from ddpcore.wire.frame import Frame
from ddpcore_tornado.framing import (
    sockjs_array,
    sockjs_farewell,
    sockjs_websocket,
    websocket_text,
)


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, "81 00"),
        (125, "81 7d"),
        (126, "81 7e 007e"),
        (65_535, "81 7e ffff"),
        (65_536, "81 7f 0000000000010000"),
    ],
)
def test_websocket_header(length, header):
    payload = b"x" * length
    assert websocket_text(payload) == bytes.fromhex(header) + payload


@pytest.mark.parametrize(
    "text", ['{"msg":"ping"}', '{"a":"\\"\\\\/\\u2028\\ud800\\u0000"}', '{"a":"' + "x" * 200 + '"}']
)
def test_sockjs_array(text):
    framed = sockjs_array(text.encode())
    assert framed.startswith(b'a["')
    assert json.loads(framed[1:]) == [text]
    assert framed.isascii()
    assert sockjs_websocket(text.encode()) == websocket_text(framed)


def test_sockjs_farewell():
    assert sockjs_farewell(1000, "Normal closure") == b'\x81\x18c[1000,"Normal closure"]'


def test_a_frame_is_wrapped_once_for_each_framing():
    frame = Frame(b"{}")
    wrapped = frame.wrapped(websocket_text)
    assert frame.wrapped(websocket_text) is wrapped
    assert frame.wrapped(sockjs_websocket) == b'\x81\x07a["{}"]'
