"""Threads that may hang."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

__all__ = ["Threads"]


class Threads:
    """A fixed number of threads, each doing one job at a time.

    Those of `concurrent.futures` are waited for when the process ends, for ever if need be. These
    are left behind.

    Args:
        count: How many.
        name: What they are called.
    """

    def __init__(self, count: int, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, job: Callable[[], None]) -> None:
        """Do this when a thread is free. It must not raise."""
        self._jobs.put(job)

    def stop(self, patience: float) -> None:
        """End the threads, and wait for them at most this many seconds."""
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
