"""Lives through schedules for as long as you like; scripts/long_schedules.py calls it."""

from __future__ import annotations

import argparse
import itertools
import json
import random
import secrets
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from ddpcore_pg.cluster import Cluster
from schedules.play import Broken, play
from schedules.steps import schedules
from schedules.world import MODES, World

BATCH = 100
"""Schedules of one mode before the next has its turn."""


def main() -> int:
    """Returns the exit code: 0 if every schedule went well."""
    parser = argparse.ArgumentParser(prog="long_schedules", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, help="the same seed draws the same schedules")
    parser.add_argument("--modes", default=",".join(MODES), help="of: " + ", ".join(MODES))
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="live through this schedule only (JSON)"
    )
    parser.add_argument("--times", type=int, default=1, help="so many times, with --replay")
    options = parser.parse_args()
    modes = options.modes.split(",")
    with ExitStack() as stack:
        try:
            if options.replay:
                return replay(stack, modes, json.loads(options.replay.read_text()), options.times)
            first = options.seed if options.seed is not None else random.randrange(2**32)
            return live(stack, modes, options.minutes, first)
        except KeyboardInterrupt:
            print("Interrupted.", flush=True)
            return 1


def live(stack: ExitStack, modes: list[str], minutes: float, first: int) -> int:
    """Draw schedules until the time is over or one fails."""
    worlds = Worlds(stack)
    passed: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    deadline = time.monotonic() + 60 * minutes
    print(f"Seed {first}, {minutes:g} minutes.", flush=True)
    for number in itertools.count(first):
        for mode in modes:
            began = time.monotonic()
            try:
                passed[mode] += batch(worlds[mode], number, deadline)
            except Exception as problem:
                print(f"Seed {number} failed, mode {mode}:\n")
                print(explained(problem))
                tell(passed, spent)
                return 1
            spent[mode] += time.monotonic() - began
            if time.monotonic() > deadline:
                tell(passed, spent)
                return 0
        tell(passed, spent)
    raise AssertionError


def batch(world: World, number: int, deadline: float) -> int:
    """Live through the schedules of one seed; how many there were before the deadline."""
    passed, failed = 0, False

    @seed(number)
    @settings(
        max_examples=BATCH,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(schedules(world.mode))
    def test(schedule: dict[str, Any]) -> None:
        nonlocal passed, failed
        if passed and not failed and time.monotonic() > deadline:
            return
        try:
            play(world, schedule)
        except Broken as problem:
            if not failed:
                first = str(problem).partition("\n\n")[0]
                print(f"{first}\nMaking the schedule smaller ...", flush=True)
            failed = True  # from now on time does not count
            raise
        passed += 1

    test()
    return passed


def tell(passed: Counter[str], spent: Counter[str]) -> None:
    parts = [
        f"{mode}: {count} passed ({60 * count / max(spent[mode], 0.001):.0f} a minute)"
        for mode, count in passed.items()
    ]
    print("; ".join(parts), flush=True)


def tell_more(world: World) -> None:
    """What the schedules were made of."""
    print(f"{world.mode}: " + ", ".join(f"{n} {what}" for what, n in sorted(world.tally.items())))


def replay(stack: ExitStack, modes: list[str], schedule: dict, times: int) -> int:
    """Live through one schedule; the exit code is the number of times that it failed."""
    worlds, failed = Worlds(stack), 0
    for mode in modes:
        for _ in range(times):
            try:
                play(worlds[mode], schedule)
            except Broken as problem:
                failed += 1
                print(problem, flush=True)
    print(f"{failed} of {times * len(modes)} failed.")
    return min(failed, 100)


class Worlds:
    """A world a mode, made when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._worlds: dict[str, World] = {}
        self._cluster: Cluster | None = None

    def __getitem__(self, mode: str) -> World:
        if mode not in self._worlds:
            self._worlds[mode] = self._stack.enter_context(_world(mode, self._database(mode)))
        return self._worlds[mode]

    def _database(self, mode: str) -> str:
        if mode == "sqlite":
            directory = self._stack.enter_context(tempfile.TemporaryDirectory())
            return str(Path(directory) / "site.sqlite3")
        if self._cluster is None:
            self._cluster = self._stack.enter_context(Cluster())
        return self._cluster.createdb(f"{mode}_{secrets.token_hex(4)}")


@contextmanager
def _world(mode: str, database: str) -> Iterator[World]:
    world = World(mode, database)
    try:
        yield world
        tell_more(world)
    finally:
        world.close()


def explained(problem: BaseException) -> str:
    """What went wrong, from whatever hypothesis has wrapped it in."""
    if isinstance(problem, Broken):
        return str(problem)
    broken = [each for each in _tree(problem) if isinstance(each, Broken) and each.whole]
    if not broken:
        return "".join(traceback.format_exception(problem))
    shortest = min(map(str, broken), key=len)
    return f"{shortest}\n\nWhen tried again it did not fail, or in another way: a race."


def _tree(problem: BaseException | None) -> Iterator[BaseException]:
    # Several failures, or one that did not come again, are groups.
    if problem is not None:
        yield problem
        for each in (*getattr(problem, "exceptions", ()), problem.__cause__, problem.__context__):
            yield from _tree(each)


if __name__ == "__main__":
    sys.exit(main())
