"""`ddpcore sub`: documents as they change, drawn on a terminal or told line by line."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ddpcore.client import Change
from ddpcore_tornado.client import Client, NoConnection, Subscription
from ddpcore_tornado.shell import session
from ddpcore_tornado.shell.output import compact, say
from ddpcore_tornado.shell.table import BOLD, DIM, PLAIN, cut, render
from ddpcore_tornado.shell.terminal import Screen, is_live, wants_colour

__all__ = ["run"]

PAUSE = 0.1
"""Seconds between two pictures at least: nobody reads faster, and drawing is not free."""


def run(options: argparse.Namespace) -> int:
    """The command."""
    params = session.read_params(options.args)
    access = session.read_access(options)
    return session.run(options, _sub(options, access, params))


class _View(Protocol):
    """What is made of the changes."""

    def changed(self, change: Change) -> None: ...

    def ready(self) -> None: ...


class _Lines:
    """One line of JSON for each change. Who reads slowly, reads slowly: the client waits."""

    def changed(self, change: Change) -> None:
        self._write(change.as_message())

    def ready(self) -> None:
        self._write({"msg": "ready"})

    @staticmethod
    def _write(message: dict[str, Any]) -> None:
        sys.stdout.write(compact(message) + "\n")
        sys.stdout.flush()


class _Live:
    """A picture of all documents, drawn again when they change."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._screen = Screen()
        self._colour = wants_colour(sys.stdout)
        self._ready = False
        self._changes = 0
        self._last: str | None = None
        self._next: asyncio.TimerHandle | None = None
        self._drawn = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        try:
            with self._screen.taken():
                loop.add_signal_handler(signal.SIGWINCH, self._draw)
                loop.add_signal_handler(signal.SIGTSTP, self._suspend)
                self._draw()
                # The state of the connection changes without a message.
                ticking = loop.create_task(self._tick())
                try:
                    yield
                finally:
                    ticking.cancel()
                    loop.remove_signal_handler(signal.SIGWINCH)
                    loop.remove_signal_handler(signal.SIGTSTP)
                    if self._next is not None:
                        self._next.cancel()
        finally:
            # What was last seen stays above the prompt, whole.
            width, _ = self._screen.size
            lines = render(self._collections(), width, None, colour=self._colour)
            sys.stdout.write("".join(f"{line}\n" for line in [*lines, self._status(width)]))

    def changed(self, _: Change) -> None:
        self._changes += 1
        self._last = time.strftime("%H:%M:%S")
        self._soon()

    def ready(self) -> None:
        self._ready = True
        self._changes = 0  # those that come now are news
        self._last = None
        self._soon()

    def _suspend(self) -> None:
        self._screen.suspend()
        self._draw()

    def _soon(self) -> None:
        if self._next is None:
            loop = asyncio.get_running_loop()
            wait = max(0.0, self._drawn + PAUSE - loop.time())
            self._next = loop.call_later(wait, self._draw)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._soon()

    def _draw(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._drawn = asyncio.get_running_loop().time()
        width, height = self._screen.size
        lines = render(self._collections(), width, max(height - 2, 1), colour=self._colour)
        lines += [""] * (height - 1 - len(lines))
        self._screen.draw([*lines[: height - 1], self._status(width)])

    def _collections(self) -> dict[str, Any]:
        return {name: self._client.collection(name) for name in self._client.collections}

    def _status(self, width: int) -> str:
        if self._client.trouble is not None:
            state = f"no connection: {self._client.trouble}"
        else:
            state = "ready" if self._ready else "waiting for ready"
        parts = [self._name, state, f"{self._changes:,} change{'s' if self._changes != 1 else ''}"]
        if self._last is not None:
            parts[-1] += f", the last at {self._last}"
        text = cut(" · ".join(parts), width)
        style = (BOLD if self._client.trouble is not None else DIM) if self._colour else ""
        return f"{style}{text}{PLAIN}" if style else text


class _Watch:
    """Hands changes to a view until it is enough."""

    def __init__(self, view: _View, options: argparse.Namespace) -> None:
        self._view = view
        self._left: int | None = options.count
        self._until_ready: bool = options.ready
        self.enough = asyncio.Event()
        self.failure: OSError | None = None

    def changed(self, change: Change) -> None:
        if self.enough.is_set():
            return
        try:
            self._view.changed(change)
        except OSError as problem:  # nobody reads any more
            self._fail(problem)
            return
        if self._left is not None:
            self._left -= 1
            if not self._left:
                self.enough.set()

    def ready(self) -> None:
        if self.enough.is_set():
            return
        try:
            self._view.ready()
        except OSError as problem:
            self._fail(problem)
            return
        if self._until_ready:
            self.enough.set()

    def _fail(self, problem: OSError) -> None:
        self.failure = problem
        self.enough.set()


async def _sub(options: argparse.Namespace, access: session.Access, params: list[Any]) -> int:
    loop = asyncio.get_running_loop()
    async with session.connected(options, access) as client:
        if options.lines or not is_live(sys.stdout):
            watch = _Watch(_Lines(), options)
            return await _watched(options, client, watch, params)
        live = _Live(client, options.name)
        watch = _Watch(live, options)
        # Not KeyboardInterrupt: what is drawn is given back first.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, watch.enough.set)
        with live.shown():
            return await _watched(options, client, watch, params)


async def _watched(
    options: argparse.Namespace, client: Client, watch: _Watch, params: list[Any]
) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, watch.enough.set)
    client.on_change = watch.changed
    subscription = client.subscribe(options.name, *params)
    subscription.on_ready = watch.ready
    waits = [
        asyncio.ensure_future(each)
        for each in (watch.enough.wait(), subscription.over(), client.gone())
    ]
    try:
        limit = options.timeout or None if options.ready else None
        done, _ = await asyncio.wait(waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if watch.failure is not None:
        raise watch.failure
    if not done:
        raise TimeoutError
    return _ending(client, watch, subscription)


def _ending(client: Client, watch: _Watch, subscription: Subscription) -> int:
    if watch.enough.is_set():
        return 0
    if subscription.error is not None:
        raise subscription.error
    if client.trouble is not None:
        raise NoConnection(client.trouble)
    say("The server has ended the subscription.")
    return 0
