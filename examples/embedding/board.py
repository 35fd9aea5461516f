"""The build board: builds in memory, live for everybody who looks at them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import ddpcore

KEPT = 12  # builds; older ones leave the board


class Builds(ddpcore.LiveQuery):
    """All builds on the board."""

    key = ("builds",)
    collection = "builds"
    topics = frozenset({"build"})

    def __init__(self, rows: Mapping[str, dict[str, Any]]) -> None:
        self._rows = rows

    async def fetch(self) -> dict[str, ddpcore.Document]:
        return {id: ddpcore.Document.of("builds", id, row) for id, row in self._rows.items()}


class Watchers(ddpcore.LiveQuery):
    """How many people look at the board: one document."""

    key = ("watchers",)
    collection = "watchers"
    topics = frozenset({"watcher"})

    def __init__(self, server: ddpcore.Server) -> None:
        self._server = server

    async def fetch(self) -> dict[str, ddpcore.Document]:
        count = len(self._server.sessions)
        return {"all": ddpcore.Document.of("watchers", "all", {"count": count})}


class Board:
    """A plugin of its server: it starts and stops with it, and counts its sessions.

    Args:
        pace: Seconds between two steps of the machines that build; 0: they stand still.
    """

    def __init__(self, pace: float = 0.7) -> None:
        self.builds: dict[str, dict[str, Any]] = {}
        self.pace = pace
        self.machines: asyncio.Task[None] | None = None
        self._number = 0
        # Who closes a window is gone at once: this page has no use for sessions that wait for it.
        self.server = ddpcore.Server(plugins=[self], grace_period=0)
        self.server.publish("builds")(lambda ctx: Builds(self.builds))
        self.server.publish("watchers")(lambda ctx: Watchers(self.server))
        self.server.method("builds.start")(self._start)
        self.server.method("builds.stop")(self._stop)

    # What clients may do

    async def _start(self, ctx: ddpcore.MethodContext, branch: str) -> str:
        branch = branch.strip()
        if not 0 < len(branch) <= 40:
            raise ddpcore.MeteorError(400, "A branch has a name of up to 40 characters.")
        return await self.start(branch, by="this board")

    async def _stop(self, ctx: ddpcore.MethodContext, id: str) -> None:
        build = self.builds.get(id)
        if build is None or build["state"] != "running":
            raise ddpcore.MeteorError(404, "No such build is running.")
        await self.save(id, state="stopped")

    # The builds

    async def start(self, branch: str, by: str) -> str:
        """Put a build on the board; its id."""
        self._number += 1
        id = str(self._number)
        await self.save(id, number=self._number, branch=branch, by=by, state="running", percent=0)
        for old in list(self.builds)[:-KEPT]:
            del self.builds[old]
            await self._changed(ddpcore.Change("build", ddpcore.Op.DELETE, old))
        return id

    async def save(self, id: str, **fields: Any) -> None:
        """Change a build, and say so: all who look at it see it."""
        op = ddpcore.Op.UPDATE if id in self.builds else ddpcore.Op.INSERT
        self.builds[id] = self.builds.get(id, {}) | fields
        await self._changed(ddpcore.Change("build", op, id))

    async def _changed(self, change: ddpcore.Change) -> None:
        ddpcore.WriteFence.mark()  # whoever called a method sees the change before its end
        await self.server.bus.publish(change)

    async def step(self) -> None:
        """All builds go on a bit."""
        for id, build in list(self.builds.items()):
            if build["state"] == "running":
                percent = min(100, build["percent"] + random.randint(4, 15))  # noqa: S311
                outcome = "failed" if random.random() < 0.02 else "passed"  # noqa: S311
                state = outcome if percent == 100 or outcome == "failed" else "running"
                await self.save(id, percent=percent, state=state)

    # The server starts and stops

    @ddpcore.hookimpl
    async def ddpcore_server_started(self) -> None:
        if self.pace:
            self.machines = asyncio.create_task(self._work())

    @ddpcore.hookimpl
    async def ddpcore_server_stopping(self) -> None:
        if self.machines is not None:
            self.machines.cancel()
            with suppress(asyncio.CancelledError):
                await self.machines
            self.machines = None

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(self.pace)
            await self.step()

    # Who looks

    @ddpcore.hookimpl
    def ddpcore_session_opened(self, server: ddpcore.Server) -> None:
        server.spawn(server.bus.publish(ddpcore.Change("watcher", ddpcore.Op.RESET)))

    ddpcore_session_closed = ddpcore_session_opened
