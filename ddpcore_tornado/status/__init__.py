"""The status page, in Tornado: its files, and the way to the publications of `ddpcore.status`."""

from __future__ import annotations

from ddpcore_tornado.status.routes import status_handlers, status_rules

__all__ = ["status_handlers", "status_rules"]
