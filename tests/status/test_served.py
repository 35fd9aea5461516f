"""Metrics and status of `ddpcore serve`, in real processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal

import pytest
import websockets
from ddp_client import PATIENCE, CallError
from deploying import client, get, ready
from looking import looker, serve
from prometheus_client.parser import text_string_to_metric_families
from workers import ended, until

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])
TOKEN = "a token of some length"


async def metrics(monitor: str) -> dict[str, list]:
    status, headers, body = await get(monitor, "/metrics")
    assert status == 200
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(body.decode()))
    names = [each.name for each in families]
    assert len(names) == len(set(names))
    found: dict[str, list] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


# A worker that answers late is not left out.
PATIENT = "import ddpcore_tornado.metrics\nddpcore_tornado.metrics.PATIENCE = 60.0\n"


@WORKERS
async def test_metrics(commands, workers):
    (commands.directory / "sitecustomize.py").write_text(PATIENT)
    command = serve(commands, "--metrics", workers=workers)
    async with client(f"ws://{command.address}/websocket") as one:
        await one.sub("room", "a", 3)
        await one.call("echo", 1)
        found = await metrics(command.monitor)
    assert sum(each.value for each in found["ddpcore_sessions"]) == 1
    assert sum(each.value for each in found["ddpcore_documents"]) == 3
    [echo] = found["ddpcore_method_seconds_count"]
    assert (echo.labels["method"], echo.value) == ("echo", 1)
    assert found["process_resident_memory_bytes"]
    if workers == "2":
        assert {each.labels["worker"] for each in found["ddpcore_sessions"]} == {"1", "2"}
        assert [each.value for each in found["ddpcore_worker_up"]] == [1, 1]
    else:
        assert "worker" not in echo.labels
    assert await ended(command, signal.SIGTERM) == 0
    assert not command.errors


async def test_a_worker_that_does_not_answer_is_left_out(commands):
    command = serve(commands, "--metrics", workers="2")
    _, told = await ready(command.monitor)
    process = told["workers"]["1"]["process"]
    left_out = 0

    async def until_up(*workers: str) -> None:
        """Ask until these answer: on a slow machine others may be late as well."""
        nonlocal left_out
        up = None
        while up != set(workers):
            found = await metrics(command.monitor)
            answers = {each.labels["worker"]: each.value for each in found["ddpcore_worker_up"]}
            up = {worker for worker, answered in answers.items() if answered}
            left_out += len(answers) - len(up)
            assert set(answers) == {"1", "2"}
            assert {each.labels["worker"] for each in found.get("ddpcore_sessions", ())} == up
            assert found["ddpcore_workers_left_out_total"][0].value == left_out

    os.kill(process, signal.SIGSTOP)
    await until_up("2")
    os.kill(process, signal.SIGCONT)
    await until_up("1", "2")
    assert await ended(command, signal.SIGTERM) == 0


@WORKERS
async def test_status(commands, workers):
    command = serve(commands, "--status", workers=workers)
    status, headers, body = await get(command.monitor, "/status/processes")
    assert status == 200
    sockets = json.loads(body)["sockets"]
    assert sockets == (["websocket"] if workers == "1" else ["1/websocket", "2/websocket"])
    for path, kind in (("", "text/html"), ("page.css", "text/css"), ("page.js", "text/javascript")):
        status, headers, body = await get(command.monitor, f"/status/{path}")
        assert status == 200
        assert headers["content-type"].startswith(kind)
        assert "default-src 'none'" in headers["content-security-policy"]
        assert body
    assert (await get(command.monitor, "/status"))[1]["location"] == "status/"
    # It is not among what clients reach.
    for path in ("/status/", "/status/websocket", "/metrics", "/status/1/websocket"):
        assert (await get(command.address, path))[0] == 404
    async with client(f"ws://{command.address}/websocket") as one:
        await one.sub("room", "a", 3)
        [session] = [each["session"][:8] for each in one.messages if each["msg"] == "connected"]
        found = []
        for path in sockets:
            async with looker(command.monitor, path) as there:
                await there.sub("status.sessions")
                found += there.docs("status.sessions")
                assert await there.call("status.close", session) is (
                    session in there.docs("status.sessions")
                )
                await there.until(lambda there=there: not there.docs("status.sessions"))
        assert found == [session]
        await one._reader
    assert await ended(command, signal.SIGTERM) == 0
    assert all("is closed by 127.0.0.1" in each for each in command.errors), command.errors


@WORKERS
async def test_whoever_looks_is_closed_when_it_stops(commands, workers):
    command = serve(commands, "--status", workers=workers)
    path = "websocket" if workers == "1" else "2/websocket"
    async with looker(command.monitor, path) as there:
        await there.sub("status.process")
        assert await ended(command, signal.SIGTERM) == 0
        await there._reader
        assert there.closed
    assert not command.errors


async def test_a_worker_that_comes_back(commands):
    command = serve(commands, "--status", "--metrics", workers="2")
    _, told = await ready(command.monitor)
    async with looker(command.monitor, "1/websocket") as there:
        await there.sub("status.process")
        pid = told["workers"]["1"]["process"]
        assert there.docs("status.process")["process"]["pid"] == pid
        os.kill(pid, signal.SIGKILL)
        await there._reader
    async with asyncio.timeout(30):
        while True:
            try:
                async with looker(command.monitor, "1/websocket") as there:
                    await there.sub("status.process")
                    assert there.docs("status.process")["process"]["pid"] != pid
                    break
            except (OSError, websockets.InvalidHandshake):
                await asyncio.sleep(0.01)
    await until(lambda: command.said("Worker 1 .* was ended by SIGKILL"))
    assert await ended(command, signal.SIGTERM) == 0


async def test_workers_that_do_not_exist(commands):
    command = serve(commands, "--status", workers="2")
    for path in ("0/websocket", "3/websocket", "websocket"):
        assert (await get(command.monitor, f"/status/{path}"))[0] == 404
    assert (await get(command.monitor, "/status/1/websocket"))[0] == 400
    assert await ended(command, signal.SIGTERM) == 0


@WORKERS
async def test_pages_of_others_are_refused(commands, workers):
    command = serve(commands, "--status", workers=workers)
    path = "websocket" if workers == "1" else "1/websocket"
    port = command.monitor.rsplit(":", 1)[1]

    async def refused(**headers):
        with pytest.raises(websockets.InvalidStatus) as refusal:
            async with websockets.connect(
                f"ws://{command.monitor}/status/{path}",
                additional_headers=headers,
                open_timeout=PATIENCE,
            ):
                pass
        return refusal.value.response.status_code == 403

    assert await refused(Origin="http://evil.example")
    assert await refused(Origin="http://127.0.0.1:1")  # another page of this machine
    assert await refused(Origin="null")
    # A proxy of this machine, and whoever it brings.
    assert await refused(**{"X-Forwarded-For": "8.8.8.8"})
    # A name that strangers have made point here.
    with pytest.raises(websockets.InvalidStatus):
        async with websockets.connect(
            f"ws://evil.example:{port}/status/{path}", host="127.0.0.1", port=int(port),
            origin=f"http://evil.example:{port}", open_timeout=PATIENCE,
        ):  # fmt: skip
            pass
    async with looker(command.monitor, path, origin=f"http://{command.monitor}") as there:
        await there.sub("status.process")
    assert await ended(command, signal.SIGTERM) == 0


@WORKERS
async def test_a_token(commands, workers):
    command = serve(
        commands, "--status", monitor="0.0.0.0:0", workers=workers, DDPCORE_STATUS_TOKEN=TOKEN
    )
    monitor = f"127.0.0.1:{command.monitor.rsplit(':', 1)[1]}"
    path = "websocket" if workers == "1" else "1/websocket"
    async with looker(monitor, path) as there:
        with pytest.raises(CallError):
            await there.call("status.close", "x")
        for _ in range(5):
            with pytest.raises(CallError, match="not the token"):
                await there.call("status.enter", "wrong")
        with pytest.raises(CallError, match="Too many"):
            await there.call("status.enter", TOKEN)
    # With another address it is another one's turn; here all come from this machine.
    async with looker(monitor, path) as there:
        with pytest.raises(CallError, match="Too many"):
            await there.call("status.enter", TOKEN)
    assert await ended(command, signal.SIGTERM) == 0
    assert command.said("A wrong token for the status page, from 127.0.0.1")
    assert not any(TOKEN in each for each in command.errors)

    command = serve(
        commands, "--status", monitor="0.0.0.0:0", workers=workers, DDPCORE_STATUS_TOKEN=TOKEN
    )
    monitor = f"127.0.0.1:{command.monitor.rsplit(':', 1)[1]}"
    async with looker(monitor, path, token=TOKEN) as there:
        await there.sub("status.process")
    assert await ended(command, signal.SIGTERM) == 0


@WORKERS
@pytest.mark.parametrize(
    ("arguments", "env", "why"),
    [
        (["--metrics"], {}, "--metrics needs an address .* --monitor 127.0.0.1:9000"),
        (["--status"], {}, "--status needs an address .* --monitor 127.0.0.1:9000"),
        (["--status", "--monitor", ":0"], {}, "can be reached from other machines. Put a token"),
        (
            ["--status", "--monitor", "127.0.0.1:0"],
            {"DDPCORE_STATUS_TOKEN": "short"},
            "has 5 characters, and needs 16",
        ),
    ],
)
async def test_what_cannot_be(commands, workers, arguments, env, why):
    command = commands.start(
        "-m", "ddpcore", "serve", "status_site:server", "--bind", "127.0.0.1:0",
        "--bus", "claims:", "--workers", workers, *arguments, **env,
    )  # fmt: skip
    assert await ended(command) == 2
    assert command.said(why), command.errors
    assert not list(commands.temporary.iterdir())


async def test_without_prometheus_client(commands):
    (commands.directory / "prometheus_client.py").write_text("raise ImportError('none here')")
    command = commands.start(
        "-m", "ddpcore", "serve", "status_site:server", "--monitor", "127.0.0.1:0", "--metrics"
    )
    assert await ended(command) == 2
    assert command.said(r"--metrics needs prometheus-client .*pip install 'ddpcore\[prometheus\]'")


async def test_logs_as_json(commands):
    command = serve(commands, "--log-events", "--log-format", "json")
    async with client(f"ws://{command.address}/websocket") as one:
        await one.call("echo", "a secret")
        await one.sub("room", "a", 1)
    await until(lambda: command.said("session closed"))
    assert await ended(command, signal.SIGTERM) == 0
    lines = [json.loads(each) for each in command.errors]
    assert [each["event"] for each in lines] == [
        "session opened", "method ended", "subscription ready", "subscription ended",
        "session closed",
    ]  # fmt: skip
    assert {each["logger"] for each in lines} == {"ddpcore.events"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", each["time"]) for each in lines)
    assert not any("a secret" in each for each in command.errors)


async def test_spans(commands):
    (commands.directory / "sitecustomize.py").write_text(SPANS)
    command = serve(commands, "--opentelemetry")
    async with client(f"ws://{command.address}/websocket") as one:
        await one.call("echo", 1)
    assert await asyncio.to_thread(command.line) == "span method echo\n"
    assert await ended(command, signal.SIGTERM) == 0


SPANS = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

class Printed(SpanExporter):
    def export(self, spans):
        for each in spans:
            print("span", each.name, flush=True)
        return SpanExportResult.SUCCESS

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Printed()))
trace.set_tracer_provider(provider)
"""
