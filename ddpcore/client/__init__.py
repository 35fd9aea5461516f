"""The client's side of DDP, without sockets: what to say, what to keep, when to try again.

`ddpcore_tornado.client` drives it over WebSockets.
"""

from ddpcore.client.documents import Change, Documents
from ddpcore.client.machine import Call, Effects, Machine, Sub
from ddpcore.client.passwords import password_digest
from ddpcore.client.retry import retry_delay
from ddpcore.client.url import websocket_url

__all__ = [
    "Call",
    "Change",
    "Documents",
    "Effects",
    "Machine",
    "Sub",
    "password_digest",
    "retry_delay",
    "websocket_url",
]
