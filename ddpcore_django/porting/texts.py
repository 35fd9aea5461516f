"""Files that are no Python: what they say of django-ddp is only told."""

from __future__ import annotations

import re
from pathlib import PurePath

from ddpcore_django.porting.names import Advice
from ddpcore_django.porting.python import Finding

__all__ = ["is_text", "mentions"]

_NAMES = re.compile(
    r"Procfile.*|Dockerfile.*|Containerfile.*|Makefile|README.*|Pipfile|packages"
    r"|.*\.(?:txt|in|cfg|toml|ini|sh|service|conf|yml|yaml|env|md|rst)"
)

_WHAT = (
    (r"tysonclugg:accounts-secure", Advice("passwords may come hashed now", "meteor-clients")),
    (r"django[-_]ddp\b", Advice("require ddpcore[django]", "step-by-step")),
    (r"AID_MIGRATE_STEP", Advice("there is no such variable", "settings")),
    (r"DDP_\w+_MINUTES_VALID", Advice("it counts days now, in DDPCORE_ACCOUNTS", "settings")),
    (
        r"(?<![\w.-])dddp(?![\w-])",
        Advice("serve with `ddpcore serve --settings … --bind HOST:PORT`", "command-line"),
    ),
)


def is_text(path: PurePath) -> bool:
    """Whether a file is of a kind that may name django-ddp: requirements, units, notes."""
    return _NAMES.fullmatch(path.name) is not None


def mentions(text: str) -> list[Finding]:
    """The lines that name django-ddp, its command or its settings."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, advice in _WHAT:
            if match := re.search(pattern, line):
                found.append(Finding(number, number, match[0], advice))
                break
    return found
