"""Settings: names and defaults from signatures and dataclasses, texts from their docstrings."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from _reference import texts
from ddpcore import Server
from ddpcore.meteor import Options as MeteorOptions
from ddpcore_django.accounts.conf import AccountsConf
from ddpcore_django.conf import SERVER, Conf
from ddpcore_tornado import Limits, handlers, listen, sockjs, status_handlers

__all__ = ["REGIONS"]

ROOT = Path(__file__).resolve().parents[2]

SLOW = texts.link("slow clients", "../explanation/slow-clients.md")
SEE = {
    "BUS": texts.link("the bus", "bus.md"),
    "CAPTURE": texts.link("triggers", "../how-to/triggers.md"),
    "POLL_INTERVAL": texts.link("live queries", "../explanation/live-queries.md#polled"),
    "PLUGINS": texts.link("hooks", "hooks.md"),
    "SERVER": texts.link("the arguments of a server", "#the-server"),
    "SITE": texts.link("WSGI or ASGI", "django.md#wsgi-or-asgi"),
    "COOKIE_LOGIN": texts.link("its risks", "accounts.md#logging-in-with-djangos-session"),
    "HOOKS": texts.link("hooks of accounts", "accounts.md#hooks"),
    "high_water": SLOW,
    "stuck_timeout": SLOW,
    "forwarded_count": texts.link("proxies", "serving.md#behind-a-proxy-and-tls"),
    "plugins": texts.link("hooks", "hooks.md"),
    "bus": texts.link("the bus", "bus.md"),
}
"""Where more is said. Docstrings do not know the pages."""


def row(name: str, default: str, text: str) -> list[str]:
    """A row of a table of settings."""
    if not text:
        sys.exit(f"{name} has no text in the docstring.")
    unit, meaning = texts.with_unit(text)
    more = f" See {SEE[name]}." if name in SEE else ""
    return [f"`{name}`", f"`{default}`" if default else "", unit, meaning + more]


def shown(value: object) -> str:
    """A default, as the texts write such values."""
    return json.dumps(value) if isinstance(value, str) else repr(value)


def rows_of_dataclass(kind: type, *, upper: bool = False) -> list[list[str]]:
    """The attributes of a dataclass."""
    meanings = texts.section(kind, "Attributes")
    rows = []
    for each in dataclasses.fields(kind):
        if each.default_factory is not dataclasses.MISSING:
            default = shown(each.default_factory())
        else:
            default = shown(each.default)
        name = each.name.upper() if upper else each.name
        rows.append(row(name, default, meanings.get(each.name, "")))
    return rows


def rows_of_function(function: Callable[..., Any]) -> list[list[str]]:
    """The arguments of a function that need not be given."""
    meanings = texts.section(function, "Args")
    return [
        row(each.name, shown(each.default), meanings.get(each.name, ""))
        for each in inspect.signature(function).parameters.values()
        if each.default is not each.empty
    ]


def settings(rows: list[list[str]], heading: str) -> str:
    """A table of them."""
    return texts.table([heading, "default", "unit", "meaning, and why"], rows)


def environment() -> str:
    """Variables of the environment: constants whose docstring says that they are such.

    A docstring of a constant is the text below it, as Sphinx has it.
    """
    found: dict[str, str] = {}
    for package in ("ddpcore", "ddpcore_tornado", "ddpcore_pg", "ddpcore_django"):
        for path in sorted((ROOT / package).rglob("*.py")):
            found |= _variables(ast.parse(path.read_text()).body)
    return texts.table(["variable", "meaning"], sorted([f"`{n}`", t] for n, t in found.items()))


def _variables(body: list[ast.stmt]) -> Mapping[str, str]:
    found = {}
    for statement, following in pairwise(body):
        if (
            isinstance(statement, ast.Assign)
            and isinstance(value := statement.value, ast.Constant)
            and isinstance(value.value, str)
            and isinstance(following, ast.Expr)
            and isinstance(text := following.value, ast.Constant)
            and isinstance(text.value, str)
            and (says := re.match(r"Variable of the environment: (.*)", text.value, re.DOTALL))
        ):
            words = texts.markdown(" ".join(says[1].split()))
            found[value.value] = words[0].upper() + words[1:]
    return found


REGIONS = {
    "settings-django": lambda: settings(rows_of_dataclass(Conf, upper=True), "key"),
    "settings-accounts": lambda: settings(rows_of_dataclass(AccountsConf, upper=True), "key"),
    "settings-server": lambda: settings(rows_of_function(Server), "argument"),
    "settings-server-keys": lambda: ", ".join(f"`{each}`" for each in sorted(SERVER)) + ".",
    "settings-handlers": lambda: settings(rows_of_function(handlers), "argument"),
    "settings-listen": lambda: settings(rows_of_function(listen), "argument"),
    "settings-limits": lambda: settings(rows_of_dataclass(Limits), "attribute"),
    "settings-sockjs": lambda: settings(rows_of_dataclass(sockjs.Options), "attribute"),
    "settings-status": lambda: settings(rows_of_function(status_handlers), "argument"),
    "settings-meteor": lambda: settings(rows_of_dataclass(MeteorOptions), "attribute"),
    "settings-environment": environment,
}
