"""docs/how-to/client.md, followed literally; its tables are complete."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from reader import Reader

from ddpcore import cli
from ddpcore_tornado.client import Client, Subscription, connect

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "client.md").read_text()


def test_the_commands_and_the_program_run(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        reader.read("how-to/client.md")


def test_every_argument_is_documented_with_its_default() -> None:
    arguments = {
        each.name: each.default
        for each in inspect.signature(connect).parameters.values()
        if each.kind is each.KEYWORD_ONLY
    }
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", PAGE, re.MULTILINE))
    del arguments["clock"], arguments["fraction"]
    assert rows == {name: repr(default) for name, default in arguments.items()}


def test_every_name_is_documented() -> None:
    words = set(re.findall(r"\w+", PAGE))
    for kind in (Client, Subscription):
        assert [name for name in dir(kind) if not name.startswith("_") and name not in words] == []


@pytest.mark.parametrize("command", ["call", "sub", "load"])
def test_every_option_is_documented(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    def options(*words: str) -> set[str]:
        with pytest.raises(SystemExit):
            cli.main([*words, "--help"])
        return set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))

    # Those of all commands are in serving.md.
    assert options(command) - options() - set(re.findall(r"--[a-z][a-z-]*", PAGE)) == set()
