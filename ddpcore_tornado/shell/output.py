"""What the shell client prints: JSON that no terminal stumbles over."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from ddpcore.errors import MeteorError
from ddpcore.wire import ejson

__all__ = ["compact", "pretty", "printable", "say", "shown_error"]

_WANTS_PLAIN = '{"format":"plain"}'
"""Meteor's word to clients whose digest cannot be compared: send the password itself."""

_SUSPECT = re.compile(r"[^\x20-\x7e\n]")


def compact(value: Any) -> str:
    """A plain value as one line of JSON."""
    return _safe(json.dumps(value, ensure_ascii=not _utf8(), separators=(",", ":")))


def pretty(value: Any) -> str:
    """A plain value as JSON for people."""
    return _safe(json.dumps(value, ensure_ascii=not _utf8(), indent=2))


def shown_error(problem: MeteorError) -> str:
    """``[403] Access denied``, and the details below."""
    text = f"[{problem.error}] {problem.reason}" if problem.reason else f"[{problem.error}]"
    if problem.details == _WANTS_PLAIN:
        text += (
            "\nIf the password is right, what the server has stored of it is of no use to this"
            " client, which sends a digest: log in at the site once, or set the password again."
        )
    elif problem.details is not None:
        text += f"\n{compact(ejson.plain(problem.details))}"
    return "\n".join(printable(line) for line in text.splitlines())


def printable(text: str) -> str:
    """Text without what would steer a terminal: others wrote it."""
    return "".join(
        char if char.isprintable() else " " if char in "\n\r\t" else "�" for char in text
    )


def say(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _safe(text: str) -> str:
    # In JSON such characters are only inside of strings, where they can be escaped.
    return _SUSPECT.sub(
        lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text
    )


def _utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
