"""An audit log: a line of JSON for each method, publication, login and session."""

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from ddpcore import (
    ConnectionHandle,
    Context,
    MeteorError,
    MethodContext,
    PublicationContext,
    hookimpl,
)  # fmt: skip
from ddpcore_audit.writing import FileSink

__all__ = ["Audit", "FileSink", "installed"]
log = logging.getLogger(__name__)
LONGEST = 2_000  # characters of parameters that are kept


class Audit:
    """The plugin.

    Args:
        sink: Takes the lines, and must not block: a `FileSink`, or the `info` of a logger.
            None: nothing is audited.
        keep: Whose parameters are written: ``"books.add"`` all of that method or publication,
            ``"books.add:0"`` the first alone. Of all others there are only the types.
    """

    def __init__(self, sink: Callable[[str], object] | None, keep: Iterable[str] = ()) -> None:
        self._sink = sink
        self._keep = frozenset(keep)

    @hookimpl
    def ddpcore_session_opened(self, connection: ConnectionHandle) -> None:
        agent = connection.headers.get("user-agent")
        self._write("opened", connection, agent=agent)

    @hookimpl
    def ddpcore_session_closed(self, connection: ConnectionHandle) -> None:
        self._write("closed", connection)

    @hookimpl
    def ddpcore_user_changed(self, connection: ConnectionHandle, user_id: str | None) -> None:
        self._write("user", connection, user=user_id)

    @hookimpl
    def ddpcore_around_method(
        self, context: MethodContext, params: list[Any]
    ) -> AbstractAsyncContextManager[None] | None:
        return self._around("method", context, params) if self._sink else None

    @hookimpl
    def ddpcore_around_publication(
        self, context: PublicationContext, params: list[Any]
    ) -> AbstractAsyncContextManager[None] | None:
        return self._around("publication", context, params) if self._sink else None

    @asynccontextmanager
    async def _around(self, what: str, context: Context, params: list[Any]) -> AsyncIterator[None]:
        told = self._told(context.name, params)  # now: a handler may change them
        began, outcome = time.perf_counter(), {"outcome": "ok"}
        try:
            yield
        except MeteorError as problem:
            outcome = {"outcome": "refused", "error": problem.error}
            raise
        except asyncio.CancelledError:
            outcome = {"outcome": "cancelled"}
            raise
        except BaseException as problem:
            outcome = {"outcome": "failed", "error": type(problem).__name__}
            raise
        finally:
            duration = round((time.perf_counter() - began) * 1000, 3)
            who, where = context.user_id, context.connection
            self._write(
                what, where, user=who, name=context.name, params=told, ms=duration, **outcome
            )

    def _told(self, name: str | None, params: list[Any]) -> list[Any]:
        kept = [name in self._keep or f"{name}:{n}" in self._keep for n in range(len(params))]
        told = [
            each if keep else f"<{type(each).__name__}>"
            for each, keep in zip(params, kept, strict=True)
        ]
        text = json.dumps(told, default=str)
        return json.loads(text) if len(text) <= LONGEST else [text[:LONGEST] + "…"]

    def _write(self, what: str, connection: ConnectionHandle, **more: Any) -> None:
        if self._sink is None:
            return
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "what": what,
            "session": connection.id,
            "address": connection.client_address,
        }
        try:
            self._sink(json.dumps(line | more, default=str))
        except Exception:  # an audit log must not hurt those it tells of
            log.exception("An audit line could not be written")


def from_environment() -> Audit:
    """``DDPCORE_AUDIT``: a file, or ``logging``; ``DDPCORE_AUDIT_KEEP``: names with commas."""
    where, keep = os.environ.get("DDPCORE_AUDIT"), os.environ.get("DDPCORE_AUDIT_KEEP", "")
    sink = log.info if where == "logging" else FileSink(where) if where else None
    return Audit(sink, filter(None, map(str.strip, keep.split(","))))


installed = from_environment()
