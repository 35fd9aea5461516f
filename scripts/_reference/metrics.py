"""The metrics, as the exporter itself describes them."""

from __future__ import annotations

import asyncio

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from _reference import texts
from ddpcore.exporters.prometheus import MOST_CODES, SECONDS, of_process
from ddpcore.server import Server
from ddpcore_tornado.metrics import AllMetrics

__all__ = ["REGIONS"]


def metrics() -> str:
    """All there are, of a process and of the parent of several."""
    exporter = of_process()
    server = Server(plugins=[exporter])
    labels: dict[str, list[str]] = {}
    for collector in exporter.registry._collector_to_names:
        if isinstance(collector, MetricWrapperBase):
            labels[collector._name] = list(collector._labelnames)
    rows = []
    of_parent = asyncio.run(AllMetrics({}).render())
    assert server.plugins
    for family in text_string_to_metric_families(exporter.render().decode() + of_parent):
        if family.name.endswith("_created"):
            continue
        known = labels.get(family.name) or sorted({n for s in family.samples for n in s.labels})
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if name == "ddpcore_worker_up":
            known = ["worker"]
        unit = next((each for each in ("seconds", "bytes") if each in name.split("_")), "")
        rows.append(
            [
                f"`{name}`",
                f"{family.type}, {unit}" if unit else family.type,
                ", ".join(f"`{each}`" for each in known if each != "le"),
                family.documentation.removesuffix("."),
            ]
        )
    rows.sort(key=lambda each: (each[0].startswith("`process"), each[0]))
    return texts.table(["metric", "type, unit", "labels", "meaning"], rows)


def buckets() -> str:
    """The figures that are nowhere else."""
    bounds = ", ".join(f"{each:g}" for each in SECONDS)
    return (
        f"Histograms have buckets up to {bounds} seconds, and above. Of error codes {MOST_CODES} "
        "are kept apart, the rest is `other`."
    )


REGIONS = {"metrics": metrics, "metrics-figures": buckets}
