"""Lives through a schedule, and compares what clients hold with what there should be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import traceback
from typing import Any

from ddpcore.wire import ejson
from schedules.steps import described
from schedules.watcher import Description, Watcher
from schedules.world import MethodWriter, ProcessWriter, Report, World

STEP_BY_STEP, ALL_AT_ONCE = 40, 2_000
"""Milliseconds that writers wait for locks. Step by step nobody else can go on meanwhile."""

PRIVATE = {"note", "message"}


class Broken(AssertionError):
    """A schedule after which not everything is as it should be."""

    @property
    def whole(self) -> bool:
        """Whether it tells the schedule, too."""
        return "The schedule:" in str(self)


class Different(Broken):
    """The server is well, but has told a client what is not so."""


def play(world: World, schedule: dict[str, Any]) -> None:
    """Live through a schedule.

    Raises:
        Broken: What was wrong, with the schedule.
    """
    try:
        world.run(Play(world, schedule).run())
    except Different:
        raise
    except Broken:
        world.renew()
        raise


class Play:
    def __init__(self, world: World, schedule: dict[str, Any]) -> None:
        self.world = world
        self.schedule = schedule
        self.eager: bool = schedule["eager"]
        self.watchers: list[Watcher] = []
        self.writers: list[ProcessWriter | MethodWriter] = []
        self.reports: list[tuple[int, asyncio.Future[Report]]] = []
        self.problems: dict[int, str] = {}
        self.undone: set[str] = set()
        self.ever_visible: set[tuple[str, str, str]] = set()
        self.now = -1

    async def run(self) -> None:
        world = self.world
        try:
            await world.reset(populated=self.schedule["populated"])
            self.writers = await world.writers(ALL_AT_ONCE if self.eager else STEP_BY_STEP)
            await self._look_who_may_see()
            for user, descriptions in self.schedule["watching"]:
                self.watchers.append(watcher := await world.watcher())
                if user is not None:
                    await watcher.log_in(user)
                for description in descriptions:
                    await watcher.subscribe(description, wait=True)
            for self.now, (name, *arguments) in enumerate(self.schedule["steps"]):
                await getattr(self, "do_" + name.replace(" ", "_"))(*arguments)
                if any(watcher.faults for watcher in self.watchers):
                    break
            self.now = len(self.schedule["steps"])
            await self._end("commit")
            await self._compare()
            await self._leave()
        except Exception as problem:
            kind = Different if isinstance(problem, Different) else Broken
            report = self._report(problem)
            with contextlib.suppress(Exception):
                await self._leave()
            raise kind(report) from None

    async def _leave(self) -> None:
        self.world.tally["messages"] += sum(len(watcher.trail) for watcher in self.watchers)
        self.world.tally["wavered"] += sum(watcher.wavered for watcher in self.watchers)
        leaving = (watcher.leave() for watcher in self.watchers)
        outcomes = await asyncio.gather(*leaving, return_exceptions=True)
        await self._end("rollback")
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    # --- steps ---

    async def _write(self, number: int, op: dict[str, Any]) -> None:
        report = await self.writers[number].start(op)
        self.reports.append((self.now, report))
        if not self.eager:
            await self._read_reports()
            await self._look_who_may_see()

    async def _end(self, how: str) -> None:
        self.reports += [(self.now, await writer.end(how)) for writer in self.writers]
        await self._read_reports()
        await self._look_who_may_see()

    async def _read_reports(self) -> None:
        reports, self.reports = self.reports, []
        for number, future in reports:
            report = await future
            self.undone.update(report["undone"])
            self.world.tally["written"] += len(report["committed"])
            self.world.tally["rolled back"] += len(report["undone"])
            if report["problem"]:
                self.world.tally["failed"] += 1
                self.problems[number] = report["problem"]

    async def _look_who_may_see(self) -> None:
        visible = await self.world.oracle.ask("visible")
        self.ever_visible.update(map(tuple, visible))

    async def do_write(self, number: int, op: dict[str, Any]) -> None:
        await self._write(number, {**op, "mark": f"step {self.now}"})

    async def do_begin(self, number: int) -> None:
        await self._write(number, {"op": "begin"})

    async def do_commit(self, number: int) -> None:
        await self._write(number, {"op": "commit"})

    async def do_rollback(self, number: int) -> None:
        await self._write(number, {"op": "rollback"})

    def _watcher(self, number: int) -> Watcher:
        return self.watchers[number % len(self.watchers)]

    async def do_subscribe(self, number: int, description: Description, wait: bool) -> None:
        await self._watcher(number).subscribe(description, wait=wait)

    async def do_unsubscribe(self, number: int, which: int) -> None:
        await self._watcher(number).unsubscribe(which)

    async def do_log_in(self, number: int, user: str | None) -> None:
        await self._watcher(number).log_in(user)

    async def do_return(self, number: int, resume: bool) -> None:
        await self._watcher(number).come_back(resume=resume)

    async def do_kill(self) -> None:
        self.world.kill_listener()

    async def do_compare(self) -> None:
        if not self.eager:  # otherwise there is no moment at which nothing happens
            await self._compare()

    # --- what must hold ---

    async def _compare(self) -> None:
        await asyncio.gather(*(watcher.fence() for watcher in self.watchers))
        for number, watcher in enumerate(self.watchers):
            if watcher.faults:
                raise Different(f"watcher {number}: " + "\n".join(watcher.faults))
            differences = _differences(watcher.documents, await self._expected(watcher))
            if differences:
                lines = "\n".join(differences)
                raise Different(f"watcher {number} does not hold what it should:\n{lines}")
            self._check_seen(number, watcher)
            self.world.tally["compared"] += sum(map(len, watcher.documents.values()))

    async def _expected(self, watcher: Watcher) -> dict[str, dict[str, dict[str, Any]]]:
        asked = [(description, watcher.user) for description in watcher.subscriptions.values()]
        expected: dict[str, dict[str, dict[str, Any]]] = {}
        for collection, documents in await self.world.oracle.ask("expected", asked):
            for key, fields in documents.items():
                document = expected.setdefault(collection, {}).setdefault(key, {})
                document.update(ejson.decode(fields))
        return expected

    def _check_seen(self, number: int, watcher: Watcher) -> None:
        for collection, key, users, mark in watcher.seen:
            what = f"{collection} {key}"
            if mark in self.undone:
                raise Different(f"watcher {number} saw {mark!r} of {what}: rolled back")
            # "shelf of notes" holds notes, too.
            model = collection.split()[-1].rstrip("s")
            allowed = any((model, key, user) in self.ever_visible for user in users)
            if model in PRIVATE and not self.eager and not allowed:
                raise Different(
                    f"watcher {number}, user {users}, was sent {what}, which it may never see"
                )

    def _report(self, problem: Exception) -> str:
        what = str(problem) if isinstance(problem, AssertionError) else traceback.format_exc()
        parts = [f"[{self.world.mode}] {what}", "", "The schedule: " + described(self.schedule), ""]
        parts += [f"at step {self.now}"]
        parts += [f"step {number} failed: {text}" for number, text in self.problems.items()]
        for number, watcher in enumerate(self.watchers):
            for fault in watcher.faults:
                parts.append(f"watcher {number}: {fault}")
            parts.append(f"watcher {number} (user {watcher.user}) was told:")
            parts += [f"    {line}" for line in watcher.trail[-40:]]
        errors = [line for line in self.world.server.errors if "LISTEN connection" not in line][
            -60:
        ]
        if errors:
            parts += ["the server's last words:", *(f"    {line.rstrip()}" for line in errors)]
        parts += ["", "To live through it again:", json.dumps(self.schedule)]
        return "\n".join(parts)


def _differences(
    held: dict[str, dict[str, dict[str, Any]]], expected: dict[str, dict[str, dict[str, Any]]]
) -> list[str]:
    lines = []
    for collection in sorted(held.keys() | expected.keys()):
        there, wanted = held.get(collection, {}), expected.get(collection, {})
        for key in sorted(there.keys() | wanted.keys()):
            if key not in there:
                lines.append(f"  {collection} {key} is missing: {wanted[key]}")
            elif key not in wanted:
                lines.append(f"  {collection} {key} should not be there: {there[key]}")
            elif not ejson.equals(there[key], wanted[key]):
                names = sorted(there[key].keys() | wanted[key].keys())
                wrong = [
                    f"{name} is {there[key].get(name, '(nothing)')!r} and should be "
                    f"{wanted[key].get(name, '(nothing)')!r}"
                    for name in names
                    if name not in there[key]
                    or name not in wanted[key]
                    or not ejson.equals(there[key][name], wanted[key][name])
                ]
                lines.append(f"  {collection} {key}: " + "; ".join(wrong))
    return lines
