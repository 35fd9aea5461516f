"""`ddpcore check` as people run it, and its report."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from project import PATIENCE, ROOT, SUPPORT
from workers import Commands

SERVER = """
import asyncio
from ddpcore import Server

server = Server()

@server.method
async def echo(ctx, *params):
    return list(params)
"""


@dataclass
class Report:
    """What was told: the exit code, and each line as a name, a level and a text."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        found = [
            re.fullmatch(r"(ok  |warn|FAIL) (\S+) +(.*)", line) for line in self.out.split("\n")
        ]
        return [(each[2], each[1].strip(), each[3]) for each in found if each]

    def of(self, name: str) -> list[tuple[str, str]]:
        return [(level, text) for check, level, text in self.lines if check == name]

    def says(self, name: str, level: str, *texts: str) -> None:
        """There is a line of this level with all these texts."""
        assert any(
            each == level and all(text in said for text in texts) for each, said in self.of(name)
        ), self.out + self.err

    def silent(self, name: str) -> None:
        assert not self.of(name), self.out


class Checks:
    """Runs the command in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "shop.py").write_text(SERVER)

    def write(self, text: str) -> None:
        (self.directory / "shop.py").write_text(SERVER + text)

    def run(self, *arguments: str, cwd: Path | None = None, **options: Any) -> Report:
        env = {name: text for name, text in os.environ.items() if "DJANGO" not in name}
        env |= {"PYTHONPATH": f"{SUPPORT}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
        env |= options.pop("env", {})
        done = subprocess.run(
            [*options.pop("before", ()), sys.executable, *options.pop("program", ("-m", "ddpcore")), "check", *arguments],
            cwd=cwd or self.directory, env=env, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=2 * PATIENCE, **options,
        )  # fmt: skip
        return Report(done.returncode, done.stdout, done.stderr)

    def __call__(self, *arguments: str, **options: Any) -> Report:
        """Check the server above, at a free port."""
        bind = () if "--bind" in arguments else ("--bind", "127.0.0.1:0")
        return self.run("shop:server", *bind, *arguments, **options)


@pytest.fixture
def check(tmp_path) -> Checks:
    return Checks(tmp_path)


@pytest.fixture
def commands(tmp_path_factory) -> Iterator[Commands]:
    """Servers that run."""
    commands = Commands(tmp_path_factory.mktemp("serving"))
    yield commands
    commands.kill()


def findings(report: Report) -> list[dict[str, str]]:
    return json.loads(report.out)["findings"]
