"""Checks before serving: the pieces that `ddpcore check` is made of, and how they are run.

A plugin gives each `Check` by the hook `ddpcore_checks`: a name and a function, which gives each
`Finding`: what is well, and what is not, with what to do about it. Checks are run one after the
other. One that fails, or hangs, becomes a finding itself, and the others are run all the same.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from ddpcore.errors import DDPError

if TYPE_CHECKING:
    from ddpcore.hooks import PluginManager
    from ddpcore.server.server import Server

__all__ = [
    "TIME_LIMIT",
    "Check",
    "Finding",
    "Level",
    "Output",
    "checks_of",
    "in_order",
    "run_checks",
]

logger = logging.getLogger(__name__)

TIME_LIMIT = 10.0
"""Seconds that a check may take: what takes longer to answer helps no client either."""

ORDER = (
    "plugins",
    "software",
    "application",
    "routes",
    "settings",
    "address",
    "monitor",
    "tls",
    "origins",
    "proxies",
    "limits",
    "database",
    "clock",
    "connections",
    "triggers",
    "bus",
    "queue",
    "workers",
    "accounts",
    "mails",
)
"""The names of checks in the order in which they are run; others come last."""

T = TypeVar("T")


class Level(Enum):
    """How things are; the values are what ``--json`` tells.

    Attributes:
        OK: All is well.
        WARNING: It would serve, but not as it should.
        ERROR: It would not serve, or not do what it was made for.
    """

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found; made by `ok`, `warning` and `error`.

    Attributes:
        level: How things are.
        text: What was found, in a sentence.
        advice: What to do; empty where all is well.
        check: The name of the check. It is put in when the check is run.
        plugin: The name of the plugin that the check came from, likewise.
    """

    level: Level
    text: str
    advice: str = ""
    check: str = ""
    plugin: str = ""

    @classmethod
    def ok(cls, text: str) -> Finding:
        """A finding that all is well, as `text` says."""
        return cls(Level.OK, text)

    @classmethod
    def warning(cls, text: str, advice: str) -> Finding:
        """A finding that it would serve, but not as it should.

        Args:
            text: What was found, in a sentence.
            advice: What to do.
        """
        return cls(Level.WARNING, text, advice)

    @classmethod
    def error(cls, text: str, advice: str = "") -> Finding:
        """A finding that it would not serve, or not do what it was made for.

        Args:
            text: What was found, in a sentence.
            advice: What to do; empty if `text` says it.
        """
        return cls(Level.ERROR, text, advice)


Output = Finding | Iterable[Finding] | None
"""What the function of a check gives: one finding, several, or none if it does not apply."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something to be looked at.

    Attributes:
        name: What it is about, in a word: the first column of the report.
        run: A `def` function is called in a thread of its own and may block; it may also be a
            generator. An `async def` function is awaited on the event loop and must not block it.
            A `DDPError` is an error whose text says what to do; any other exception is one of the
            check itself.
        limit: Seconds that it may take.
    """

    name: str
    run: Callable[[], Output | Awaitable[Output]]
    limit: float = TIME_LIMIT


def checks_of(
    plugins: PluginManager, server: Server | None, options: Any
) -> list[tuple[str, Check]]:
    """The checks of all plugins, each with its plugin's name.

    A plugin whose hook fails has a check that says so.

    Args:
        plugins: Who is asked.
        server: What is to be served; None if it could not be loaded.
        options: How.
    """
    found: list[tuple[str, Check]] = []
    for plugin, answer in plugins.attempts("ddpcore_checks", server=server, options=options):
        try:
            if isinstance(answer, Exception):
                raise answer
            checks = list(answer or ())
            wrong = [each for each in checks if not isinstance(each, Check)]
            if wrong:
                raise TypeError(f"{wrong[0]!r} is no ddpcore.checks.Check")
        except Exception as problem:
            failed = _failed(problem)
            checks = [Check(plugin, lambda failed=failed: failed)]  # type: ignore[misc]
        found += [(plugin, each) for each in checks]
    return found


def in_order(checks: Sequence[tuple[str, Check]]) -> list[tuple[str, Check]]:
    """Checks in the order of `ORDER`, and where that says nothing as they are given."""
    places = {name: place for place, name in enumerate(ORDER)}
    return sorted(checks, key=lambda each: places.get(each[1].name, len(ORDER)))


async def run_checks(checks: Sequence[tuple[str, Check]]) -> AsyncIterator[Finding]:
    """Run checks one after the other; what they find, as it is found."""
    for plugin, check in checks:
        for finding in await _run(check):
            yield replace(finding, check=check.name, plugin=plugin)


async def _run(check: Check) -> list[Finding]:
    found: list[Finding] = []
    try:
        async with asyncio.timeout(check.limit) as limit:
            if inspect.iscoroutinefunction(check.run):
                _take(await check.run(), found)
            else:
                await _in_thread(lambda: _take(check.run(), found))
    except TimeoutError as problem:
        # The thread may go on: what it finds from now on is not looked at.
        found = list(found)
        found.append(
            Finding.error(
                f"No answer within {check.limit:g} s.",
                "Something that it asked hangs: a host that drops packets, or a lock.",
            )
            if limit.expired()
            else _failed(problem)
        )
    except Exception as problem:
        found.append(_failed(problem))
    return found


def _take(output: Any, found: list[Finding]) -> None:
    for each in () if output is None else [output] if isinstance(output, Finding) else output:
        if not isinstance(each, Finding):
            raise TypeError(f"{each!r} is no ddpcore.checks.Finding")
        found.append(each)


def _failed(problem: BaseException) -> Finding:
    if isinstance(problem, DDPError):
        return Finding.error(str(problem))
    logger.debug("A check has failed", exc_info=problem)
    # Plugins are named in notes.
    said = " ".join(" ".join([str(problem), *getattr(problem, "__notes__", ())]).split())
    return Finding.error(
        f"The check has failed: {type(problem).__name__}{said and ': '}{said}",
        "With --log-level DEBUG the log says where.",
    )


async def _in_thread(function: Callable[[], T]) -> T:
    # Not in an executor: Python waits for its threads when it ends, and this one may hang.
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, problem: BaseException | None) -> None:
        if outcome.done():  # the time is up
            return
        if problem is None:
            outcome.set_result(value)  # type: ignore[arg-type]
        elif isinstance(problem, Exception) and not isinstance(problem, StopIteration):
            outcome.set_exception(problem)
        else:  # sys.exit in a thread must not end the others
            outcome.set_exception(RuntimeError(f"{type(problem).__name__}: {problem}"))

    def run() -> None:
        value, problem = None, None
        try:
            value = function()
        except BaseException as raised:
            problem = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, value, problem)

    threading.Thread(target=run, name="ddpcore-check", daemon=True).start()
    return await outcome
