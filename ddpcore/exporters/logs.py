"""Structured logs: a line of JSON for each record, and records of what clients do.

Nothing that a client sent is in them, unless a method is named whose arguments may be shown, and
then without what looks like a secret.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Collection, Mapping
from typing import Any

from ddpcore.errors import MeteorError
from ddpcore.exporters import SHOWN
from ddpcore.hookspecs import hookimpl
from ddpcore.server.context import ConnectionHandle, Context, MethodContext, PublicationContext
from ddpcore.wire import ejson

__all__ = ["REDACTED", "EventLog", "JsonFormatter", "redacted"]

logger = logging.getLogger("ddpcore.events")

REDACTED = "[redacted]"

_SECRET = re.compile(
    r"pass|pwd|digest|secret|credential|token|bearer|jwt|session|resume|signature|code|otp|key"
    r"|auth(?!or)|cookie|card|cvc|cvv|iban|pin$",
    re.IGNORECASE,
)

LONGEST = 200
"""Characters of a text that are shown."""

# What every record has; the rest somebody has put there.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: ``time`` (UTC), ``level``, ``logger``, ``message``, extras."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        taken = _USUAL | line.keys()
        line |= {key: value for key, value in vars(record).items() if key not in taken}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False, skipkeys=True)


class EventLog:
    """A plugin that logs what clients do to ``ddpcore.events``, at INFO; failures at WARNING.

    Args:
        show_params: Methods and publications whose arguments are logged.
    """

    ddpcore_name = "event-log"

    def __init__(self, show_params: Collection[str] = ()) -> None:
        self._show = frozenset(show_params)

    @hookimpl
    def ddpcore_session_opened(self, connection: ConnectionHandle) -> None:
        """``session opened``: A client has connected."""
        self._log("session opened", connection)

    @hookimpl
    def ddpcore_session_closed(self, connection: ConnectionHandle) -> None:
        """``session closed``: The session is over, and cannot be resumed any more."""
        self._log("session closed", connection)

    @hookimpl
    def ddpcore_user_changed(self, connection: ConnectionHandle, user_id: str | None) -> None:
        """``user changed``: Somebody has logged in or out. Fields: `user`."""
        self._log("user changed", connection, user=user_id)

    @hookimpl
    def ddpcore_method_ended(
        self, context: MethodContext, seconds: float, error: MeteorError | None, size: int
    ) -> None:
        """``method ended``: A call has been answered.

        Fields: `call`, `user`, `seconds`, `size` of its result in bytes; `error`, the code, if it
        failed; `params` if they may be shown.
        """
        more = self._of(context, seconds, error)
        self._log("method ended", context.connection, error, **more, size=size)

    @hookimpl
    def ddpcore_subscription_ready(self, context: PublicationContext, seconds: float) -> None:
        """``subscription ready``: Its initial documents are sent.

        Fields: `call`, `user`, `seconds` since it was asked for; `params` if they may be shown.
        """
        self._log("subscription ready", context.connection, **self._of(context, seconds, None))

    @hookimpl
    def ddpcore_subscription_ended(
        self, context: PublicationContext, seconds: float, error: MeteorError | None
    ) -> None:
        """``subscription ended``: The client has stopped it, or an error has.

        Fields: `call`, `user`, `seconds` that it lived; `error`, the code, if one ended it;
        `params` if they may be shown.
        """
        more = self._of(context, seconds, error)
        self._log("subscription ended", context.connection, error, **more)

    def _of(self, context: Context, seconds: float, error: MeteorError | None) -> dict[str, Any]:
        more: dict[str, Any] = {"call": context.name, "user": context.user_id}
        more["seconds"] = round(seconds, 6)
        if error is not None:
            more["error"] = str(error.error)
        if context.name in self._show:
            more["params"] = redacted(context.params)
        return more

    @staticmethod
    def _log(
        event: str, connection: ConnectionHandle, problem: MeteorError | None = None, **more: Any
    ) -> None:
        fields = {"connection": connection.id[:SHOWN], "address": connection.client_address} | more
        level = logging.INFO if problem is None else logging.WARNING
        if logger.isEnabledFor(level):
            shown = " ".join(f"{key}={value}" for key, value in fields.items() if value is not None)
            logger.log(level, "%s: %s", event, shown, extra={"event": event} | fields)


def redacted(value: Any) -> Any:
    """A value without what looks like a secret by its name, and long texts cut."""
    if isinstance(value, Mapping):
        return {
            str(key): REDACTED if _SECRET.search(str(key)) else redacted(each)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted(each) for each in value]
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[:LONGEST]}… ({len(value)} characters)"
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):  # what is not is no JSON
        return value
    try:
        plain = ejson.encode(value)
    except TypeError:
        return f"<{type(value).__name__}>"
    return redacted(plain)  # a type of somebody's own may have secrets, bytes may be many
