"""Threads that may use the database, each with connections of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

__all__ = ["DatabaseThreads"]

T = TypeVar("T")


class DatabaseThreads(ThreadPoolExecutor):
    """A bounded pool whose threads keep their connections and close them properly.

    Django's `CONN_MAX_AGE` is about requests; these threads live as long as the server, so a
    connection lasts until it breaks, until `renew()`, or until the pool shuts down.

    Args:
        size: How many threads, hence how many connections at most.
        patience: Seconds that statements may still run when the pool shuts down; then they are
            cancelled, for a process does not end before its threads.
    """

    def __init__(self, size: int, patience: float = 3.0) -> None:
        super().__init__(size, "ddpcore-database")
        self._size = size
        self._patience = patience
        self._wrappers: dict[int, Any] = {}  # by thread
        self._generation = 0
        self._local = threading.local()

    def renew(self) -> None:
        """Let every thread open new connections: those it has may be dead."""
        self._generation += 1

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run `fn` in a thread, with usable connections."""
        return super().submit(self._run, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close every thread's connections, then end the threads."""
        if wait and self._threads:
            # No more threads: one that has yet to say that it is idle would get a companion.
            count = self._max_workers = len(self._threads)
            everyone = threading.Barrier(count)
            closing = [super(DatabaseThreads, self).submit(_close, everyone) for _ in range(count)]
            while wait_for(closing, self._patience).not_done:
                self._cancel_statements()
            for each in closing:
                each.result()
        super().shutdown(wait, cancel_futures=cancel_futures)

    def _run(self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        if getattr(self._local, "generation", None) != self._generation:
            self._local.generation = self._generation
            connections.close_all()
        self._wrappers[threading.get_ident()] = connections[DEFAULT_DB_ALIAS]
        for connection in connections.all(initialized_only=True):
            connection.close_at = None
            if connection.errors_occurred and not connection.is_usable():
                self.renew()  # what broke it may have broken the others'
            connection.close_if_unusable_or_obsolete()
        try:
            return fn(*args, **kwargs)
        except DatabaseError as problem:
            if _is_behind(problem):
                problem.add_note("Are all migrations applied? `python manage.py migrate` does it.")
            raise

    def _cancel_statements(self) -> None:
        for wrapper in list(self._wrappers.values()):
            raw = wrapper.connection
            cancel = getattr(raw, "cancel", None) or getattr(raw, "interrupt", None)
            if cancel is not None:
                with contextlib.suppress(wrapper.Database.Error):  # it is gone already
                    cancel()


def _is_behind(problem: DatabaseError) -> bool:
    """Whether the database has no such table or column, says PostgreSQL (by code) or SQLite."""
    code = getattr(problem.__cause__, "pgcode", None)
    return code in ("42P01", "42703") or str(problem).startswith(("no such table", "no such col"))


def _close(everyone: threading.Barrier) -> None:
    # Each thread takes one of these jobs and waits until all have theirs.
    everyone.wait()
    connections.close_all()
    for each in connections.all(initialized_only=True):
        # Django leaves SQLite's in-memory databases open, which tests share between threads.
        if each.connection is not None:
            each.connection.close()
            each.connection = None
