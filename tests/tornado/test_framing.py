"""What the wire adds to a message."""

from __future__ import annotations

import json

import pytest

from ddpcore.wire.frame import Frame
from ddpcore_tornado.frames import text_frame
from ddpcore_tornado.framing import RAW, SOCKJS
from ddpcore_tornado.sockjs.framing import array


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
    assert text_frame(payload) == bytes.fromhex(header) + payload


@pytest.mark.parametrize(
    "text", ['{"msg":"ping"}', '{"a":"\\"\\\\/\\u2028\\ud800\\u0000"}', '{"a":"' + "x" * 200 + '"}']
)
def test_sockjs_array(text):
    framed = array([Frame(text.encode())] * 2)
    assert framed.startswith(b'a["')
    assert json.loads(framed[1:]) == [text, text]
    assert framed.isascii()
    assert SOCKJS.wrap([Frame(text.encode())] * 2) == text_frame(framed)


def test_sockjs_farewell():
    closing = b"\x88\x10\x03\xe8Normal closure"
    assert SOCKJS.farewell(1000, "Normal closure") == (
        b'\x81\x18c[1000,"Normal closure"]' + closing
    )
    assert RAW.farewell(1000, "Normal closure") == closing


def test_a_frame_is_wrapped_once_for_each_framing():
    frame = Frame(b"{}")
    assert RAW.wrap([frame]) is RAW.wrap([frame])
    assert RAW.wrap([frame, frame]) == b"\x81\x02{}\x81\x02{}"
    assert SOCKJS.wrap([frame, frame]) == b'\x81\x0ca["{}","{}"]'
