"""The server that is measured without a database: rows in memory that change on command.

A room is named `name-count-size`: so many rows, each with a text of so many bytes. It is made by
its name, the same in every process.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from typing import Any

from ddpcore import Change, Document, Op, Server
from ddpcore.live.predicate import Equals
from ddpcore.live.query import MatchedQuery, Table
from ddpcore.live.snapshot import Found, Snapshot

TOPIC = "bench.row"

TURNS = 8
"""Turns of the loop that a change has until it is with the kernel, before the next one comes."""

# Nobody is to be pinged in the middle of a measurement, nor dropped for not reading.
server = Server(heartbeat_interval=0.0)

rooms: dict[str, dict[str, dict[str, Any]]] = {}
versions: dict[str, int] = {}
hushed: set[str] = set()


def rows(room: str) -> dict[str, dict[str, Any]]:
    if room not in rooms:
        _, count, size = room.split("-")
        rooms[room] = {f"{room}/{n}": _row(room, 0, int(size)) for n in range(int(count))}
        versions[room] = 0
    return rooms[room]


def _row(room: str, version: int, size: int) -> dict[str, Any]:
    at = int(time.monotonic() * 1e6) if version else 0
    return {"room": room, "n": version, "at": at, "text": str(version).zfill(size)}


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    return {"n": row["n"], "at": row["at"], "text": row["text"]}


class Rows(Table):
    topic = TOPIC

    def row(self, image):
        return image

    async def read(self, keys):
        return Found({key: rows(key.partition("/")[0])[key] for key in keys})


class InRoom(MatchedQuery):
    collection = "rows"
    topics = frozenset({TOPIC})
    table = Rows()
    maker = "rows"

    def __init__(self, room: str) -> None:
        self.room = room
        self.key = ("room", room)
        self.predicate = Equals("room", [room])

    async def fetch(self):
        now = time.monotonic_ns()  # as PostgreSQL says what has been seen; see `change`
        made = {key: self.item(key, row) for key, row in rows(self.room).items()}
        return Found(made, Snapshot(now, now))

    def item(self, key, row):
        return Document.of("rows", key, _fields(row))


@server.publish("room")
async def room_of(ctx, room: str):
    return InRoom(room)


@server.publish("by hand")
async def by_hand(ctx, room: str):
    """The same, but each client's messages are encoded for it."""
    for key, row in rows(room).items():
        ctx.added("rows", key, _fields(row))
    ctx.ready()


async def change(room: str) -> None:
    """The next row of a room changes."""
    held = rows(room)
    _, count, size = room.split("-")
    versions[room] = version = versions[room] + 1
    key = f"{room}/{version % int(count)}"
    held[key] = image = _row(room, version, int(size))
    # A number as of a transaction: whoever has rows of their own need not be asked.
    xid = time.monotonic_ns()
    await server.bus.publish(Change(TOPIC, Op.UPDATE, key, None, image, xid))


@server.method
async def drive(ctx, room: str, turns: int, a_turn: int) -> None:
    """Change rows in so many turns of the loop, `a_turn` in each, as fast as it goes."""
    for _ in range(turns):
        for _ in range(a_turn):
            await change(room)
        for _ in range(TURNS):
            await asyncio.sleep(0)


@server.method
async def pace(ctx, room: str, rate: float, tick: float, seconds: float) -> int:
    """Change `rate` rows a second, every `tick` seconds some; how many it were.

    A server that cannot keep up changes fewer.
    """
    ctx.unblock()
    a_tick = max(round(rate * tick), 1)
    loop = asyncio.get_running_loop()
    due = loop.time()
    end, count = due + seconds, 0
    hushed.discard(room)
    while loop.time() < end and room not in hushed:
        for _ in range(a_tick):
            await change(room)
        count += a_tick
        due = max(due + tick, loop.time())
        await asyncio.sleep(due - loop.time())
    return count


@server.method
async def hush(ctx, room: str) -> None:
    """Let `pace` end in a room."""
    hushed.add(room)


@server.method
async def touch(ctx, names: list[str]) -> None:
    """One change in each of these rooms."""
    for name in names:
        await change(name)


@server.method
async def truth(ctx, room: str) -> dict[str, Any]:
    """What clients of a room should have."""
    return {f"rows/{key}": _fields(row) for key, row in rows(room).items()}


@server.method
async def traffic(ctx) -> int:
    """How many frames sessions have let go of, over all clients."""
    return server.traffic.frames


@server.method
async def echo(ctx, value: Any) -> Any:
    return value


@server.method("echo in a thread")
def echo_in_thread(ctx, value: Any) -> Any:
    return value


@server.method
async def collect(ctx) -> int:
    """Collect garbage; the process that did."""
    gc.collect()
    return os.getpid()
