"""The metrics' names, the text of several workers, the dashboard, and the page of the docs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rooms import Rooms

from ddpcore.exporters.prometheus import Prometheus, of_process
from ddpcore_tornado.backroom import backrooms
from ddpcore_tornado.metrics import AllMetrics, merged

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "examples" / "deploy" / "grafana.json"
PAGE = ROOT / "docs" / "how-to" / "monitoring.md"
REFERENCE = ROOT / "docs" / "reference" / "metrics.md"

# On the dashboard they would say nothing that is not there already.
LEFT_OUT = {"process_virtual_memory_bytes", "process_start_time_seconds"}


async def families() -> dict[str, object]:
    """All there are, by the names that Prometheus knows them by: of a process and of a parent."""
    metrics = of_process()
    rooms = Rooms(plugins=[metrics])
    assert rooms.server
    text = merged({1: metrics.render().decode()}) + await AllMetrics({}).render()
    return {
        f"{each.name}_total" if each.type == "counter" else each.name: each
        for each in text_string_to_metric_families(text)
        if not each.name.endswith("_created")
    }


async def test_names_are_as_prometheus_wants_them():
    # What `promtool check metrics` looks at.
    for name, family in (await families()).items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert family.documentation
        assert not re.search(r"_(count|sum|bucket|info)$", name)
        assert not re.search(r"(counter|gauge|histogram|summary)", name)
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|kilobytes|percent)(_|$)", name)
        assert name.endswith("_total") == (family.type == "counter")
        if family.type == "histogram":
            assert name.endswith("_seconds")
        assert name.startswith(("ddpcore_", "process_"))


def test_texts_of_workers_are_put_together():
    one = (
        "# HELP a_total What.\n# TYPE a_total counter\na_total 1.0\n"
        '# HELP b Which.\n# TYPE b gauge\nb{x="{}, \\"y\\" 1"} 2.0\n'
    )
    two = "# HELP b Which.\n# TYPE b gauge\nb{} 3.0\n# HELP c More.\n# TYPE c gauge\nc 4 17\n"
    assert merged({1: one, 3: two}) == (
        '# HELP a_total What.\n# TYPE a_total counter\na_total{worker="1"} 1.0\n'
        '# HELP b Which.\n# TYPE b gauge\nb{worker="1",x="{}, \\"y\\" 1"} 2.0\nb{worker="3"} 3.0\n'
        '# HELP c More.\n# TYPE c gauge\nc{worker="3"} 4 17\n'
    )
    assert merged({}) == ""


def test_nothing_is_lost_on_the_way():
    texts = {}
    for number in (1, 2):
        metrics = Prometheus()
        rooms = Rooms(plugins=[metrics])
        assert rooms.server
        metrics._methods.labels(f'odd " \\ \n \u2028 {number}').observe(0.3)
        texts[number] = metrics.render().decode()

    def samples(text, **more):
        return [
            (sample.name, sorted({**sample.labels, **more}.items()), sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    expected = [
        each for number, text in texts.items() for each in samples(text, worker=str(number))
    ]
    assert sorted(samples(merged(texts))) == sorted(expected)


async def test_workers_that_are_not_there(tmp_path):
    metrics = AllMetrics(backrooms(tmp_path, 2))
    for times in (1, 2):
        text = await metrics.render()
        assert f"ddpcore_workers_left_out_total {2 * times}\n" in text
        assert 'ddpcore_worker_up{worker="2"} 0\n' in text


def expressions() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


async def test_the_dashboard_shows_all_metrics_and_no_others():
    names = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for expression in expressions()
        for name in re.findall(r"\b(?:ddpcore|process)_\w+", expression)
    }
    assert names == set(await families()) - LEFT_OUT


async def test_labels_of_the_dashboard_exist():
    labels = {"job", "instance", "worker", "le"}
    metrics = of_process()
    for collector in list(metrics.registry._collector_to_names):
        labels |= set(getattr(collector, "_labelnames", ()))
    labels.add("kind")
    for expression in expressions():
        for group in re.findall(r"by \(([^)]*)\)", expression):
            assert {each.strip() for each in group.split(",")} <= labels, expression


def test_the_dashboard_can_be_imported():
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["schemaVersion"] >= 39
    variables = {each["name"]: each["type"] for each in dashboard["templating"]["list"]}
    assert variables == {"datasource": "datasource", "job": "query", "instance": "query"}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            for target in panel["targets"]:
                assert target["expr"].count("(") == target["expr"].count(")")
                assert target["expr"].count("{") == target["expr"].count("}")


async def test_the_page_has_all_metrics():
    rows = dict(
        re.findall(
            r"^\| `((?:ddpcore|process)_\w+)` \| (\w+)(?:, \w+)? \|",
            REFERENCE.read_text(),
            re.MULTILINE,
        )
    )
    assert rows == {name: each.type for name, each in (await families()).items()}


@pytest.mark.parametrize("name", ["status.png", "status-phone.png"])
def test_pictures_are_small(name):
    picture = PAGE.parents[1] / "images" / name
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 200_000
    assert f"images/{name}" in PAGE.read_text()
