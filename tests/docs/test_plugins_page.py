"""docs/reference/hooks.md: each hook has an example there, and each example is called as the page says."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from memory_client import client_of, turns
from rooms import Rooms

import ddpcore
from ddpcore import Gap, MeteorError, WriteFence, hookspecs
from ddpcore.application import application_for
from ddpcore.checks import Level
from ddpcore.plugins import make_bus, plugin_manager
from ddpcore.typescript.declaration import declaration

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "hooks.md").read_text()
HOOKS = [name for name in vars(hookspecs) if name.startswith("ddpcore_")]
KINDS = {"asks", "calls", "lets in", "tells"}


@pytest.fixture
def plugins():
    """The plugins of the page, one of each."""
    found = []
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        space = {"__name__": "page"}
        exec(block, space)
        found += [
            value()
            for value in space.values()
            if inspect.isclass(value) and any(hasattr(value, hook) for hook in HOOKS)
        ]
    return found


def test_each_hook_has_an_example(plugins):
    shown = {hook for plugin in plugins for hook in HOOKS if hasattr(plugin, hook)}
    assert shown == set(HOOKS)


def test_each_hook_says_of_what_kind_it_is():
    parts = re.split(r"^### `(ddpcore_\w+)", PAGE, flags=re.MULTILINE)[1:]
    texts = dict(zip(parts[::2], parts[1::2], strict=True))
    assert list(texts) == HOOKS
    instruments = HOOKS[HOOKS.index("ddpcore_message") : HOOKS.index("ddpcore_commands")]
    for hook, text in texts.items():
        kinds = re.findall(r"It \*([a-z ]+)\*", text)
        if hook in (*instruments, "ddpcore_around_publication"):  # said for all of them
            assert kinds == []
        else:
            assert len(kinds) == 1
            assert kinds[0] in KINDS
    assert "They *tell*." in PAGE[PAGE.index("## Instruments") :]


async def test_the_examples_are_called(plugins, monkeypatch, capsys, expect_log):
    expect_log("ddpcore.server.runtime", "Exception in method 'fail'")
    expect_log("watch", "The bus may have missed something")
    monkeypatch.setenv("DDPCORE_TRACE_HOOKS", "1")
    (presence,) = [each for each in plugins if type(each).__name__ == "Presence"]
    rooms = Rooms(plugins=plugins)
    server = rooms.server

    @server.method
    async def login(ctx):
        await ctx.set_user_id("ann")

    @server.method
    def fail(ctx):
        raise KeyError

    @server.method
    def write(ctx):
        WriteFence.mark()

    @server.publish("events")
    def events(ctx):
        ctx.added("events.all", "1", {})
        ctx.ready()

    async with client_of(server) as client:
        await client.outcome("login")
        assert list(presence.present.values()) == ["ann"]
        await client.outcome("write")
        await client.outcome("fail")
        assert (await client.outcome("notes.write", "tea"))["result"] == 1
        await client.ready(client.sub("room", "a", 1, id="s"))
        await client.ready(client.sub("events"))
        client.unsub("s")
        await client.nosub("s")
        server.crossbar.deliver(Gap())
        client.receiver.blocked()
        client.receiver.drained()
        presence.holiday = True
        assert (await client.outcome("login"))["error"]["error"] == "closed"
        client.leave()
        await turns()
        assert presence.present == {}
    err = capsys.readouterr().err
    called = set(re.findall(r"^\w+: (ddpcore_\w+)\(", err, re.MULTILINE))
    elsewhere = {"ddpcore_bus", "ddpcore_commands", "ddpcore_serve_options", "ddpcore_routes"}
    elsewhere |= {"ddpcore_checks", "ddpcore_types"}
    # Those that start and stop are awaited, hence called by somebody else.
    assert set(HOOKS) - called == elsewhere | {
        "ddpcore_application", "ddpcore_server_started", "ddpcore_server_stopping",
    }  # fmt: skip
    (heartbeat,) = [each for each in plugins if type(each).__name__ == "Heartbeat"]
    assert heartbeat.task.cancelled()


def test_the_examples_of_the_command_line_work(plugins, capsys):
    manager = plugin_manager(plugins)
    assert isinstance(make_bus(manager, "notes:"), ddpcore.MemoryBus)
    parser = argparse.ArgumentParser()
    for plugin in plugins:
        if hasattr(plugin, "ddpcore_commands"):
            plugin.ddpcore_commands(parser.add_subparsers())
    options = parser.parse_args(["hello", "Ann"])
    assert (options.run(options), capsys.readouterr().out) == (0, "Hello Ann\n")
    serve = argparse.ArgumentParser()
    manager.call_all("ddpcore_serve_options", parser=serve)
    application = application_for(manager, serve.parse_args(["--hello", "Ann"]))
    assert application is not None
    assert (application.name, list(application.server.methods)) == ("hello", ["hello"])
    rules = list(
        manager.answers("ddpcore_routes", server=application.server, options=SimpleNamespace())
    )
    assert [rule[0] for answer in rules if answer for rule in answer] == ["/sessions"]
    (shown,) = [each for each in plugins if hasattr(each, "ddpcore_checks")]
    (check,) = shown.ddpcore_checks()
    assert (check.name, check.run().level) == ("disk", Level.OK)
    asked = manager.answers("ddpcore_types", options=serve.parse_args(["--hello", "Ann"]))
    assert "  hello: () => string;" in declaration(next(filter(None, asked)))


def test_what_the_page_says_of_failures(plugins):
    class Fails:
        @ddpcore.hookimpl
        def ddpcore_bus(self):
            raise MeteorError(403)

    with pytest.raises(MeteorError):
        make_bus(plugin_manager([Fails()]), "x:")


def test_the_hooks_of_accounts_are_documented_as_they_are():
    # By their source: to import them takes a Django project.
    root = Path(__file__).parents[2]
    source = ast.parse((root / "ddpcore_django" / "accounts" / "hookspecs.py").read_text())
    there_are = {
        f"{each.name}({', '.join(argument.arg for argument in each.args.args)})"
        for each in source.body
        if isinstance(each, ast.FunctionDef)
    }
    page = (root / "docs" / "reference" / "accounts.md").read_text()
    hooks = page[page.index("\n## Hooks\n") : page.index("\n## Mails\n")]
    rows = [line.split("|")[1] for line in hooks.splitlines() if line.startswith("| `ddpcore_")]
    assert {each for row in rows for each in re.findall(r"`(.*?)`", row)} == there_are
    assert len(there_are) > 5
