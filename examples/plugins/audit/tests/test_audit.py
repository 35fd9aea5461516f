"""Every event leaves a line, secrets leave none, and a full disk hurts nobody."""

import asyncio
import json
import logging
import os
import resource
import signal
import subprocess
import sys

import pytest
from ddpcore_audit import Audit, FileSink

import ddpcore


@pytest.fixture
def lines() -> list[dict]:
    return []


def make_server(sink, *keep: str) -> ddpcore.Server:
    server = ddpcore.Server(plugins=[Audit(sink, keep)])

    @server.method
    async def greet(ctx, name, how="friendly"):
        return f"Hello {name}"

    @server.method
    def refuse(ctx):
        raise ddpcore.MeteorError(403, "No.")

    @server.method
    async def fail(ctx):
        raise ZeroDivisionError

    @server.method
    async def login(ctx, options):
        await ctx.set_user_id("jane")

    @server.publish("mine")
    async def mine(ctx, *what):
        ctx.ready()

    @server.publish("none")
    async def none(ctx):
        raise ddpcore.MeteorError("not-here")

    return server


def take(lines: list[dict]):
    return lambda text: lines.append(json.loads(text))


def test_a_session_from_its_beginning_to_its_end(ddp, lines) -> None:
    server = make_server(take(lines))
    client = ddp.connect(server)
    ddp.run(client.call("login", {"password": "secret"}))
    assert ddp.run(client.call("greet", "Emma")) == "Hello Emma"
    with pytest.raises(ddpcore.MeteorError, match="No"):
        ddp.run(client.call("refuse"))
    with pytest.raises(ddpcore.MeteorError, match="Internal"):
        ddp.run(client.call("fail"))
    ddp.run(client.subscribe("mine", 1))
    with pytest.raises(ddpcore.MeteorError):
        ddp.run(client.subscribe("none"))
    ddp.run(server.stop())
    told = [(each["what"], each.get("name"), each.get("outcome"), each.get("error"))
            for each in lines]  # fmt: skip
    assert told == [
        ("opened", None, None, None),
        ("user", None, None, None),
        ("method", "login", "ok", None),
        ("method", "greet", "ok", None),
        ("method", "refuse", "refused", 403),
        ("method", "fail", "failed", "ZeroDivisionError"),
        ("publication", "mine", "ok", None),
        ("publication", "none", "refused", "not-here"),
        ("closed", None, None, None),
    ]
    assert len({each["session"] for each in lines}) == 1
    assert all(each["ms"] >= 0 for each in lines if "ms" in each)
    assert [each["user"] for each in lines if "user" in each] == ["jane"] * 7
    assert "secret" not in json.dumps(lines)
    assert "Emma" not in json.dumps(lines)


def test_parameters_that_are_to_be_kept(ddp, lines) -> None:
    client = ddp.connect(make_server(take(lines), "greet:1", "mine"))
    ddp.run(client.call("greet", "Emma", "rude"))
    ddp.run(client.subscribe("mine", "a", {"b": 1}))
    ddp.run(client.subscribe("mine", "x" * 5000))
    told = [each["params"] for each in lines if "params" in each]
    assert told[:2] == [["<str>", "rude"], ["a", {"b": 1}]]
    assert len(told[2][0]) < 2100


def test_cancelled(ddp, lines) -> None:
    server = make_server(take(lines))
    started = asyncio.Event()

    @server.method
    async def hang(ctx):
        started.set()
        await asyncio.Event().wait()

    client = ddp.connect(server)

    async def call_and_stop() -> None:
        call = asyncio.ensure_future(client.call("hang"))
        await started.wait()
        await server.stop(patience=0.01)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    ddp.run(call_and_stop())
    assert [each["outcome"] for each in lines if each["what"] == "method"] == ["cancelled"]


def test_a_sink_that_fails_hurts_nobody(ddp, caplog) -> None:
    def full(line: str) -> None:
        raise OSError("no space left on device")

    client = ddp.connect(make_server(full))
    assert ddp.run(client.call("greet", "Emma")) == "Hello Emma"
    assert "An audit line could not be written" in caplog.text


def test_a_file(tmp_path) -> None:
    path = tmp_path / "audit"
    sinks = [FileSink(path) for _ in range(3)]
    for n in range(1000):
        sinks[n % 3](json.dumps({"n": n}))
    for sink in sinks:
        sink.flush()  # however long it takes
        sink.close()
    assert sorted(json.loads(line)["n"] for line in path.read_text().splitlines()) == [*range(1000)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_moved_away(tmp_path) -> None:
    path = tmp_path / "audit"
    sink = FileSink(path)
    sink("1")
    sink.flush()
    path.rename(tmp_path / "old")
    sink("2")
    sink.flush()
    sink.close()
    assert (path.read_text(), (tmp_path / "old").read_text()) == ("2\n", "1\n")


def test_a_disk_that_is_full_for_a_while(tmp_path, caplog) -> None:
    path = tmp_path / "audit"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sink = FileSink(path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (205, limits[1]))  # as good as a full disk
        for n in range(50):
            sink(json.dumps({"n": n}))
        sink.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    sink(json.dumps({"n": "after"}))
    sink.flush()
    sink.close()
    *before, torn, lost, after = path.read_text().splitlines()
    assert [json.loads(line)["n"] for line in before] == [*range(len(before))]
    assert len(torn) < 10
    lost = json.loads(lost)
    assert (lost["what"], lost["lines"]) == ("lost", 50 - len(before))
    assert json.loads(after) == {"n": "after"}
    assert caplog.text.count("No audit log") == 1


def test_more_than_may_wait(tmp_path) -> None:
    os.mkfifo(tmp_path / "audit")  # nobody reads: to open it blocks, as a disk that hangs
    sink = FileSink(tmp_path / "audit", most=10)
    for n in range(100):
        sink(str(n))
    sink.close(patience=0.05)
    with (tmp_path / "audit").open() as reader:
        told = [reader.readline()]
    assert told


SERVER = """
import asyncio, ddpcore
from ddpcore.testing import Runner
server = ddpcore.Server()
@server.method
async def greet(ctx, name): return "Hello"
with Runner() as ddp:
    client = ddp.connect(server)
    print(ddp.run(client.call("greet", "Emma")))
"""


@pytest.mark.parametrize("keep", ["", "other, greet"])
def test_the_environment(tmp_path, keep) -> None:
    path = tmp_path / "audit"
    environ = os.environ | {"DDPCORE_AUDIT": str(path), "DDPCORE_AUDIT_KEEP": keep}
    subprocess.run([sys.executable, "-c", SERVER], env=environ, check=True, timeout=60)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["what"] for each in lines] == ["opened", "method", "closed"]
    assert lines[1]["params"] == (["Emma"] if keep else ["<str>"])


def test_without_it_nothing_is_audited(ddp, caplog) -> None:
    caplog.set_level(logging.INFO)
    client = ddp.connect(ddpcore.Server())
    with pytest.raises(ddpcore.MeteorError):
        ddp.run(client.call("unknown"))
    assert "ddpcore_audit" not in caplog.text
