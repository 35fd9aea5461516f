"""Every option of ours that a configuration or a page names is one that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from project import ROOT

from ddpcore import cli

FILES = sorted((ROOT / "examples" / "deploy").iterdir())
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"\bddpcore (serve|check|demo|explain|call|sub|load|plugins)\b([^`\n|]*)")


def options_of(command: str, capsys) -> set[str]:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    return set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))


def named(text: str) -> list[tuple[str, str]]:
    """The commands of a text with the options that stand behind them, each."""
    # Those of lists in JSON and YAML stand one by one.
    text = re.sub(
        r'\["ddpcore", (.*)\]',
        lambda it: f"ddpcore {it[1].replace(chr(34) + ', ' + chr(34), ' ')}",
        text,
    )
    text = re.sub(r"\n *(#[^\n]*\n *)*- (?=--|serve|check)", " ", text)
    return [
        (command, option)
        for command, rest in COMMAND.findall(text.replace('ddpcore "serve', "ddpcore serve"))
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest)
    ]


@pytest.mark.parametrize("file", [*FILES, *PAGES], ids=lambda it: it.name)
def test_options_exist(file: Path, capsys):
    known: dict[str, set[str]] = {}
    text = file.read_text()
    examples = set(
        re.findall(r'add_argument\("(--[a-z-]+)"', text)
    )  # those of a page's own plugins
    for command, option in named(text):
        if command not in known:
            known[command] = options_of(command, capsys) | examples
        assert option in known[command], f"ddpcore {command} has no {option}"


def test_they_are_found():
    found = {file.name: named(file.read_text()) for file in FILES}
    assert ("serve", "--workers") in found["ddpcore.service"]
    assert ("serve", "--monitor") in found["Containerfile"]
    assert ("serve", "--drain") in found["kubernetes.yaml"]
    assert sum(len(named(page.read_text())) for page in PAGES) > 20


def test_proxies_speak_of_options_that_exist(capsys):
    known = options_of("serve", capsys)
    for file in FILES:
        comments = "\n".join(re.findall(r"#.*", file.read_text()))
        ours = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", comments)) - {"--init", "--stop-timeout"}
        assert ours <= known, file.name
