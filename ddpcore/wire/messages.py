"""The messages of DDP 1: reading what a client sent, writing what it gets.

Texts and key order are Meteor 3.0.4's (`ddp-common/utils.js`, `ddp-server/livedata_server.js`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ddpcore.errors import MeteorError
from ddpcore.wire import ejson
from ddpcore.wire.frame import UNCOUNTED, Frame
from ddpcore.wire.unset import UNSET

__all__ = [
    "PING",
    "PONG",
    "VERSIONS",
    "Malformed",
    "connected",
    "error",
    "failed",
    "nosub",
    "parse",
    "pong",
    "ready",
    "result",
    "result_error",
    "updated",
]

VERSIONS = ("1", "pre2", "pre1")
"""The versions of DDP that are spoken here, best first."""


class Malformed(Exception):
    """A text that is no DDP message; `frame` is the answer to it."""

    def __init__(self, reason: str, offending: Any = UNSET) -> None:
        super().__init__(reason)
        self.frame = error(reason, offending)


def parse(text: str | bytes) -> dict[str, Any]:
    """Read one message. The members `params`, `fields` and `result` are decoded from EJSON.

    Raises:
        Malformed: Not JSON, not an object with a `msg`, or not EJSON inside.
    """
    try:
        message = ejson.parse(text)
    except ejson.TooDeep as problem:
        raise Malformed(f"Bad request: {problem}") from None
    except ValueError:
        raise Malformed("Bad request") from None
    if not isinstance(message, dict):
        raise Malformed("Bad request", message if isinstance(message, list) else UNSET)
    if not message.get("msg"):
        raise Malformed("Bad request", message)
    try:
        for member in ("params", "fields", "result"):
            if member in message:
                message[member] = ejson.decode(message[member])
        if "cleared" in message:
            fields = message.setdefault("fields", {})
            fields.update(dict.fromkeys(_names(message.pop("cleared")), UNSET))
    except (ValueError, TypeError, AttributeError):
        raise Malformed("Parse error") from None
    return message


def _names(cleared: Any) -> list[str]:
    if not isinstance(cleared, list):
        raise TypeError("cleared is a list")
    return cleared


def _frame(message: dict[str, Any], about: tuple[str, str] | None = None) -> Frame:
    return Frame(ejson.dump_plain(message).encode("ascii"), about)


PING = _frame({"msg": "ping"}, UNCOUNTED)
PONG = _frame({"msg": "pong"}, UNCOUNTED)


def connected(session: str) -> Frame:
    """`connected`: the session lives."""
    return _frame({"msg": "connected", "session": session}, ("connected", ""))


def failed(version: str) -> Frame:
    """`failed`: try again with this version."""
    return _frame({"msg": "failed", "version": version})


def pong(ping: dict[str, Any]) -> Frame:
    """`pong` with the ping's id, where it had one."""
    return _frame({"msg": "pong", "id": ping["id"]}, UNCOUNTED) if "id" in ping else PONG


def error(reason: str, offending: Any = UNSET) -> Frame:
    """`error`: the client sent something it should not have."""
    message: dict[str, Any] = {"msg": "error", "reason": reason}
    if isinstance(offending, dict) and isinstance(fields := offending.get("fields"), dict):
        # What `cleared` was folded into is undefined, which JSON leaves out.
        told = {name: value for name, value in fields.items() if value is not UNSET}
        offending = {**offending, "fields": told}
    if offending is not UNSET:
        message["offendingMessage"] = ejson.plain(offending)
    return _frame(message)


def _quoted(id: str) -> str:  # noqa: A002
    # Clients count their calls, or make ids of letters and digits.
    return f'"{id}"' if id.isalnum() and id.isascii() else ejson.dump_plain(id)


def result(id: str, value: Any = UNSET) -> Frame:  # noqa: A002
    """`result` of a method that succeeded.

    Raises:
        TypeError: The value is nothing EJSON can carry.
    """
    start = f'{{"msg":"result","id":{_quoted(id)}'
    end = "}" if value is UNSET else f',"result":{ejson.dumps(value)}}}'
    return Frame((start + end).encode("ascii"), ("method", id))


def result_error(id: str, problem: MeteorError) -> Frame:  # noqa: A002
    """`result` of a method that failed."""
    return _frame(
        {"msg": "result", "id": id, "error": ejson.plain(problem.as_dict())}, ("method", id)
    )


def updated(id: str) -> Frame:  # noqa: A002
    """`updated`: all data this method caused has been sent."""
    return Frame(f'{{"msg":"updated","methods":[{_quoted(id)}]}}'.encode("ascii"), ("method", id))


def ready(ids: Sequence[str]) -> Frame:
    """`ready`: the initial data of these subscriptions has been sent."""
    return _frame({"msg": "ready", "subs": list(ids)})


def nosub(id: Any = UNSET, problem: MeteorError | None = None) -> Frame:  # noqa: A002
    """`nosub`: the subscription is over, by an error if there is one."""
    message: dict[str, Any] = {"msg": "nosub"}
    if id is not UNSET:
        message["id"] = id
    if problem is not None:
        message["error"] = ejson.plain(problem.as_dict())
    return _frame(message, ("sub", id) if isinstance(id, str) else None)
