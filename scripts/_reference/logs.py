"""Loggers, and the events of `--log-events`."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from _reference import texts
from ddpcore.exporters.logs import EventLog

__all__ = ["REGIONS"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ddpcore", "ddpcore_tornado", "ddpcore_pg", "ddpcore_django")


def loggers() -> str:
    """The modules that log, by the names of their loggers."""
    rows = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text())
            names = [
                ast.literal_eval(call.args[0])
                if isinstance(call.args[0], ast.Constant)
                else ".".join(path.relative_to(ROOT).with_suffix("").parts)
                for statement in tree.body
                if isinstance(statement, ast.Assign)
                and isinstance(call := statement.value, ast.Call)
                and ast.unparse(call.func) == "logging.getLogger"
            ]
            about = texts.first_line(ast.get_docstring(tree) or "")
            rows += [[f"`{name}`", about] for name in names]
    return texts.table(["logger", "the module is about"], sorted(rows))


def events() -> str:
    """The records of `ddpcore.events`."""
    rows = []
    for name, hook in vars(EventLog).items():
        if name.startswith("ddpcore_") and callable(hook):
            text = texts.markdown(" ".join((inspect.getdoc(hook) or "").split()))
            event, _, about = text.removesuffix(".").partition(": ")
            when, _, fields = about.partition(" Fields: ")
            rows.append([event, when.removesuffix("."), fields])
    return texts.table(["event", "when", "fields, beside `connection` and `address`"], rows)


REGIONS = {"loggers": loggers, "events": events}
