"""What Prometheus is told."""

from __future__ import annotations

from memory_client import Client, client_of
from prometheus_client.parser import text_string_to_metric_families
from rooms import Rooms

from ddpcore import Gap, MeteorError
from ddpcore.exporters.prometheus import MOST_CODES, Prometheus


def samples(metrics):
    """Name and labels, sorted → value; buckets left out."""
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


def rooms_measured():
    metrics = Prometheus()
    return metrics, Rooms(plugins=[metrics])


async def test_what_is_there():
    metrics, rooms = rooms_measured()
    found = samples(metrics)
    assert found["ddpcore_sessions",] == 0
    assert found["ddpcore_bus_connected",] == 1
    async with client_of(rooms.server) as client:
        other = Client(rooms.server)
        other.connect()
        for each in (client, other):
            await each.ready(each.sub("room", "a", 3))
        await client.ready(client.sub("room", "b", 2))
        found = samples(metrics)
        assert found["ddpcore_sessions",] == 2
        assert found["ddpcore_sessions_opened_total",] == 2
        assert found["ddpcore_subscriptions",] == 3
        assert found["ddpcore_observers", "matched"] == 2
        assert found["ddpcore_documents",] == 5
        assert found["ddpcore_messages_received_total", "sub"] == 3
        assert found["ddpcore_messages_received_total", "connect"] == 2
        assert found["ddpcore_subscription_ready_seconds_count", "room"] == 3
        assert found["ddpcore_query_seconds_count", "matched", "rows"] == 2
        assert found["ddpcore_frames_sent_total",] == rooms.server.traffic.frames > 0
        assert found["ddpcore_sent_bytes_total",] == rooms.server.traffic.bytes > 0
    assert samples(metrics)["ddpcore_sessions",] == 0


async def test_changes_and_gaps():
    metrics, rooms = rooms_measured()
    async with client_of(rooms.server) as client:
        await client.ready(client.sub("room", "a", 1))
        await rooms.change("a0")
        rooms.server.crossbar.deliver(Gap())
        await rooms.server.crossbar.settled()
        found = samples(metrics)
        assert found["ddpcore_bus_changes_total", "update"] == 1
        assert found["ddpcore_bus_gaps_total",] == 1


async def test_methods_and_what_goes_wrong(expect_log):
    expect_log("ddpcore.server.runtime", "Exception in method 'fail'")
    metrics, rooms = rooms_measured()
    server = rooms.server

    @server.method
    def fail(ctx):
        raise KeyError

    @server.method
    @server.publish("refuse")
    def refuse(ctx):
        raise MeteorError(403, "No")

    async with client_of(server) as client:
        for name in ("fail", "refuse", "refuse", "unknown"):
            await client.outcome(name)
        await client.outcome("echo", 1)
        await client.nosub(client.sub("refuse"))
        client.put(msg="made-up")
        client.put(msg="ping", id="x")
        await client.message(msg="pong")
        found = samples(metrics)
    assert found["ddpcore_method_seconds_count", "echo"] == 1
    assert found["ddpcore_method_seconds_count", "refuse"] == 2
    assert found["ddpcore_method_errors_total", "403", "refuse"] == 2
    assert found["ddpcore_method_errors_total", "500", "fail"] == 1
    assert found["ddpcore_subscription_errors_total", "403", "refuse"] == 1
    assert found["ddpcore_internal_errors_total", "method"] == 1
    assert found["ddpcore_messages_received_total", "other"] == 1
    # What clients make up makes no metric.
    assert not any("unknown" in key or "made-up" in key for key in found)


async def test_error_codes_without_end_share_a_label():
    metrics, rooms = rooms_measured()

    @rooms.server.method
    async def refuse(ctx, code):
        raise MeteorError(code)

    async with client_of(rooms.server) as client:
        for number in range(MOST_CODES + 3):
            await client.outcome("refuse", f"code{number}")
    found = samples(metrics)
    codes = [key for key in found if key[0] == "ddpcore_method_errors_total"]
    assert len(codes) == MOST_CODES + 1
    assert found["ddpcore_method_errors_total", "other", "refuse"] == 3
