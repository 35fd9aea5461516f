"""examples/deploy/kubernetes.yaml: its objects fit together, and to the command they run."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal

import pytest
from deploying import free_port, get
from project import ROOT
from workers import ended

from ddpcore.server.server import Server
from ddpcore_tornado.monitor import health_pages

FILE = ROOT / "examples" / "deploy" / "kubernetes.yaml"
# Requests, handlers, and what is left of them after that: five seconds each; and the loop's end.
AFTER_DRAIN = 20


@pytest.fixture(scope="module")
def objects():
    try:
        import yaml
    except ImportError as problem:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{problem}")
    return {each["kind"]: each for each in yaml.safe_load_all(FILE.read_text())}


@pytest.fixture
def pod(objects):
    return objects["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    (container,) = pod["containers"]
    return container


def test_names_match(objects):
    assert set(objects) == {
        "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler",
    }  # fmt: skip
    deployment = objects["Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert objects["Service"]["spec"]["selector"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    target = objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert target["apiVersion"] == deployment["apiVersion"]


def test_ports_match(objects, container):
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert f"--bind=:{ports['http']}" in container["command"]
    assert f"--monitor=:{ports['monitor']}" in container["command"]
    (port,) = objects["Service"]["spec"]["ports"]
    assert port["targetPort"] in ports
    image = (ROOT / "examples" / "deploy" / "Containerfile").read_text()
    assert f"EXPOSE {ports['http']} {ports['monitor']}" in image


def test_there_is_time_to_stop(pod, container):
    (drain,) = [each for each in container["command"] if each.startswith("--drain=")]
    _, wait = container["lifecycle"]["preStop"]["exec"]["command"]
    needed = float(wait) + float(drain.partition("=")[2]) + AFTER_DRAIN
    assert pod["terminationGracePeriodSeconds"] > needed


def test_it_may_do_little(pod, container):
    image = (ROOT / "examples" / "deploy" / "Containerfile").read_text()
    context = pod["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in image
    assert context["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    (mount,) = container["volumeMounts"]
    assert mount["name"] in {each["name"] for each in pod["volumes"]}


def test_the_connections_are_counted():
    import inspect

    from ddpcore_pg.checking import CONNECTIONS
    from ddpcore_tornado.command_line import SITE_THREADS

    threads = inspect.signature(Server).parameters["threads"].default
    assert (
        f"Each process takes {threads + SITE_THREADS + CONNECTIONS} connections" in FILE.read_text()
    )


@pytest.mark.pg
async def test_probes_ask_what_is_there(pg_project, container, commands):
    ports = {each["name"]: str(each["containerPort"]) for each in container["ports"]}
    real = {port: str(free_port()) for port in ports.values()}
    arguments = container["command"][1:]
    assert container["command"][0] == "ddpcore"
    for before, after in real.items():
        arguments = [each.replace(f"=:{before}", f"=127.0.0.1:{after}") for each in arguments]
    arguments = [
        "--settings=workersite.settings" if each.startswith("--settings") else each
        for each in arguments
    ]
    (drain,) = [each for each in arguments if each.startswith("--drain=")]
    server = commands.start("-m", "ddpcore", *arguments, site=pg_project.site, **pg_project.env)
    monitor = f"127.0.0.1:{real[ports['monitor']]}"

    async def probe(name: str) -> int:
        asked = container[name]["httpGet"]
        assert asked["port"] == "monitor"
        try:
            return (await get(monitor, asked["path"]))[0]
        except OSError:
            return 0

    assert set(health_pages(lambda: (200, {}))) >= {
        container[each]["httpGet"]["path"]
        for each in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    async with asyncio.timeout(60):
        while await probe("startupProbe") != 200:
            await asyncio.sleep(0.01)
    assert [await probe(f"{each}nessProbe") for each in ("live", "readi")] == [200, 200]
    wait = container["lifecycle"]["preStop"]["exec"]["command"]
    assert shlex.join(wait).startswith("sleep ")
    assert await ended(server, signal.SIGTERM) == 0
    assert drain in server.process.args
