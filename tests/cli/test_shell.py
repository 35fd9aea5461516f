"""`ddpcore call`, `ddpcore sub` and `ddpcore load` as people run them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from screen import Terminal

SERVER = """
import asyncio
from ddpcore import MeteorError, Server

server = Server(grace_period=0)
subscribers = {}

@server.method
async def echo(ctx, *params):
    return list(params)

@server.method
async def void(ctx):
    pass

@server.method
async def fail(ctx, *details):
    raise MeteorError(403, "Access denied \\x1b[31m", *details)

@server.method
async def crash(ctx):
    ctx.connection.close()
    await asyncio.sleep(0.05)

@server.method
async def patient(ctx):
    left = asyncio.Event()
    ctx.connection.on_close(left.set)
    await left.wait()

@server.publish("books")
async def books(ctx, count: int = 2):
    subscribers[ctx.connection.id] = ctx
    for number in range(count):
        ctx.added("books", str(number), {"title": f"Book {number}", "pages": 100})
    ctx.ready()

@server.method
async def write(ctx, key: str, title: str):
    for each in subscribers.values():
        each.changed("books", key, {"title": title})

@server.publish("denied")
async def denied(ctx):
    raise MeteorError(403, "Access denied")

@server.publish("over")
async def over(ctx):
    ctx.stop()
