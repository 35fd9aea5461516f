"""docs/how-to/metrics.md, followed literally; its alarms ask for metrics that there are."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from pages import files, write
from prometheus_client.parser import text_string_to_metric_families
from reader import Reader, bookstore

from ddpcore_tornado.metrics import AllMetrics

PAGE = "how-to/metrics.md"
# Of Prometheus itself.
OTHERS = {"up"}
WORDS = {"by", "instance", "kind", "le", "job", "ddpcore"}
FUNCTIONS = {"min", "max", "sum", "rate", "histogram_quantile"}


@pytest.mark.timeout(300)
def test_the_metrics_can_be_read(tmp_path: Path) -> None:
    with Reader(bookstore(tmp_path)) as reader:
        reader.read(PAGE)
        told = reader.type("curl -s localhost:9000/metrics")
    of_parent = asyncio.run(AllMetrics({}).render())
    names = {
        sample.name
        for family in text_string_to_metric_families(told + of_parent)
        for sample in family.samples
    }
    # What has labels has no sample before something happens.
    names |= {each.split()[2] for each in told.splitlines() if each.startswith("# TYPE")}
    rules = yaml.safe_load(files(PAGE)["alerts.yml"])["groups"][0]["rules"]
    assert len(rules) > 5
    asked = set()
    for rule in rules:
        assert rule["annotations"]["summary"]
        text = re.sub(r'"[^"]*"|\[\w+\]', "", rule["expr"])
        asked |= set(re.findall(r"[a-z_]+", text))
    assert asked - WORDS - FUNCTIONS - OTHERS - names == set()


def test_prometheus_takes_the_files(tmp_path: Path) -> None:
    config = yaml.safe_load(files(PAGE)["prometheus.yml"])
    assert config["rule_files"] == ["alerts.yml"]
    write(files(PAGE), tmp_path)
    if (promtool := shutil.which("promtool")) is not None:
        command = [promtool, "check", "config", "prometheus.yml"]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
