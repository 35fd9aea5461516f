"""The spans that OpenTelemetry gets."""

from __future__ import annotations

import pytest
from memory_client import client_of
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ddpcore import MeteorError, Server
from ddpcore.exporters.otel import OpenTelemetry


@pytest.fixture
def spans():
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    exporter.plugin = OpenTelemetry(provider)
    exporter.tracer = provider.get_tracer("test")
    yield exporter
    provider.shutdown()


async def test_handlers_run_in_their_spans(spans):
    server = Server(plugins=[spans.plugin])

    @server.method
    def work(ctx, secret):
        with spans.tracer.start_as_current_span("query"):
            return trace.get_current_span().is_recording()

    @server.publish("things")
    async def things(ctx):
        ctx.ready()

    server.publish(None)(lambda ctx: ctx.ready())
    async with client_of(server) as client:
        assert (await client.outcome("work", "s3cret"))["result"] is True
        await client.ready(client.sub("things"))
        session = client.messages[0]["session"]
    found = {each.name: each for each in spans.get_finished_spans()}
    assert set(found) == {"query", "method work", "publication things", "publication universal"}
    inner, outer = found["query"], found["method work"]
    assert inner.parent.span_id == outer.context.span_id
    assert dict(outer.attributes) == {
        "rpc.system": "ddp", "rpc.service": "method", "rpc.method": "work",
        "session.id": session[:8], "client.address": "127.0.0.1",
    }  # fmt: skip
    assert outer.status.is_ok
    assert "s3cret" not in outer.to_json()


async def test_what_goes_wrong(spans, expect_log):
    expect_log("ddpcore.server.runtime", "Exception in method 'fail'")
    server = Server(plugins=[spans.plugin])

    @server.method
    async def fail(ctx):
        raise KeyError("x")

    @server.method
    async def refuse(ctx):
        await ctx.set_user_id("me")
        raise MeteorError(403, "No")

    async with client_of(server) as client:
        for name in ("fail", "refuse", "refuse"):
            await client.outcome(name)
    failed, refused, again = spans.get_finished_spans()
    assert not failed.status.is_ok
    assert [each.name for each in failed.events] == ["exception"]
    assert refused.status.is_ok
    assert refused.attributes["rpc.ddp.error"] == "403"
    assert "enduser.id" not in refused.attributes
    assert again.attributes["enduser.id"] == "me"
