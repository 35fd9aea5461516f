"""The processes of a schedule: a server, two writers, and one that knows what there should be."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

import psycopg2
from project import Project

from schedules.steps import WRITERS
from schedules.watcher import PATIENCE, Watcher

SITE = Path(__file__).parent.parent / "site"
MODES = ("signals", "triggers", "sqlite")

HEARTBEAT = 5.0
"""Seconds after which a client that stood still had better connect anew."""

Report = dict[str, Any]


class Driver:
    """A process of schedulesite/driver.py; answers come in the order of the requests."""

    @classmethod
    async def begin(cls, project: Project) -> Driver:
        self = cls()
        self._errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - closed with the process
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schedulesite.driver", cwd=project.site, env=project.env,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=self._errors,
            limit=2**24,
        )  # fmt: skip
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._reader = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        while line := await self._process.stdout.readline():
            answer, problem = json.loads(line)
            future = self._waiting.popleft()
            if future.cancelled():
                continue
            if problem is not None:
                future.set_exception(AssertionError(f"A driver cannot do it:\n{problem}"))
            else:
                future.set_result(answer)
        for future in self._waiting:
            future.set_exception(self._ended())

    def _ended(self) -> AssertionError:
        self._errors.seek(0)
        return AssertionError(
            f"A driver ended ({self._process.returncode}):\n{self._errors.read()}"
        )

    def ask(self, *request: Any) -> asyncio.Task[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._reader.done():
            raise self._ended()
        self._waiting.append(future)
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        return asyncio.create_task(asyncio.wait_for(future, PATIENCE))

    async def end(self) -> None:
        self._process.stdin.close()
        await self._process.wait()
        await self._reader
        self._errors.close()


class ProcessWriter:
    """A writer in a process of its own."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def start(self, op: dict[str, Any]) -> asyncio.Future[Report]:
        return self._driver.ask("write", op)

    async def end(self, how: str) -> asyncio.Future[Report]:
        return self._driver.ask("end", how)


class MethodWriter:
    """A writer that calls a method of the server: a transaction is one call."""

    def __init__(self, client: Watcher) -> None:
        self._client = client
        self._ops: list[dict[str, Any]] = []
        self._depth = 0

    async def start(self, op: dict[str, Any]) -> asyncio.Future[Report]:
        if op["op"] == "begin":
            self._depth += 1
            outermost = self._depth == 1
        elif op["op"] in ("commit", "rollback"):
            if self._depth == 1:
                return await self.end(op["op"])
            outermost = not self._depth
            self._depth = max(0, self._depth - 1)
        else:
            outermost = False
        if not outermost:
            self._ops.append(op)
        return await self._nothing() if self._depth or not self._ops else await self.end("commit")

    async def end(self, how: str) -> asyncio.Future[Report]:
        ops, self._ops, self._depth = self._ops, [], 0
        if not ops:
            return await self._nothing()
        marks = [op["mark"] for op in ops if "mark" in op]
        called = await self._client.start("run", ops, how == "rollback")

        async def report() -> Report:
            answer = await called
            problem = answer.get("error")
            undone = marks if problem else answer["result"]
            committed = [mark for mark in marks if mark not in undone]
            why = problem["message"] if problem and problem["error"] != "rollback" else None
            return {"committed": committed, "undone": undone, "problem": why}

        return asyncio.create_task(report())

    async def _nothing(self) -> asyncio.Future[Report]:
        future: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        future.set_result({"committed": [], "undone": [], "problem": None})
        return future


class World:
    """Everything a schedule needs, for as many schedules as wanted.

    Args:
        mode: "signals" or "triggers" (PostgreSQL), or "sqlite".
        database: The DSN of a fresh database, or the path of an SQLite file to be made.

    Attributes:
        tally: How much happened: a schedule in which nothing does proves nothing.
    """

    def __init__(self, mode: str, database: str) -> None:
        self.mode = mode
        self.tally: Counter[str] = Counter()
        self._runner = asyncio.Runner()
        self.project = Project(SITE, "schedulesite.settings", database, SCHEDULES_CAPTURE=mode)
        self._admin = None
        self.project.migrate()
        if mode == "triggers":
            self.project.manage("ddp_triggers", "install")
        self.server = self.project.serve()
        self._runner.run(self._begin())
        self._runner.run(self._meet())
        if mode != "sqlite":
            self._admin = psycopg2.connect(database)
            self._admin.autocommit = True

    async def _begin(self) -> None:
        self.oracle = await Driver.begin(self.project)
        await self.oracle.ask("prepare")
        count = 0 if self.mode == "sqlite" else 2
        self._drivers = [await Driver.begin(self.project) for _ in range(count)]

    async def _meet(self) -> None:
        # Each calls by itself: the methods of one client wait for each other.
        self._clients = [await self.watcher() for _ in range(WRITERS - len(self._drivers))]
        self.control = await self.watcher()
        self._met = time.monotonic()

    def renew(self) -> None:
        """Go on with another server: nobody knows what state this one is in."""
        self._runner.run(self._part())
        self.server.end(signal.SIGKILL)
        self.server = self.project.serve()
        self._runner.run(self._meet())

    def run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)

    async def watcher(self) -> Watcher:
        watcher = Watcher(self.server.address)
        await watcher.connect()
        return watcher

    async def writers(self, patience: int) -> list[ProcessWriter | MethodWriter]:
        """The writers; they wait so many milliseconds for locks."""
        for driver in self._drivers:
            await driver.ask("patience", patience)
        return [*map(ProcessWriter, self._drivers), *map(MethodWriter, self._clients)]

    async def reset(self, *, populated: bool) -> None:
        if time.monotonic() - self._met > HEARTBEAT:
            # The loop stood still meanwhile, and the server's pings went unanswered.
            await self._part()
            await self._meet()
        self._met = time.monotonic()
        answer = await self.control.call("reset", populated)
        assert "error" not in answer, answer

    def kill_listener(self) -> None:
        with self._admin.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'ddpcore listen' AND datname = current_database()"
            )

    def close(self) -> None:
        self._runner.run(self._end())
        self._runner.close()
        if self._admin is not None:
            self._admin.close()
        code = self.server.end()
        self.project.end()
        assert code == 0, "".join(self.server.errors)

    async def _part(self) -> None:
        leaving = (client.leave() for client in [*self._clients, self.control])
        await asyncio.gather(*leaving, return_exceptions=True)

    async def _end(self) -> None:
        await self._part()
        for driver in [*self._drivers, self.oracle]:
            await driver.end()
