"""Where a server is: the ways people name it, and the WebSocket they mean."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from ddpcore.errors import DDPError

__all__ = ["websocket_url"]

SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
FORMS = "localhost:8000, https://example.org, https://example.org/prefix or wss://…/websocket"


def websocket_url(text: str) -> str:
    """The address of a server's WebSocket.

    Args:
        text: ``host[:port]``, ``http(s)://host[:port][/prefix]`` or ``ws(s)://…``. What does not
            end with ``/websocket`` gets it.

    Raises:
        ddpcore.DDPError: It is none of these.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        _ = parts.port  # which raises where it is no number
    except ValueError as problem:
        raise DDPError(f"{text!r} names no server ({problem}). Write {FORMS}.") from None
    if parts.username is not None or parts.password is not None:
        # Not shown again: there is a secret in it.
        raise DDPError("An address carries no user and no password: log in instead.")
    if parts.scheme not in SCHEMES or not parts.hostname or not text.isprintable() or " " in text:
        raise DDPError(f"{text!r} names no server. Write {FORMS}.")
    path = parts.path.rstrip("/")
    if not path.endswith("/websocket"):
        path += "/websocket"
    return urlunsplit((SCHEMES[parts.scheme], parts.netloc, path, parts.query, ""))
