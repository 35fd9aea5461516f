"""The settings of SockJS."""

from __future__ import annotations

from dataclasses import dataclass

from ddpcore.errors import DDPError

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """How SockJS is spoken.

    Attributes:
        heartbeat_delay: Seconds of silence after which an open request gets a heartbeat (45, as in
            Meteor; sockjs-node has 25). Less than what proxies on the way take for dead.
        disconnect_delay: Seconds a session lives without a request that waits for its frames (60,
            as in Meteor; sockjs-node has 5, too few for a machine that is busy for a moment).
        response_limit: Bytes after which a streaming response ends, and the client asks for
            another (131072). Browsers keep all of a response in memory until it ends.
        websocket: Whether clients may use WebSockets. Without, ``/websocket`` is not found.
        jsessionid: Set the cookie ``JSESSIONID`` in answers to sessions, for load balancers that
            keep to a process whoever has one.
        client_url: Where the iframe page finds the client's code. It must be the very version
            that pages use. It runs as a page of this host: rather serve it yourself.
        max_waiting: Sessions that may be without a request (10000); further ones are refused with
            503. Clients are without one for the moment between two polls, but whoever invents
            session ids makes sessions that nobody ever comes back to.

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
