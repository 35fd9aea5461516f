"""The settings of SockJS."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from ddpcore.errors import DDPError

__all__ = ["Options", "read_options"]

_WORDS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Options:
    """How SockJS is spoken.

    Attributes:
        heartbeat_delay: Seconds of silence after which an open request gets a heartbeat. Less than
            what proxies on the way take for dead. Meteor's value; sockjs-node has 25.
        disconnect_delay: Seconds that a session lives without a request that waits for its frames;
            also how long an answer may lie untaken. A client that hangs up on such a request is
            gone at once. DDP's own `grace_period` comes after it. Meteor's value; sockjs-node has
            5, too few for a machine that is busy for a moment.
        response_limit: Bytes after which a streaming response ends, and the client asks for
            another. Browsers keep all of a response in memory until it ends.
        websocket: Whether clients may use WebSockets. Without, `info` says so, and neither
            ``/websocket`` is there.
        jsessionid: Whether answers to sessions set the cookie ``JSESSIONID``, by which some load
            balancers keep a client at its process.
        client_url: Where the iframe page finds the client's code. It must be the very version
            that pages use. It runs as a page of this host: rather serve it yourself.
        max_waiting: Sessions that may be without a request; further ones are refused with 503.
            Clients are without one for the moment between two polls, but whoever invents session
            ids makes sessions that nobody ever comes back to.

    Raises:
        ddpcore.DDPError: A delay or limit is not positive.
    """

    heartbeat_delay: float = 45.0
    disconnect_delay: float = 60.0
    response_limit: int = 128 * 1024
    websocket: bool = True
    jsessionid: bool = False
    client_url: str = "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js"
    max_waiting: int = 10_000

    def __post_init__(self) -> None:
        for name in ("heartbeat_delay", "disconnect_delay", "response_limit", "max_waiting"):
            if not getattr(self, name) > 0:
                raise DDPError(f"{name} of SockJS must be positive, not {getattr(self, name)!r}.")


def read_options(settings: Iterable[str]) -> Options:
    """Options as they are given on the command line: ``heartbeat_delay=20``, ``websocket=no``.

    Args:
        settings: One setting each; of several for one key the last one counts.

    Raises:
        ddpcore.DDPError: There is no such key, or it cannot have that value; the text says what
            there is.
    """
    defaults = {each.name: each.default for each in fields(Options)}
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key, text = key.strip(), text.strip()
        if not equals or key not in defaults:
            shown = ", ".join(f"{name}={_shown(value)}" for name, value in defaults.items())
            raise DDPError(
                f"--sockjs takes KEY=VALUE, not {setting!r}. The keys, with what they are by "
                f"default: {shown}."
            )
        values[key] = _read(key, text, defaults[key])
    return Options(**values)


def _read(key: str, text: str, default: object) -> object:
    # The default tells of what kind a setting is.
    try:
        if isinstance(default, bool):
            kind = "yes or no"
            return _WORDS[text.lower()]
        if isinstance(default, int):
            kind = "a whole number"
            return int(text)
        if isinstance(default, float):
            kind = "a number of seconds"
            value = float(text)
            if not math.isfinite(value):
                raise ValueError
            return value
    except (KeyError, ValueError):
        raise DDPError(f"--sockjs {key} takes {kind}, not {text!r}.") from None
    if not text:
        raise DDPError(f"--sockjs {key} takes a text, and there is none.")
    return text


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
