"""What the command line attaches to a server: metrics, logs of events, spans."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from ddpcore.errors import DDPError
from ddpcore.server import Server
from ddpcore_tornado.options import Options

__all__ = ["attach", "check"]


def check(options: Options, *, monitored: bool) -> None:
    """See that what was asked for is installed, and has a place.

    Args:
        options: What was asked for.
        monitored: Whether there is an address for the monitor.

    Raises:
        ddpcore.DDPError: It is not; the text says what to do.
    """
    for option, wanted in (("--metrics", options.metrics), ("--status", options.status)):
        if wanted and not monitored:
            raise DDPError(
                f"{option} needs an address that is not that of the clients: give --monitor, such "
                "as --monitor 127.0.0.1:9000."
            )
    if options.metrics:
        _exporter("prometheus", "--metrics", "prometheus-client", "prometheus")
    if options.opentelemetry:
        _exporter("otel", "--opentelemetry", "opentelemetry-api", "opentelemetry")


def attach(server: Server, options: Options) -> Callable[[], bytes] | None:
    """Attach what was asked for, but for what the server has already.

    Args:
        server: One that has not been started.
        options: What was asked for.

    Returns:
        The metrics as Prometheus reads them, if they were asked for.
    """
    plugins = server.plugins
    if options.log_events and not plugins.has_plugin("event-log"):
        plugins.register(_exporter("logs").EventLog(), "event-log")
    if options.opentelemetry and not plugins.has_plugin("opentelemetry"):
        plugins.register(_exporter("otel").OpenTelemetry(), "opentelemetry")
    if not options.metrics:
        return None
    metrics = plugins.get_plugin("prometheus")
    if metrics is None:
        metrics = _exporter("prometheus").of_process()
        plugins.register(metrics, "prometheus")
        metrics.ddpcore_register(server)
    render: Callable[[], bytes] = metrics.render
    return render


def _exporter(module: str, option: str = "", package: str = "", extra: str = "") -> Any:
    # Loaded when asked for: each takes a package that may not be there.
    try:
        return import_module(f"ddpcore.exporters.{module}")
    except ImportError as problem:
        raise DDPError(
            f"{option} needs {package} ({problem}): pip install 'ddpcore[{extra}]'."
        ) from problem
