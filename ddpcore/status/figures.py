"""What there is to say of a server that runs: in numbers, and of single sessions and queries.

To go through fifty thousand sessions takes a moment, in which nobody would be served. So it is done
in portions, and of what is found only the first few by some order are told.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

import ddpcore
from ddpcore.exporters import SHOWN
from ddpcore.hookspecs import hookimpl
from ddpcore.live.observer import Observer
from ddpcore.server.context import ConnectionHandle
from ddpcore.server.runtime import SessionRuntime
from ddpcore.server.server import Server
from ddpcore.session.machine import Subscription
from ddpcore.session.transitions import State

__all__ = ["MOST_ROWS", "OBSERVER_ORDERS", "SESSION_ORDERS", "Figures"]

T = TypeVar("T")

MOST_ROWS = 100
"""Rows that are told of many: more nobody reads, and each costs a message whenever it changes."""

MOST_SUBSCRIPTIONS = 200
"""Those that are told of one session."""

MOST_ERRORS = 20
"""The latest ones that are remembered."""

PORTION = 500
"""Sessions that are looked at in one go: one to three milliseconds."""

WHILE = 5.0
"""Seconds: the longest fence that is told is that of these and of the five before."""

LONGEST = 160
"""Characters that are told of what a client has sent."""

SESSION_ORDERS: Mapping[str, Callable[[Figures, SessionRuntime], Any]] = {
    "since": lambda figures, it: figures.since(it) or 0.0,
    "user": lambda _, it: it.machine.user_id or "",
    "address": lambda _, it: it.connection.client_address or "",
    "subscriptions": lambda _, it: len(it.machine.subscriptions),
    "queue": lambda _, it: it.machine.queued,
    "waiting": lambda _, it: (it.outbox.waiting, it.outbox.documents_waiting),
}
"""What sessions can be ordered by."""

OBSERVER_ORDERS: Mapping[str, Callable[[Figures, Observer[Any]], Any]] = {
    "name": lambda _, it: it.name,
    "kind": lambda _, it: it.kind,
    "watchers": lambda _, it: len(it.handles),
    "documents": lambda _, it: len(it.items),
    "asks": lambda _, it: it.asks,
    "seconds": lambda _, it: it.asking_seconds / it.asks if it.asks else 0.0,
}
"""What queries can be ordered by."""


class Figures:
    """Looks at a server; a plugin of it, for what cannot be looked up later.

    Args:
        server: The server. What happened before is not known.
    """

    ddpcore_name = "status"

    def __init__(self, server: Server) -> None:
        self._server = server
        self._since: WeakKeyDictionary[ConnectionHandle, float] = WeakKeyDictionary()
        self._told: WeakValueDictionary[str, SessionRuntime] = WeakValueDictionary()
        self._begun = time.time()
        self._gaps = self._failures = self._fences = 0
        self._fence_seconds = 0.0
        self._longest: tuple[int, float, float] = (0, 0.0, 0.0)  # when, before, now
        self._errors: deque[tuple[int, dict[str, Any]]] = deque(maxlen=MOST_ERRORS)
        server.on_gap.append(self._gap)
        server.plugins.register(self)

    @hookimpl
    def ddpcore_session_opened(self, connection: ConnectionHandle) -> None:
        """Note when."""
        self._since[connection] = time.time()

    @hookimpl
    def ddpcore_fence_passed(self, seconds: float) -> None:
        """Count it."""
        self._fences += 1
        self._fence_seconds += seconds
        when, before, longest = self._longest_fences()
        self._longest = when, before, max(longest, seconds)

    def _longest_fences(self) -> tuple[int, float, float]:
        now = int(self._server.clock.time() / WHILE)
        when, _before, longest = self._longest
        if now == when:
            return self._longest
        return now, longest if now == when + 1 else 0.0, 0.0

    @hookimpl
    def ddpcore_error(self, problem: BaseException, where: str) -> None:
        """Remember it, but not its text, which may hold what is nobody's business."""
        self._failures += 1
        about = {"where": where[:LONGEST], "type": type(problem).__name__, "at": time.time()}
        self._errors.append((self._failures, about))

    def _gap(self) -> None:
        self._gaps += 1

    def since(self, session: SessionRuntime) -> float | None:
        """When it began, in seconds since 1970; None: before anybody looked."""
        return self._since.get(session.connection)

    async def process(self) -> dict[str, Any]:
        """The whole process in numbers. What can only grow is told as it stands."""
        server = self._server
        sessions = list(server.sessions.values())
        subscriptions = away = users = 0
        async for portion in _portions(sessions):
            for each in portion:
                machine = each.machine
                subscriptions += len(machine.subscriptions)
                away += machine.state is State.DETACHED
                users += machine.user_id is not None
        kinds = {"matched": 0, "keys": 0, "polled": 0}
        documents = watchers = 0
        async for observers in _portions(server.observers()):
            for observer in observers:
                kinds[observer.kind] = kinds.get(observer.kind, 0) + 1
                documents += len(observer.items)
                watchers += len(observer.handles)
        traffic = server.traffic
        return {
            "pid": os.getpid(),
            "version": ddpcore.__version__,
            "now": time.time(),
            "clock": time.monotonic(),
            "watched_since": self._begun,
            "running": server.running,
            "sessions": len(sessions),
            "users": users,
            "away": away,
            "subscriptions": subscriptions,
            "observers": kinds,
            "watchers": watchers,
            "documents": documents,
            "frames": traffic.frames,
            "bytes": traffic.bytes,
            "slow": traffic.blocked,
            "slowed": traffic.slowed,
            "put_together": traffic.put_together,
            "cut_off": traffic.cut_off,
            "bus": type(server.bus).__name__,
            "connected": server.running and server.bus.connected,
            "events": server.crossbar.number if server.running else 0,
            "gaps": self._gaps,
            "fences": self._fences,
            "fence_seconds": self._fence_seconds,
            "fence_longest": max(self._longest_fences()[1:]),
            "errors": self._failures,
            "cpu_seconds": time.process_time(),
            "memory": _memory(),
        }

    def errors(self) -> dict[str, dict[str, Any]]:
        """The latest failures of handlers, by their number."""
        return {str(number): about for number, about in self._errors}

    async def sessions(
        self, order: str, *, descending: bool, text: str
    ) -> dict[str, dict[str, Any]]:
        """The first sessions by an order of `SESSION_ORDERS`, of those with a text in them."""
        text = text.casefold()

        def matches(it: SessionRuntime) -> bool:
            machine, id = it.machine, it.machine.id[:SHOWN].casefold()  # noqa: A001
            told = (id, machine.user_id, it.connection.client_address)
            # Somebody may have the whole id, from a log.
            return text.startswith(id) or any(text in each.casefold() for each in told if each)

        by = SESSION_ORDERS[order]
        found = await _first(
            self._server.sessions.values(),
            lambda it: (by(self, it), it.machine.id),
            matches if text else None,
            descending=descending,
        )
        rows = {it.machine.id[:SHOWN]: it for it in found}
        self._told.update(rows)
        return {id: self._session(it) for id, it in rows.items()}  # noqa: A001

    def _find(self, id: str) -> SessionRuntime | None:  # noqa: A002
        """The session with this beginning of its id."""
        if len(id) != SHOWN:
            return None
        found = self._told.get(id)
        if found is None:  # named by somebody who has not been told of it
            sessions = self._server.sessions
            found = next((sessions[each] for each in list(sessions) if each[:SHOWN] == id), None)
        return found if found is not None and found.machine.id in self._server.sessions else None

    def session(self, id: str) -> dict[str, Any] | None:  # noqa: A002
        """One session; None if it is over."""
        found = self._find(id)
        if found is None:
            return None
        agent = found.connection.headers.get("user-agent")
        return self._session(found) | {"agent": agent and agent[:LONGEST]}

    def subscriptions(self, id: str) -> dict[str, dict[str, Any]]:  # noqa: A002
        """Those of a session. Of arguments only their types: nobody knows which are secrets."""
        found = self._find(id)
        if found is None:
            return {}
        machine = found.machine
        subscriptions = islice(
            (*machine.subscriptions.values(), *machine.universal), MOST_SUBSCRIPTIONS
        )
        return {
            f"{id} {each.id or f'universal {number}'}"[:LONGEST]: _subscription(id, each)
            for number, each in enumerate(subscriptions)
        }

    async def observers(
        self, order: str, *, descending: bool, text: str
    ) -> dict[str, dict[str, Any]]:
        """The first queries by an order of `OBSERVER_ORDERS`, of those with a text in them."""
        text = text.casefold()

        def matches(it: Observer[Any]) -> bool:
            return any(text in each.casefold() for each in (it.name, it.kind, *it.topics))

        by = OBSERVER_ORDERS[order]
        found = await _first(
            self._server.observers(),
            lambda it: (by(self, it), id(it)),
            matches if text else None,
            descending=descending,
        )
        return {f"{id(it):x}": _observer(it) for it in found}

    def close(self, id: str) -> bool:  # noqa: A002
        """Close a session; whether it was there."""
        found = self._find(id)
        if found is not None:
            found.connection.close()
        return found is not None

    def _session(self, it: SessionRuntime) -> dict[str, Any]:
        machine, outbox = it.machine, it.outbox
        return {
            "user": machine.user_id,
            "address": it.connection.client_address,
            "since": self.since(it),
            "subscriptions": len(machine.subscriptions),
            "queue": machine.queued,
            "waiting": outbox.waiting,
            "documents_waiting": outbox.documents_waiting,
            "state": "away"
            if machine.state is State.DETACHED
            else "slow"
            if outbox.blocked
            else "connected",
        }


