"""Plugins that pass on what the instruments of a server tell: to Prometheus, OpenTelemetry, logs.

Each is a plugin of the public hooks and nothing more, so another one can be written beside it.
A server that has none of them pays for none.
"""

from __future__ import annotations

__all__ = ["SHOWN"]

SHOWN = 8
"""Characters of a connection's id that are passed on: enough to tell connections apart. With all of
them whoever reads on could go on with the session as its client does, and be its user."""
