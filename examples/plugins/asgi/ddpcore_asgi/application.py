"""The ASGI application: who is let in, and when the server starts and stops."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from ddpcore import DDPError, Server
from ddpcore.origin import Origins
from ddpcore.transport import Cookies
from ddpcore_asgi.transport import ASGITransport, Receive, Scope, Send, headers_of

__all__ = ["Application", "application"]

logger = logging.getLogger(__name__)

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def application(
    server: Server,
    *,
    path: str = "/websocket",
    origins: Collection[str] = (),
    site: Application | None = None,
) -> Application:
    """An ASGI application that lets clients reach `server`.

    Args:
        server: It is started and stopped with the application (lifespan), or else with its first
            client; then stop it yourself.
        path: Where DDP is, below the place where the application is mounted.
        origins: Origins of web pages that may connect, beside those of the same host; ``*``: all.
        site: What answers everything else, e.g. Django's application.

    Raises:
        ddpcore.DDPError: One of `origins` is none.
    """
    policy = Origins(origins)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        below = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] == "lifespan":
            await _live(server, site, scope, receive, send)
        elif scope["type"] == "websocket" and below.rstrip("/") == path:
            await _serve(server, policy, scope, receive, send)
        elif site is not None:
            await site(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        else:
            text = f"DDP is at {path}\n".encode()
            plain = [(b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 404, "headers": plain})
            await send({"type": "http.response.body", "body": text})

    return app


async def _serve(
    server: Server, policy: Origins, scope: Scope, receive: Receive, send: Send
) -> None:
    await receive()  # websocket.connect
    headers = dict(headers_of(scope))
    origin, host = headers.get("origin"), headers.get("host", "")
    if not policy.allow(origin, host):
        await send({"type": "websocket.close", "code": 1008, "reason": "Not for this origin"})
        return
    cookies = None
    if server.wants_cookies and origin and "cookie" in headers and policy.trusts(origin, host):
        cookies = Cookies(headers["cookie"], origin)
    transport = ASGITransport(scope, receive, send, cookies)
    try:
        await server.start()
        await send({"type": "websocket.accept"})
        server.accept(transport)
    except DDPError as problem:
        logger.error("Cannot serve DDP: %s", problem)  # noqa: TRY400
        await send({"type": "websocket.close", "code": 1013, "reason": "Try again later"})
        return
    await transport.run()


async def _live(
    server: Server, site: Application | None, scope: Scope, receive: Receive, send: Send
) -> None:
    heard = False

    async def hear() -> MutableMapping[str, Any]:
        nonlocal heard
        heard = True
        event = await receive()
        if event["type"] == "lifespan.startup":
            await server.start()
        else:
            await server.stop()
        return event

    if site is not None:
        try:
            await site(scope, hear, send)
            return
        except Exception:
            if heard:
                raise  # else it knows no lifespan, as Django's: then this is ours alone
    try:
        await hear()
    except DDPError as problem:
        await send({"type": "lifespan.startup.failed", "message": str(problem)})
        return
    await send({"type": "lifespan.startup.complete"})
    await hear()
    await send({"type": "lifespan.shutdown.complete"})
