"""Spans for OpenTelemetry: one around each method and each publication's handler.

It takes `opentelemetry-api`; where spans go is for the application to say, as ever. Handlers run
within their span, also those in threads, so what they do (queries, requests) is seen below it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, TracerProvider

from ddpcore.errors import MeteorError
from ddpcore.exporters import SHOWN
from ddpcore.hookspecs import hookimpl
from ddpcore.server.context import Context

__all__ = ["OpenTelemetry"]


class OpenTelemetry:
    """A plugin that makes spans: ``Server(plugins=[OpenTelemetry()])``.

    Args:
        provider: Where they go; by default the global one.

    Arguments of calls are not in spans, since nobody knows which of them are secrets. The
    attributes are those of OpenTelemetry's conventions for RPC, and ``enduser.id``,
    ``session.id`` (its first eight characters) and ``client.address``.
    """

    ddpcore_name = "opentelemetry"

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer: Tracer = trace.get_tracer("ddpcore", tracer_provider=provider)

    @hookimpl(tryfirst=True)
    def ddpcore_around_method(self, context: Context) -> AbstractAsyncContextManager[None]:
        """A span ``method NAME``."""
        return self._span("method", context)

    @hookimpl(tryfirst=True)
    def ddpcore_around_publication(self, context: Context) -> AbstractAsyncContextManager[None]:
        """A span ``publication NAME``."""
        return self._span("publication", context)

    @asynccontextmanager
    async def _span(self, kind: str, context: Context) -> AsyncIterator[None]:
        attributes = {
            "rpc.system": "ddp",
            "rpc.service": kind,
            "rpc.method": context.name or "",
            "session.id": context.connection.id[:SHOWN],
        }
        if context.user_id is not None:
            attributes["enduser.id"] = context.user_id
        if context.connection.client_address is not None:
            attributes["client.address"] = context.connection.client_address
        with self._tracer.start_as_current_span(
            f"{kind} {context.name or 'universal'}",
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except MeteorError as problem:  # what the client is told is no fault of the server
                span.set_attribute("rpc.ddp.error", str(problem.error))
                raise
            except Exception as problem:
                span.record_exception(problem)
                span.set_status(Status(StatusCode.ERROR, type(problem).__name__))
                raise
