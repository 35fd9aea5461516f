"""SockJS over HTTP, for clients whose way to the server lets no WebSocket through.

The protocol is SockJS 0.3.3, as sockjs-node 0.3.24 (that of Meteor 3.0.4) speaks it. What lies
above is a `Service`; nothing in here knows DDP.
"""

from __future__ import annotations

from ddpcore_tornado.sockjs.options import Options, read_options
from ddpcore_tornado.sockjs.rules import rules
from ddpcore_tornado.sockjs.service import Service
from ddpcore_tornado.sockjs.session import SockJSSession

__all__ = ["Options", "Service", "SockJSSession", "read_options", "rules"]
