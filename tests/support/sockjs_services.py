"""Services without DDP, to see the transport alone: those that servers of SockJS are tested with.

    PYTHONPATH=.:tests/support python -m sockjs_services 8081

serves them for a test suite from elsewhere.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

from served import listening
from tornado.routing import Rule
from tornado.web import Application, url

from ddpcore.origin import Origins
from ddpcore.transport import Receiver, Transport
from ddpcore.wire.frame import Frame
from ddpcore_tornado.clients import Clients
from ddpcore_tornado.sockjs import Options, rules
from ddpcore_tornado.websocket import RawWebSocket, SockJSWebSocket


class Echo:
    """A receiver that says what it is told, and remembers what happened to it."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.got: list[str | bytes] = []
        self.story: list[str] = []
        self.gone = asyncio.Event()

    def receive(self, text: str | bytes) -> None:
        self.got.append(text)
        payload = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        self.transport.send([Frame(payload)])

    def lost(self) -> None:
        self.story.append("lost")
        self.gone.set()

    def blocked(self) -> None:
        self.story.append("blocked")

    def drained(self) -> None:
        self.story.append("drained")


class Services:
    """A service made of a function that makes receivers; it keeps them."""

    def __init__(
        self, make: Callable[[Transport], Receiver] = Echo, max_message_size: int = 1 << 20
    ) -> None:
        self._make = make
        self._max_message_size = max_message_size
        self.clients: list[Any] = []

    async def start(self) -> None:
        pass

    def accept(self, transport: Transport) -> Receiver:
        transport.max_message_size = self._max_message_size
        transport.receiver = self._make(transport)
        self.clients.append(transport.receiver)
        return transport.receiver


def closing(transport: Transport) -> Receiver:
    transport.close(3000, "Go away!")
    return Echo(transport)


def service_rules(prefix: str, service: Any, options: Options, **more: Any) -> list[Rule]:
    origins = Origins(["*"])
    websocket = {"server": service, "origins": origins, "clients": Clients()}
    sockets = [
        url(rf"{prefix}/websocket/?", RawWebSocket, websocket),
        url(rf"{prefix}/[^/.]+/[^/.]+/websocket/?", SockJSWebSocket, websocket),
    ]
    return rules(
        service,
        prefix=prefix,
        options=options,
        **{"origins": origins, **more},
        before=sockets if options.websocket else (),
    )


@asynccontextmanager
async def serving(service: Any, options: Options | None = None, **more: Any):
    """Serve it at /s; the address."""
    rules = service_rules("/s", service, options or Options(), **more)
    async with listening(Application(rules, log_function=lambda _: None)) as address:
        yield address


def suite() -> list[Rule]:
    """What the test suite of the protocol asks for."""
    short = {"response_limit": 4096, "heartbeat_delay": 25, "disconnect_delay": 5}
    return [
        *service_rules("/echo", Services(), Options(**short)),
        *service_rules("/close", Services(closing), Options(**short)),
        *service_rules("/disabled_websocket_echo", Services(), Options(**short, websocket=False)),
        *service_rules("/cookie_needed_echo", Services(), Options(**short, jsessionid=True)),
    ]


async def main(port: int) -> None:
    Application(suite()).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
