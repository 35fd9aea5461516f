"""Who the shell's client is: by a password that is asked for or read, or by a token."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from accounts import USERS
from ddp_client import connect
from screen import Terminal


@pytest.fixture
def url(shell, server):
    shell(USERS)
    shell("make('emma')")
    return server.address


def run(*arguments, stdin="", **env):
    done = subprocess.run(
        [sys.executable, "-m", "ddpcore", *arguments], input=stdin, text=True, capture_output=True,
        timeout=60, env=os.environ | env, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


async def tokens(url):
    async with connect(url) as client:
        return await client.call("test.rows")


async def test_by_password(url):
    who = ["call", url, "test.who", "--user", "emma", "--password-stdin"]
    code, out, err = run(*who, stdin="secret\n")
    assert (code, err) == (0, "")
    assert json.loads(out) is not None
    assert await tokens(url) == []  # the login is taken back
    code, out, err = run(*who, stdin="wrong\n")
    assert (code, out) == (1, "")
    assert err.startswith("[403] ")
    assert "format" not in err
    assert err.endswith(": log in at the site once, or set the password again.\n")
    assert run(*who)[0] == 2


def test_the_password_is_asked_for(url):
    terminal = Terminal(
        [sys.executable, "-m", "ddpcore", "call", url, "test.is_somebody", "--user", "emma"],
        env=os.environ | {"TERM": "xterm"},
    )
    try:
        terminal.until(lambda screen: "Password of emma: " in "".join(screen.main))
        terminal.type("secret\r")
        assert terminal.end() == 0
        assert terminal.screen.printed[-1] == "true"
        assert "secret" not in "".join(terminal.screen.main)
    finally:
        terminal.kill()


async def test_by_token(url, tmp_path):
    file = tmp_path / "token"
    async with connect(url) as client:
        token, _ = await client.call("test.bind", "emma")
        file.write_text(f"{token}\n")
        for _ in range(2):  # whose token it is may use it again
            found = run("call", url, "test.is_somebody", "--token-file", str(file))
            assert found == (0, "true\n", "")
        assert run("call", url, "test.is_somebody", DDPCORE_TOKEN=token) == (0, "true\n", "")
    code, out, err = run("sub", url, "marks", DDPCORE_TOKEN="nonsense")
    assert (code, out) == (1, "")
    assert err.startswith("[403] ")
    assert "nonsense" not in err
    file.write_text("two words")
    assert run("call", url, "test.who", "--token-file", str(file))[0] == 2
