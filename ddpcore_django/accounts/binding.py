"""Which login a connection rests on; when that is taken back, the connection is closed."""

from __future__ import annotations

from typing import Any

from ddpcore.server import Context

__all__ = ["bind", "bound", "unbind"]

_bound: dict[str, Any] = {}  # connection id → row of its login


def bind(context: Context, row_id: int) -> None:
    """This connection is logged in by this row from now on, and closed when the row goes.

    May be called from any thread. It is closed, too, if the row is gone already, or its user is no
    longer active (Meteor 3.0.4, accounts_server.js, `_setLoginToken`).
    """
    _bound[context.connection.id] = row_id


def unbind(context: Context) -> int | None:
    """The connection rests on no login any more; the row it rested on, if there was one."""
    row_id: int | None = _bound.pop(context.connection.id, None)
    return row_id


def bound(context: Context) -> int | None:
    """The row of the login that this connection rests on."""
    row_id: int | None = _bound.get(context.connection.id)
    return row_id
