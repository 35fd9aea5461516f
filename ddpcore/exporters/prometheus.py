"""Metrics for Prometheus, by `prometheus-client`.

Names and units follow Prometheus' conventions. Labels are only what a project has few of: names
of methods, publications and collections, kinds and error codes; never users or connections.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from weakref import WeakSet

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ddpcore.bus import BusEvent, Gap
from ddpcore.errors import MeteorError
from ddpcore.hookspecs import hookimpl
from ddpcore.live.observer import Observer
from ddpcore.server.context import MethodContext, PublicationContext
from ddpcore.server.server import Server

__all__ = ["CONTENT_TYPE", "Prometheus", "of_process"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The header Content-Type for what `Prometheus.render` gives."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of histograms' buckets: from what a method in memory takes to what a client may
give up at."""

MOST_CODES = 100
"""Different error codes that are kept apart; a handler might make them of what it is given."""

KINDS = frozenset({"connect", "method", "ping", "pong", "sub", "unsub", "disconnect"})
"""The messages there are; a client may send others."""


class Prometheus:
    """A plugin that measures servers: ``Server(plugins=[Prometheus()])``.

    Args:
        registry: Where the metrics are; by default a registry of their own.

    Attributes:
        registry: The same.
    """

    ddpcore_name = "prometheus"

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        self._servers: WeakSet[Server] = WeakSet()
        self._codes: set[str] = set()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"ddpcore_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            name = f"ddpcore_{name}_seconds"
            return Histogram(name, text, labels, registry=registry, buckets=SECONDS)

        self._opened = counter("sessions_opened", "Sessions that have begun.")
        self._messages = counter(
            "messages_received", "Messages of clients, by what they are.", "kind"
        )
        self._received = counter("received_bytes", "Bytes of what clients send.")
        self._methods = histogram(
            "method", "Time that calls of methods took, waiting for a thread included.", "method"
        )
        self._failed = counter("method_errors", "Calls that ended in an error.", "method", "error")
        self._ready = histogram(
            "subscription_ready", "Time from a subscription to its ready.", "publication"
        )
        self._refused = counter(
            "subscription_errors", "Subscriptions that an error ended.", "publication", "error"
        )
        self._queries = histogram(
            "query", "Time that questions to the database took.", "kind", "collection"
        )
        self._changes = counter("bus_changes", "Changes that the bus has delivered.", "op")
        self._gaps = counter("bus_gaps", "Times when changes may have been missed.")
        self._fences = histogram(
            "fence", "Time that methods' own writes took to come back: the lag."
        )
        self._errors = counter("internal_errors", "Failures that clients see as a 500.", "kind")
        registry.register(_Present(self._servers))

    def render(self) -> bytes:
        """The metrics, as Prometheus reads them; see `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    @hookimpl
    def ddpcore_register(self, server: Server) -> None:
        """Look at this server when asked."""
        self._servers.add(server)

    @hookimpl
    def ddpcore_session_opened(self) -> None:
        """Count it."""
        self._opened.inc()

    @hookimpl
    def ddpcore_message(self, kind: str | None, size: int) -> None:
        """Count it."""
        self._messages.labels(kind if kind in KINDS else "other").inc()
        self._received.inc(size)

    @hookimpl
    def ddpcore_method_ended(
        self, context: MethodContext, seconds: float, error: MeteorError | None
    ) -> None:
        """Measure it."""
        self._methods.labels(context.name).observe(seconds)
        if error is not None:
            self._failed.labels(context.name, self._code(error)).inc()

    @hookimpl
    def ddpcore_subscription_ready(self, context: PublicationContext, seconds: float) -> None:
        """Measure it."""
        self._ready.labels(context.name or "").observe(seconds)

    @hookimpl
    def ddpcore_subscription_ended(
        self, context: PublicationContext, error: MeteorError | None
    ) -> None:
        """Count those that failed."""
        if error is not None:
            self._refused.labels(context.name or "", self._code(error)).inc()

    @hookimpl
    def ddpcore_observer_asked(self, observer: Observer[Any], seconds: float) -> None:
        """Measure it."""
        self._queries.labels(observer.kind, observer.name).observe(seconds)

    @hookimpl
    def ddpcore_bus_event(self, event: BusEvent) -> None:
        """Count it."""
        if isinstance(event, Gap):
            self._gaps.inc()
        else:
            self._changes.labels(event.op.name.lower()).inc()

    @hookimpl
    def ddpcore_fence_passed(self, seconds: float) -> None:
        """Measure it."""
        self._fences.observe(seconds)

    @hookimpl
    def ddpcore_error(self, where: str) -> None:
        """Count it."""
        self._errors.labels(where.partition(" ")[0]).inc()

    def _code(self, error: MeteorError) -> str:
        code = str(error.error)
        if code not in self._codes:
            if len(self._codes) >= MOST_CODES:
                return "other"
            self._codes.add(code)
        return code


def of_process() -> Prometheus:
    """The plugin, with what the process takes: processor, memory, files (on Linux)."""
    metrics = Prometheus()
    ProcessCollector(registry=metrics.registry)
    return metrics


class _Present(Collector):
    """What is there at the moment it is asked for: nothing is counted for it before."""

    def __init__(self, servers: Iterable[Server]) -> None:
        self._servers = servers

    def collect(self) -> Iterator[Metric]:
        """The metrics of all servers together."""
        servers = list(self._servers)

        def gauge(name: str, text: str, value: float) -> Metric:
            return GaugeMetricFamily(f"ddpcore_{name}", text, value)

        def counted(name: str, text: str, value: float) -> Metric:
            return CounterMetricFamily(f"ddpcore_{name}", text, value)

        sessions = [each for server in servers for each in list(server.sessions.values())]
        subscriptions = sum(len(each.machine.subscriptions) for each in sessions)
        yield gauge("sessions", "Sessions, those of clients that may come back too.", len(sessions))
        yield gauge("subscriptions", "Subscriptions.", subscriptions)
        observers = [each for server in servers for each in server.observers()]
        kinds = GaugeMetricFamily(
            "ddpcore_observers",
            "Distinct queries that are watched: matched, polled, keys.",
            labels=["kind"],
        )
        for kind in ("matched", "keys", "polled"):
            kinds.add_metric([kind], sum(each.kind == kind for each in observers))
        yield kinds
        documents = sum(len(each.items) for each in observers)
        yield gauge("documents", "Rows that the results of these queries hold.", documents)
        traffic = [server.traffic for server in servers]
        yield gauge(
            "clients_blocked",
            "Clients that do not take what they are sent, at present.",
            sum(each.blocked for each in traffic),
        )
        for name, attribute, text in (
            ("frames_sent", "frames", "Messages to clients."),
            ("sent_bytes", "bytes", "Bytes of what clients are sent."),
            ("clients_slowed", "slowed", "Times that a client became one that takes nothing."),
            ("clients_cut_off", "cut_off", "Clients that were given up for it."),
            (
                "changes_put_together",
                "put_together",
                "Changes that slow clients need not be told one by one.",
            ),
        ):
            yield counted(name, text, sum(getattr(each, attribute) for each in traffic))
        connected = [server.bus.connected for server in servers if server.running]
        yield gauge(
            "bus_connected", "1: changes are heard as they happen; 0: they are not.", all(connected)
        )