"""


@pytest.fixture
def url(shell):
    shell.write("shelf.py", SERVER)
    process = shell.serve("shelf:server", "--drain", "0")
    yield f"http://{process.address()}"
    assert process.end(signal.SIGTERM)[0] == 0


@pytest.fixture
def terminal(shell):
    """`terminal("sub", …)`: the command on a terminal of its own."""
    running = []

    def start(*arguments, columns=60, lines=14, **env):
        environ = {name: text for name, text in os.environ.items() if name != "NO_COLOR"}
        environ |= {"TERM": "xterm"} | env
        made = Terminal(
            [sys.executable, "-m", "ddpcore", *arguments], columns=columns, lines=lines,
            cwd=shell.directory, env=environ,
        )  # fmt: skip
        running.append(made)
        return made

    yield start
    for each in running:
        each.kill()


# --- call --------------------------------------------------------------------------------------


def test_a_call(shell, url):
    out = '[1,"a@example.org","x y",{"$date":0},null]\n'
    arguments = ["1", "a@example.org", "x y", '{"$date": 0}', "null"]
    assert shell.run("call", url, "echo", *arguments) == (0, out, "")
    assert shell.run("call", url, "void") == (0, "null\n", "")
    # What a terminal would obey travels escaped.
    assert (
        shell.run("call", url, "echo", "\x1b[2J\x9b\u202e")[1] == '["\\u001b[2J\\u009b\\u202e"]\n'
    )


def test_a_result_on_a_terminal_is_laid_out(terminal, url):
    call = terminal("call", url, "echo", '{"a": [1]}')
    assert call.end() == 0
    assert call.screen.printed == ["[", "  {", '    "a": [', "      1", "    ]", "  }", "]"]


def test_errors_of_methods(shell, url):
    assert shell.run("call", url, "fail") == (1, "", "[403] Access denied �[31m\n")
    assert shell.run("call", url, "fail", '{"a": 1}')[2].splitlines()[1:] == ['{"a":1}']
    assert shell.run("call", url, "none") == (1, "", "[404] Method 'none' not found\n")


def test_a_lost_connection(shell, url):
    code, out, err = shell.run("call", url, "crash")
    assert (code, out) == (2, "")
    assert "may have run or not" in err
    assert "--retry" in err


MISTAKES = {
    "nothing there": (["call", "127.0.0.1:1", "echo"], r"Nothing listens at ws://127"),
    "no address": (["call", "ftp://x", "echo"], r"Write localhost:8000"),
    "a secret in it": (["call", "http://me:hunter2@x", "echo"], r"log in instead"),
    "not EJSON": (["call", "x", "echo", '{"$binary": 1}'], r"no EJSON"),
    "two log-ins": (["call", "x", "m", "--user", "a", "--token-file", "b"], r"not both"),
    "whose password": (["call", "x", "m", "--password-stdin"], r"needs --user"),
    "no terminal": (["call", "x", "m", "--user", "emma"], r"--password-stdin"),
    "no token": (["call", "x", "m", "--token-file", "none"], r"Cannot read the token in none"),
    "no method": (["call", "x"], r"required: METHOD"),
    "no header": (["call", "x", "m", "--header", "odd"], r"Name: value"),
    "no number": (["sub", "x", "m", "--count", "0"], r"0 is not 1 or more"),
    "no load": (["load", "x"], r"--calls --sub is required"),
    "both loads": (["load", "x", "--calls", "a", "--sub", "b"], r"not allowed with"),
    "no time": (["load", "x", "--calls", "a", "--duration", "nan"], r"nan is not 0 or more"),
    "load of nobody": (
        ["load", "127.0.0.1:1", "--calls", "a"],
        r"No client could connect: Nothing",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(shell, mistake):
    arguments, text = MISTAKES[mistake]
    process = subprocess.run(
        [sys.executable, "-m", "ddpcore", *arguments], stdin=subprocess.DEVNULL, text=True,
        capture_output=True, timeout=60, cwd=shell.directory, check=False,
    )  # fmt: skip
    assert (process.returncode, process.stdout) == (2, "")
    assert re.search(text, process.stderr.replace("\n", " ")), process.stderr
    assert "Traceback" not in process.stderr
    assert "hunter2" not in process.stderr


def test_too_slow(shell, url):
    # In that time it has to connect, too.
    code, out, err = shell.run("call", url, "patient", "--timeout", "2")
    assert (code, out) == (2, "")
    assert "No answer within 2 s" in err


def test_without_tornado(shell):
    shell.write("tornado.py", "raise ImportError('no tornado here')")
    for command in (["call", "x", "m"], ["sub", "x", "m"], ["load", "x", "--calls", "m"]):
        code, _, err = shell.run(*command)
        assert code == 2
        assert "pip install 'ddpcore[tornado]'" in err


# --- sub in a pipe -----------------------------------------------------------------------------

ADDED = [
    {
        "msg": "added",
        "collection": "books",
        "id": id,
        "fields": {"title": f"Book {id}", "pages": 100},
    }
    for id in "01"
]


def test_lines(shell, url):
    code, out, err = shell.run("sub", url, "books", "2", "--ready")
    assert (code, err) == (0, "")
    assert [json.loads(line) for line in out.splitlines()] == [*ADDED, {"msg": "ready"}]


def test_lines_as_they_come(shell, url):
    process = shell.start("sub", url, "books", "--count", "3")
    lines = [json.loads(process.line()) for _ in range(3)]
    assert lines == [*ADDED, {"msg": "ready"}]
    shell.run("call", url, "write", '"0"', "Emma")
    assert json.loads(process.line()) == {
        "msg": "changed", "collection": "books", "id": "0", "fields": {"title": "Emma"},
    }  # fmt: skip
    assert process.end() == (0, "", "")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_a_signal_ends_it(shell, url, how):
    process = shell.start("sub", url, "books", "0")
    assert json.loads(process.line()) == {"msg": "ready"}
    assert process.end(how) == (0, "", "")


def test_nobody_reads_on(shell, url):
    process = shell.start("sub", url, "books", "1")
    assert [json.loads(process.line())["msg"] for _ in range(2)] == ["added", "ready"]
    process.process.stdout.close()
    shell.run("call", url, "write", '"0"', "Emma")
    assert process.process.wait(30) == 0
    process._drain.join()
    assert process._errors == []
    process.process.stderr.close()


def test_refusals(shell, url):
    assert shell.run("sub", url, "denied") == (1, "", "[403] Access denied\n")
    assert shell.run("sub", url, "none")[0] == 1
    code, out, err = shell.run("sub", url, "over")
    assert (code, out, err) == (0, "", "The server has ended the subscription.\n")


# --- sub on a terminal -------------------------------------------------------------------------


def test_a_live_table(terminal, shell, url):
    table = terminal("sub", url, "books")
    table.until(lambda screen: screen.text[-1] == "books · ready · 0 changes")
    assert table.screen.text == [
        "books · 2 documents",
        "  id  title   pages",
        "  0   Book 0  100",
        "  1   Book 1  100",
        *[""] * 9,
        "books · ready · 0 changes",
    ]
    assert table.screen.alternate
    assert not table.screen.cursor_shown
    assert "1m" in table.screen.styles

    shell.run("call", url, "write", '"0"', "Emma\n\x1b[2J\x9b and more of it than fits here")
    table.until(lambda screen: "1 change," in screen.text[-1])
    row = "  0   Emma �[2J� and more of it than fits here  100"
    assert table.screen.text[2] == row

    table.resize(30, 6)
    table.until(lambda screen: screen.text[-1].startswith("books"))
    assert table.screen.text[:4] == [
        "books · 2 documents",
        "  id  title              pages",
        "  0   Emma �[2J� and m…  100",
        "  1   Book 1             100",
    ]
    table.type("\x03")
    assert table.end() == 0
    screen = table.screen
    assert (screen.alternate, screen.cursor_shown, screen.wraps) == (False, True, True)
    # What was there is left above the prompt.
    assert screen.printed[0] == "books · 2 documents"
    assert screen.printed[-1].startswith("books · ready")


def test_it_can_be_suspended(terminal, url):
    table = terminal("sub", url, "books")
    table.until(lambda screen: "· ready ·" in screen.text[-1])
    table.process.send_signal(signal.SIGTSTP)
    table.until(lambda screen: not screen.alternate and screen.cursor_shown)
    # As a shell sees it; to go on before it stands would come too early.
    assert os.WIFSTOPPED(os.waitpid(table.process.pid, os.WUNTRACED)[1])
    table.process.send_signal(signal.SIGCONT)
    table.until(lambda screen: screen.alternate and "· ready ·" in screen.text[-1])
    assert table.end(signal.SIGINT) == 0


def test_without_colours(terminal, url):
    table = terminal("sub", url, "books", "--ready", NO_COLOR="1")
    assert table.end() == 0
    assert table.screen.styles == set()
    assert table.screen.printed[:3] == [
        "books · 2 documents",
        "  id  title   pages",
        "  0   Book 0  100",
    ]


def test_a_dumb_terminal_gets_lines(terminal, url):
    for arguments, env in ((["--lines"], {}), ([], {"TERM": "dumb"})):
        lines = terminal("sub", url, "books", "--ready", *arguments, **env)
        assert lines.end() == 0
        assert [json.loads(line)["msg"] for line in lines.screen.printed] == [
            "added", "added", "ready",
        ]  # fmt: skip


def test_a_refusal_on_a_terminal(terminal, url):
    table = terminal("sub", url, "denied")
    assert table.end() == 1
    assert table.screen.cursor_shown
    assert table.screen.printed[-1] == "[403] Access denied"


def test_the_table_says_when_the_connection_is_lost(terminal, shell):
    shell.write("shelf.py", SERVER)
    process = shell.serve("shelf:server", "--drain", "0")
    table = terminal("sub", f"http://{process.address()}", "books", columns=100)
    table.until(lambda screen: "· ready ·" in screen.text[-1])
    process.end(signal.SIGKILL)
    table.until(lambda screen: "no connection" in screen.text[-1])
    assert table.screen.text[0] == "books · 2 documents"  # what was last known
    assert table.end(signal.SIGTERM) == 0
    assert table.screen.cursor_shown


# --- load --------------------------------------------------------------------------------------


def test_load_of_calls(shell, url):
    code, out, err = shell.run(
        "load", url, "--calls", "echo", "1", "--clients", "3", "--in-flight", "2",
        "--duration", "1.5", "--json",
    )  # fmt: skip
    assert code == 0, err
    summary = json.loads(out)
    assert (summary["clients"], summary["errors"], summary["unanswered"]) == (3, {}, 0)
    assert summary["done"] > 10
    assert (
        0
        < summary["latency_ms"]["p50"]
        <= summary["latency_ms"]["p99"]
        <= summary["latency_ms"]["max"]
    )
    assert summary["bytes_in"] > summary["done"] * 20
    assert 0 <= summary["cpu"] < 3
    assert " 1 s  3 clients" in err


def test_load_at_a_rate(shell, url):
    code, out, _ = shell.run(
        "load", url, "--calls", "echo", "--rate", "20", "--duration", "1", "--json"
    )
    summary = json.loads(out)
    assert code == 0
    assert summary["done"] + summary["missed"] == 20


def test_load_that_fails(shell, url):
    process = shell.start("load", url, "--calls", "fail", "--duration", "600", "--clients", "2")
    process.until(lambda lines: any(re.search("[1-9][0-9,]* errors in all", it) for it in lines))
    code, out, _ = process.end(signal.SIGINT)
    assert code == 1
    assert "[403] Access denied �[31m" in out
    assert "of a processor" in out


def test_load_of_subscriptions(shell, url):
    process = shell.start(
        "load", url, "--sub", "books", "7", "--clients", "4", "--duration", "600", "--json"
    )
    # Each line tells how many have become ready in its second.
    process.until(lambda lines: sum(map(int, re.findall("([0-9]+) ready", "".join(lines)))) == 4)
    code, out, err = process.end(signal.SIGINT)
    assert code == 0, err
    summary = json.loads(out)
    assert (summary["done"], summary["changes"], summary["errors"]) == (4, 28, {})


def test_load_is_stopped(shell, url):
    process = shell.start("load", url, "--calls", "echo", "--duration", "600")
    process.until(lambda lines: any(" 1 s " in line for line in lines))
    code, out, _ = process.end(signal.SIGINT)
    assert code == 0
    assert "calls of echo" in out
