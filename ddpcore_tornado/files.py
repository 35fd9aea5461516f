"""How many files a process may have open: each connection is one."""

from __future__ import annotations

import logging
from dataclasses import replace

from ddpcore_tornado.limits import Limits

__all__ = ["OTHERS", "within_files"]

logger = logging.getLogger(__name__)

OTHERS = 100
"""Files that are no connections: those of the database, of the threads, of the site."""


def within_files(limits: Limits) -> Limits:
    """Let this process open as many files as it may, and take on no more connections than that.

    Whoever is refused learns it at once; whoever the system has no file for does not.
    """
    import resource  # there is none on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):  # macOS: "unlimited", which it then denies
            pass
    if soft == resource.RLIM_INFINITY:
        return limits
    if limits.connections > soft:
        logger.warning(
            "This process may open %d files, so it takes on %d connections and not %d. Raise"
            " ulimit -n (systemd: LimitNOFILE), or set --max-connections lower.",
            soft,
            max(soft - OTHERS, 1),
            limits.connections,
        )
    return replace(limits, connections=max(min(limits.connections, soft - OTHERS), 1))
