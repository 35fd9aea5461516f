"""What the wire adds to a message: WebSocket frame headers and SockJS arrays."""

from __future__ import annotations

import ujson

__all__ = ["sockjs_array", "sockjs_farewell", "sockjs_websocket", "websocket_text"]

_FINAL_TEXT = 0x81
_TWO_BYTES, _EIGHT_BYTES = 126, 127


def websocket_text(payload: bytes) -> bytes:
    """A text frame from server to client, which is never masked (RFC 6455, section 5.2)."""
    length = len(payload)
    if length < _TWO_BYTES:
        return bytes((_FINAL_TEXT, length)) + payload
    if length <= 0xFFFF:
        return bytes((_FINAL_TEXT, _TWO_BYTES)) + length.to_bytes(2, "big") + payload
    return bytes((_FINAL_TEXT, _EIGHT_BYTES)) + length.to_bytes(8, "big") + payload


def sockjs_array(payload: bytes) -> bytes:
    """One message as a SockJS array frame: ``a["…"]``."""
    # The text is ASCII and what SockJS wants escaped is escaped in it already.
    return (
        b"a[" + ujson.dumps(payload.decode("ascii"), escape_forward_slashes=False).encode() + b"]"
    )


def sockjs_websocket(payload: bytes) -> bytes:
    """A SockJS array in a WebSocket text frame."""
    return websocket_text(sockjs_array(payload))


def sockjs_farewell(code: int, reason: str) -> bytes:
    """The frame that announces a close to a SockJS client, in a WebSocket text frame."""
    return websocket_text(b"c" + ujson.dumps([code, reason]).encode())
