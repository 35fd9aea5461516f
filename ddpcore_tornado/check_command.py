"""`ddpcore check`: would `ddpcore serve` with the same options do well?

Everything is read as `serve` reads it, and each thing that it depends on is tried. The report has
one line for each finding; on a terminal with marks and colours, else in plain ASCII.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from typing import TextIO

from ddpcore.application import Application
from ddpcore.checks import TIME_LIMIT, Check, Finding, Level, checks_of, in_order, run_checks
from ddpcore.errors import DDPError
from ddpcore.plugins import plugin_manager
from ddpcore_tornado.options import read_options
from ddpcore_tornado.serve import make_routes
from ddpcore_tornado.shell.terminal import wants_colour
from ddpcore_tornado.site import make_site

__all__ = ["run_check"]

logger = logging.getLogger(__name__)

# The mark on a terminal, that in plain ASCII, and the colour (SGR).
MARKS = {
    Level.OK: ("\N{CHECK MARK}", "ok  ", "32"),
    Level.WARNING: ("!", "warn", "33"),
    Level.ERROR: ("\N{BALLOT X}", "FAIL", "31"),
}
BAD = 2
"""The exit code if it would not serve; that of `serve` itself."""

WIDTH = 12
"""Columns of the names of checks."""


def run_check(load: Callable[[], Application], given: argparse.Namespace) -> int:
    """Check, and report; the exit code.

    Args:
        load: Makes what would be served.
        given: What the options of `serve` and of `check` have added.

    Returns:
        0: it would serve; 1: with warnings, and ``--strict`` was given; 2: it would not.
    """
    # libpq waits for ever, also where none of our limits hold: while the project is loaded.
    os.environ.setdefault("PGCONNECT_TIMEOUT", f"{TIME_LIMIT:g}")
    report = _Json(sys.stdout) if given.json else _Text(sys.stdout)
    with redirect_stdout(sys.stderr):  # what a project prints is not to stand in the report
        checks = _checks(load, given)
        asyncio.run(_reported(checks, report))
    code = 0
    if report.levels[Level.ERROR]:
        code = BAD
    elif given.strict and report.levels[Level.WARNING]:
        code = 1
    report.end(code)
    return code


async def _reported(checks: list[tuple[str, Check]], report: _Report) -> None:
    async for finding in run_checks(checks):
        report.levels[finding.level] += 1
        report.add(finding)


# --- what is looked at --------------------------------------------------------------------------


def _checks(load: Callable[[], Application], given: argparse.Namespace) -> list[tuple[str, Check]]:
    """All checks, or the one that says why there are no others."""
    try:
        options = read_options(given)
    except DDPError as problem:
        return [_known("options", Finding.error(str(problem)))]
    application = _load(load)
    if isinstance(application, Finding):
        found = [_known("application", application)]
        return in_order([*found, *checks_of(plugin_manager(), None, options)])
    server = application.server
    found = [("tornado", Check("application", lambda: _is_there(application)))]
    try:
        options = replace(options, bus=application.bus_url(options.bus))
    except DDPError as problem:
        found.append(_known("bus", Finding.error(str(problem))))
        options = replace(options, bus=None)

    async def routes() -> Finding:
        site = make_site(application, options, multiprocess=options.workers > 1)
        make_routes(server, options, site)
        kind = "a WSGI site" if application.wsgi else "an ASGI site" if application.asgi else None
        kind = kind or ("a Meteor app" if options.meteor else "nothing else")
        return Finding.ok(f"DDP and {kind}")

    found.append(("tornado", Check("routes", routes)))
    return in_order([*found, *checks_of(server.plugins, server, options)])


def _known(name: str, finding: Finding) -> tuple[str, Check]:
    return "tornado", Check(name, lambda: finding)


def _load(load: Callable[[], Application]) -> Application | Finding:
    # On the main thread and without an event loop, as serving does it, and for as long as it takes.
    try:
        return load()
    except DDPError as problem:
        return Finding.error(str(problem))
    except (Exception, SystemExit) as problem:
        logger.debug("The application cannot be loaded", exc_info=problem)
        last = traceback.extract_tb(problem.__traceback__)[-1]
        said = " ".join(str(problem).split())
        return Finding.error(
            f"{type(problem).__name__}{said and ': '}{said} ({last.filename}:{last.lineno}).",
            "Your code, or a package that it uses, fails while it is loaded.",
        )


def _is_there(application: Application) -> Finding:
    server = application.server
    methods, publications = len(server.methods), len(server.publications)
    return Finding.ok(
        f"{application.name}: {_count(methods, 'method')}, {_count(publications, 'publication')}"
    )


# --- how it is told -----------------------------------------------------------------------------


class _Report:
    """Tells findings as they come."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.levels = dict.fromkeys(Level, 0)

    def add(self, finding: Finding) -> None:
        """Tell one."""

    def end(self, code: int) -> None:
        """Tell the result."""


class _Text(_Report):
    """Lines for people."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._live = out.isatty()
        self._marks = self._live and (out.encoding or "").lower().replace("-", "") == "utf8"
        self._colours = wants_colour(out)

    def add(self, finding: Finding) -> None:
        sign, plain, colour = MARKS[finding.level]
        mark = sign if self._marks else plain
        text = " ".join(f"{finding.text} {finding.advice}".split())
        start = f"{mark} {finding.check:<{WIDTH}} "
        if self._live:
            indent = " " * len(start)
            width = max(shutil.get_terminal_size().columns - 1, 60)
            text = textwrap.fill(
                text, width, initial_indent=start, subsequent_indent=indent,
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
        else:
            text = start + text
        if self._colours:
            text = f"\x1b[{colour}m{mark}\x1b[0m{text[len(mark) :]}"
        self._line(text)

    def end(self, code: int) -> None:
        errors, warnings = self.levels[Level.ERROR], self.levels[Level.WARNING]
        self._line("")
        if code == BAD:
            self._line(
                f"{_count(errors, 'error')}, {_count(warnings, 'warning')}: not fit to serve."
            )
        elif warnings:
            self._line(f"{_count(warnings, 'warning')}: it would serve.")
        else:
            self._line("All is well.")

    def _line(self, text: str) -> None:
        if not self._marks:
            text = text.encode("ascii", "backslashreplace").decode()
        print(text, file=self.out, flush=True)


class _Json(_Report):
    """One JSON document for programs."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._findings: list[dict[str, str]] = []

    def add(self, finding: Finding) -> None:
        self._findings.append(asdict(finding) | {"level": finding.level.value})

    def end(self, code: int) -> None:
        told = {
            "code": code,
            "errors": self.levels[Level.ERROR],
            "warnings": self.levels[Level.WARNING],
            "findings": self._findings,
        }
        print(json.dumps(told, indent=2), file=self.out, flush=True)


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
