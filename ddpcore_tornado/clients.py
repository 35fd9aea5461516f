"""DDP clients, by who they are: peers of sockets, or whom the proxies before us have heard."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ddpcore.forwarded import client_address
from ddpcore_tornado.crowd import Crowd, Place

__all__ = ["Clients"]


class Clients:
    """Counts the clients of each address, whether they hold a socket or only a session.

    Args:
        most_of_one: How many there may be of one address; None: any number.
        proxies: How many proxies stand before the server.
    """

    def __init__(
        self, most_of_one: int | None = None, proxies: Callable[[], int] = lambda: 0
    ) -> None:
        self._proxies = proxies
        self._crowd = Crowd("clients", None, most_of_one, proxies=proxies)

    def enter(self, peer: str | None, headers: Mapping[str, str]) -> Place:
        """Take a place.

        Args:
            peer: The IP address of the socket's peer; None if it has none.
            headers: The headers of the request, names in lower case.

        Raises:
            ddpcore_tornado.crowd.TooMany: There is none.
        """
        return self._crowd.enter(client_address(peer, headers, self._proxies()))
