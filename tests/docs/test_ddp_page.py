"""docs/reference/ddp.md: its transcripts are played, its addresses asked for, its messages counted."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import pytest
import websockets
from pages import Block, blocks, files
from served import fetch, raw, served

from ddpcore.session.transitions import REACTIONS, State
from ddpcore.wire import messages

ROOT = Path(__file__).parents[2]
PAGE = "reference/ddp.md"
TEXT = (ROOT / "docs" / PAGE).read_text()
TRANSCRIPTS = [each for each in blocks(PAGE, "text") if re.match("[<>] ", each.text)]
LOST = "--- the socket is lost; the client opens another"


@asynccontextmanager
async def notes() -> AsyncIterator[str]:
    """The page's own server; its address."""
    module = ModuleType("notes")
    exec(compile(files(PAGE)["notes.py"], "notes.py", "exec"), module.__dict__)
    async with served(module.server) as at:
        yield at


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) == 12


def matched(expected: str, got: str, known: dict[str, str]) -> bool:
    """Whether a line is what the page shows; `known` learns what its names stand for."""
    pattern = re.escape(expected).replace("…", '[^"\\\\]+')
    if "SESSION" in known:
        pattern = pattern.replace("SESSION", known["SESSION"])
    else:
        pattern = pattern.replace("SESSION", '(?P<session>[^"]+)')
    found = re.fullmatch(pattern, got)
    if found and "session" in found.groupdict():
        known["SESSION"] = found["session"]
    return found is not None


@pytest.mark.parametrize("block", TRANSCRIPTS, ids=str)
async def test_a_transcript_is_what_happens(block: Block) -> None:
    async with notes() as address:
        await play(block, address)


async def play(block: Block, address: str) -> None:
    sockjs = block.text.startswith("< o\n")
    path = "/sockjs/000/transcript/websocket" if sockjs else "/websocket"
    known: dict[str, str] = {}
    socket = await raw(address, path)
    for line in block.text.splitlines():
        if line == LOST:
            socket.transport.abort()
            await socket.wait_closed()
            socket = await raw(address, path)
            continue
        way, text = line.split(" ", 1)
        if way == ">":
            await socket.send(text.replace("SESSION", known.get("SESSION", "SESSION")))
        else:
            got = await socket.recv()
            assert matched(text, got, known), f"{got} is not {text}"
    if sockjs or '"failed"' in block.text:
        with pytest.raises(websockets.ConnectionClosed) as ended:
            await socket.recv()
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1000
    else:  # nothing else has been sent: the next message is the answer to this
        await socket.send('{"msg":"ping","id":"the end"}')
        assert await socket.recv() == '{"msg":"pong","id":"the end"}'
    await socket.close()


def table(header: str) -> list[list[str]]:
    lines = TEXT.splitlines()
    rows: list[list[str]] = []
    for line in lines[lines.index(header) + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_every_message_of_clients_is_there() -> None:
    named = {row[0].strip("`") for row in table("| from the client | members | answered by |")}
    reacted = {kind for state in (State.NEW, State.CONNECTED) for kind in REACTIONS[state]}
    assert named == reacted - {"any other"} | {"method", "sub", "unsub"}


def test_every_message_of_the_server_is_there() -> None:
    named = {row[0].strip("`") for row in table("| from the server | members | when |")}
    answers = set(messages.__all__) & {
        "connected", "error", "failed", "nosub", "pong", "ready", "result", "updated"
    }  # fmt: skip
    assert named == answers | {"added", "changed", "removed", "ping"}
    shown: dict[str, set[str]] = {}
    for block in TRANSCRIPTS:
        for line in re.findall(r"^< (\{.*\})$", block.text, re.MULTILINE):
            message = json.loads(line)
            shown.setdefault(message.pop("msg"), set()).update(message)
    for kind, members, _ in table("| from the server | members | when |"):
        kind = kind.strip("`")
        if kind != "ping":  # nobody waits for one here
            assert set(re.findall(r"`(\w+)`", members)) == shown[kind], kind


async def test_every_address_is_there() -> None:
    rows = table("| address | what |")
    assert len(rows) == 12
    async with notes() as address:
        for number, (written, _) in enumerate(rows):
            path = written.strip("`").replace("<server>", "000").replace("<callback>", "f")
            await visit(address, path.replace("<session>", f"s{number}"))


async def visit(address: str, path: str) -> None:
    if path.endswith("websocket"):
        async with raw(address, path):
            return
    if path.endswith(("streaming", "eventsource", "htmlfile?c=f")):
        return  # these do not end: tests/sockjs has them
    method = "POST" if path.endswith(("xhr", "_send")) else "GET"
    answer = await fetch(address, path, method=method)
    if path.endswith("_send"):  # without messages
        assert (answer.code, answer.body) == (500, b"Payload expected.")
    elif "jsonp" in path:  # who it is for says nothing of where it comes from
        assert answer.code == 403
    else:
        assert answer.code == 200
