"""What `ddpcore load` measures: times in a little memory, and the share of a processor."""

from __future__ import annotations

import math
import time
from collections import Counter

__all__ = ["Cpu", "Times"]

FINEST = 1e-6
STEP = math.log(1.02)


class Times:
    """A heap of times, known to 2 % each, in memory that does not grow with their number."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        bucket = math.ceil(math.log(max(seconds, FINEST) / FINEST) / STEP)
        self._buckets[bucket] += 1
        self.count += 1
        self.longest = max(self.longest, seconds)

    def percentile(self, share: float) -> float | None:
        """The time within which `share` of all was done, in seconds; None: there is none.

        Args:
            share: From 0 to 1; 0.5 is the median.
        """
        wanted = max(1, math.ceil(share * self.count))
        for bucket in sorted(self._buckets):
            wanted -= self._buckets[bucket]
            if wanted <= 0:
                return min(FINEST * math.exp(bucket * STEP), self.longest)
        return None

    def as_dict(self) -> dict[str, float | None]:
        """p50, p90, p99 and the longest, in milliseconds."""
        found = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
        times = {name: self.percentile(share) for name, share in found.items()}
        times["max"] = self.longest if self.count else None
        return {
            name: None if seconds is None else round(seconds * 1e3, 3)
            for name, seconds in times.items()
        }


class Cpu:
    """How much of one processor this process has used since it was asked first."""

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self._cpu = time.process_time()

    def share(self) -> float:
        """From 0 to about 1."""
        wall = time.monotonic() - self._wall
        return (time.process_time() - self._cpu) / wall if wall > 0 else 0.0
