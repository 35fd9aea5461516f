"""An echo on the connections of ddpcore_tornado, for the Autobahn Testsuite.

    python scripts/autobahn_echo.py 9001 [CERTIFICATE KEY]

The suite needs Python 2.7 (`pip install autobahntestsuite`); then, with 12 and 13, the cases of
compression, excluded in the specification::

    wstest -m fuzzingclient -s spec.json

All cases pass. 6.4.* are "non-strict": text that is not UTF-8 is refused when its message is
complete, not at the first wrong byte.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application

from ddpcore.origin import Origins
from ddpcore.transport import Transport
from ddpcore.wire.frame import Frame
from ddpcore_tornado.clients import Clients
from ddpcore_tornado.connection import Connection
from ddpcore_tornado.frames import text_frame
from ddpcore_tornado.websocket import RawWebSocket

LARGEST = 32 * 1024 * 1024


class Echo:
    """A session that says what it hears."""

    def __init__(self, transport: Connection) -> None:
        self.transport = transport

    def receive(self, text: str | bytes) -> None:
        """Send it back, in a frame of its kind."""
        if isinstance(text, str):
            self.transport.send([Frame(text.encode())])
        else:  # which DDP never sends
            self.transport._wire.write(b"\x82" + text_frame(text)[1:])

    def lost(self) -> None:
        """Nothing to do."""

    blocked = drained = lost


class Server:
    """Takes every client."""

    async def start(self) -> None:
        """Nothing to do."""

    def accept(self, transport: Transport) -> None:
        """Let it hear itself."""
        assert isinstance(transport, Connection)
        transport.max_message_size = LARGEST
        transport.receiver = Echo(transport)


async def main(port: str, *certificate: str) -> None:
    """Serve for ever."""
    options: dict[str, Any] = {
        "server": Server(),
        "origins": Origins(["*"]),
        "clients": Clients(),
    }
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*certificate)
    HTTPServer(Application([("/.*", RawWebSocket, options)]), ssl_options=tls).listen(int(port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
