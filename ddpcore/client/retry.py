"""How long a client waits before it connects again (Meteor 3.0.4, retry/retry.js)."""

from __future__ import annotations

__all__ = ["retry_delay"]

AT_ONCE = 2
"""So many attempts come without waiting: most connections are lost by chance."""

INSTANT = 0.010
BASE = 1.0
EXPONENT = 2.2
LONGEST = 300.0
FUZZ = 0.5


def retry_delay(attempt: int, fraction: float) -> float:
    """Seconds to wait before an attempt.

    Args:
        attempt: How many there were since the connection last stood; the first is 0.
        fraction: A random number from 0 to 1. With it a thousand clients that lost their server in
            one instant do not all come back in one.
    """
    if attempt < AT_ONCE:
        return INSTANT
    # 2.2 ** 8 is more than the longest wait; huge powers would overflow.
    wait = min(LONGEST, BASE * EXPONENT ** min(attempt, 10))
    return float(wait * (1 - FUZZ / 2 + FUZZ * fraction))