def _subscription(session: str, it: Subscription) -> dict[str, Any]:
    return {
        "session": session,
        "name": it.name and it.name[:LONGEST],
        "params": [_type(each) for each in it.params[:10]],
        "ready": it.ready,
    }


def _type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, Mapping):
        return "object"
    if isinstance(value, list):
        return "array"
    return {"str": "string"}.get(type(value).__name__, type(value).__name__)


def _observer(it: Observer[Any]) -> dict[str, Any]:
    return {
        "name": it.name,
        "kind": it.kind,
        "topics": sorted(it.topics)[:10],
        "watchers": len(it.handles),
        "documents": len(it.items),
        "asks": it.asks,
        "seconds": it.asking_seconds / it.asks if it.asks else None,
        "stuck": it.stuck,
    }


async def _first(
    items: Iterable[T],
    key: Callable[[T], Any],
    matches: Callable[[T], bool] | None,
    *,
    descending: bool,
) -> list[T]:
    """The first `MOST_ROWS` of them."""
    choose = heapq.nlargest if descending else heapq.nsmallest
    best: list[T] = []
    async for portion in _portions(list(items)):
        fitting = portion if matches is None else filter(matches, portion)
        best = choose(MOST_ROWS, [*best, *fitting], key)
    return best


async def _portions(items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """A list in portions; others have their turn between two."""
    for start in range(0, len(items), PORTION):
        if start:
            await asyncio.sleep(0)
        yield items[start : start + PORTION]


def _memory() -> int | None:
    """Bytes that the process holds; None where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
