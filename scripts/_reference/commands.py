"""The command line, as `--help` prints it."""

from __future__ import annotations

import argparse
import io
import os
import re
from contextlib import redirect_stdout, suppress

from _reference import texts
from ddpcore import cli
from ddpcore_django.management.commands import ddp, ddp_triggers

__all__ = ["REGIONS"]

WIDTH = "90"
"""Columns of the terminal that the texts are made for: as many as a page of the site shows."""

EXAMPLES = {
    "serve": "ddpcore serve --settings mysite.settings --bind :8000 --workers 4",
    "check": "ddpcore check --settings mysite.settings --bind :8000 --workers 4",
    "plugins": "ddpcore plugins --settings mysite.settings",
    "demo": "ddpcore demo --bind 127.0.0.1:8765",
    "types": "ddpcore types --settings mysite.settings --output web/server.d.ts",
    "port-django-ddp": "ddpcore port-django-ddp --write mysite",
    "explain": "ddpcore explain --settings mysite.settings BooksByAuthorEmail jane@example.org",
    "call": "ddpcore call localhost:8000 bookstore.count",
    "sub": "ddpcore sub localhost:8000 AllBooks --ready",
    "load": "ddpcore load localhost:8000 --calls bookstore.count --clients 100 --duration 10",
}
"""One for each command; a plugin's command may be without."""

PAGES = {
    "serve": ("serving", "serving.md"),
    "check": ("checks", "checks.md"),
    "plugins": ("hooks", "hooks.md"),
    "types": ("typed clients", "../how-to/typed-clients.md"),
    "port-django-ddp": ("coming from django-ddp", "../coming-from/django-ddp.md"),
    "explain": ("live queries", "../explanation/live-queries.md"),
    "call": ("the client", "../how-to/client.md"),
    "sub": ("the client", "../how-to/client.md"),
    "load": ("the client", "../how-to/client.md"),
}


def help_of(*command: str) -> str:
    """What `ddpcore … --help` prints."""
    out = io.StringIO()
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    try:
        with redirect_stdout(out), suppress(SystemExit):
            cli.main([*command, "--help"])
    finally:
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns
    return out.getvalue()


def summaries() -> dict[str, str]:
    """The commands, each with the line that `ddpcore --help` has for it."""
    listed = help_of().partition("\ncommands:\n")[2]
    listed = re.sub(r"\n {6,}", " ", listed)  # a long line goes on in the next
    return {
        name: " ".join(text.split())
        for name, text in re.findall(r"^    (\w[\w-]*) +(\S.*)$", listed, re.MULTILINE)
    }


def top() -> str:
    """`ddpcore --help`."""
    return texts.fenced(help_of())


def commands() -> str:
    """All commands, a section each."""
    parts = []
    for name, text in summaries().items():
        parts += [f"## `ddpcore {name}`", f"{text[0].upper()}{text[1:].removesuffix('.')}."]
        if name in PAGES:
            parts[-1] += f" See {texts.link(*PAGES[name])}."
        if name in EXAMPLES:
            parts.append(f"    {EXAMPLES[name]}")
        parts.append(texts.fenced(help_of(name)))
    return "\n\n".join(parts)


def of_django(name: str, command: type[ddp.Command | ddp_triggers.Command]) -> str:
    """The help of a command of manage.py, without the options that all of Django's have."""
    parser = argparse.ArgumentParser(
        prog=f"manage.py {name}",
        description=command.help,
        add_help=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=int(WIDTH) - 2),
    )
    command().add_arguments(parser)  # type: ignore[arg-type]
    return texts.fenced(parser.format_help())


REGIONS = {
    "ddpcore": top,
    "commands": commands,
    "manage.py-ddp": lambda: of_django("ddp", ddp.Command),
    "manage.py-ddp_triggers": lambda: of_django("ddp_triggers", ddp_triggers.Command),
}
