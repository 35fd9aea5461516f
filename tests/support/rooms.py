"""A server of rooms: live queries whose rows are in memory, and change when told to."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from ddpcore import Change, Document, Op, Server
from ddpcore.live.predicate import Equals
from ddpcore.live.query import MatchedQuery, Table
from ddpcore.live.snapshot import Found, Snapshot
from ddpcore_tornado import handlers
from ddpcore_tornado.doorway import doorways

TOPIC = "rooms.row"


class Rooms:
    """The rows, and a server whose publication `room(name, count)` shows them."""

    def __init__(self, **options: Any) -> None:
        self.server = Server(**{"grace_period": 0, "heartbeat_interval": 0, **options})
        self.rows: dict[str, dict[str, Any]] = {}
        self.xids = itertools.count(1)
        self.xid = 0
        rooms = self

        class Rows(Table):
            topic = TOPIC

            def row(self, image):
                return image

            async def read(self, keys):
                raise AssertionError("changes tell all there is")

        table = Rows()

        class InRoom(MatchedQuery):
            collection = "rows"
            topics = frozenset({TOPIC})
            maker = "rows"

            def __init__(self, room: str) -> None:
                self.room = room
                self.key = ("room", room)
                self.table = table
                self.predicate = Equals("room", [room])

            async def fetch(self):
                found = {key: self.item(key, row) for key, row in rooms.rows.items()
                         if row["room"] == self.room}  # fmt: skip
                return Found(found, Snapshot(rooms.xid + 1, rooms.xid + 1))

            def item(self, key, row):
                return Document.of("rows", key, {"n": row["n"]})

        @self.server.publish("room")
        async def room(ctx, name, count):
            for number in range(count):
                self.rows.setdefault(f"{name}{number}", {"room": name, "n": 0})
            return InRoom(name)

        @self.server.method
        async def echo(ctx, value):
            return value

    async def change(self, key: str) -> None:
        row = self.rows[key] = {**self.rows[key], "n": self.rows[key]["n"] + 1}
        self.xid = next(self.xids)
        await self.server.bus.publish(Change(TOPIC, Op.UPDATE, key, None, row, self.xid))

    def shown(self, room: str) -> dict[str, dict[str, Any]]:
        return {key: {"n": row["n"]} for key, row in self.rows.items() if row["room"] == room}


@asynccontextmanager
async def rooms_served(**options: Any):
    """Rooms behind a doorway, and their address."""
    rooms = Rooms(**options)
    http = HTTPServer(Application(handlers(rooms.server), log_function=lambda _: None))
    sockets = doorways(bind_sockets(0, "127.0.0.1", backlog=4096))
    http.add_sockets(sockets)
    try:
        yield rooms, "{}:{}".format(*sockets[0].getsockname())
    finally:
        http.stop()
        await http.close_all_connections()
        await rooms.server.stop()
