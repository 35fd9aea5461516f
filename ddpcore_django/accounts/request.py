"""The request that brought a client here, for those in Django who want to see one."""

from __future__ import annotations

from ipaddress import ip_address

from django.http import HttpRequest

from ddpcore.server.context import ConnectionHandle

__all__ = ["ConnectionRequest"]

# What proxies add. Where one of these is, the peer of the socket is not the client.
_FORWARDED = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto",
              "x-real-ip", "x-client-ip", "x-cluster-client-ip", "via")  # fmt: skip


class ConnectionRequest(HttpRequest):
    """A connection as authentication backends and the receivers of signals see it.

    It has the headers that handlers may see, and the client's address; no cookies, no session, and
    nothing of what the method was called with.

    Args:
        connection: The client's connection.
        method: The name of the DDP method, as the path.
    """

    def __init__(self, connection: ConnectionHandle, method: str) -> None:
        super().__init__()
        self.method = "POST"
        self.path = self.path_info = f"/{method}"
        self._connection = connection
        for name, value in connection.headers.items():
            self.META["HTTP_" + name.upper().replace("-", "_")] = value
        if connection.client_address is not None:
            self.META["REMOTE_ADDR"] = connection.client_address

    def _get_scheme(self) -> str:
        # `is_secure()` asks SECURE_PROXY_SSL_HEADER first: proxies are believed as Django does.
        return "https" if self._connection.secure else "http"

    def is_local(self) -> bool:
        """Whether the client is on this machine: its address is, and no proxy has spoken."""
        address = self._connection.client_address
        if address is None or any(name in self._connection.headers for name in _FORWARDED):
            return False
        try:
            return ip_address(address).is_loopback
        except ValueError:
            return False
