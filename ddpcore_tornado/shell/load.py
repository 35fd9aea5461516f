"""`ddpcore load`: many clients in one process, and what they saw of the server.

With `--rate` a call's time counts from when it was to be made, and not from when there was room for
it: a server that stalls for a second is to be seen in all calls of that second (Gil Tene's
"coordinated omission"). Without it, each client calls when it has its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import signal
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

from ddpcore.errors import DDPError, MeteorError
from ddpcore_tornado.client import Client
from ddpcore_tornado.shell import session
from ddpcore_tornado.shell.measures import Cpu, Times
from ddpcore_tornado.shell.output import compact, printable, say

__all__ = ["run"]

AT_ONCE = 50
"""Connections that are made at the same time; a listening socket holds about a hundred."""

BUSY = 0.85
"""The share of a processor from which on this process is taken for the limit."""

LINGER = 5.0
"""Seconds that the last answers may take when the time is up."""


def run(options: argparse.Namespace) -> int:
    """The command."""
    name, *texts = options.calls or options.sub
    params = session.read_params(texts)
    access = session.read_access(options)
    return session.run(options, _Load(options, access, name, params).run())


class _Load:
    def __init__(
        self, options: argparse.Namespace, access: session.Access, name: str, params: list[Any]
    ) -> None:
        self._options = options
        self._access = access
        self._name = name
        self._params = params
        self._clients: list[Client] = []
        self._connects = Times()
        self._times = Times()  # of calls, or from `sub` to `ready`
        self._second = Times()  # of this second alone
        self._errors: Counter[str] = Counter()
        self._changes = 0
        self._unanswered = 0
        self._made = self._missed = 0
        self._began = self._connected_in = self._ran = 0.0
        self._stop = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        async with AsyncExitStack() as stack:
            began = time.monotonic()
            await self._connect(stack)
            self._connected_in = time.monotonic() - began
            if not self._clients:
                raise DDPError(f"No client could connect: {self._most_common_error()}.")
            cpu = Cpu()
            before = self._traffic()
            self._began = time.monotonic()
            progress = asyncio.create_task(self._progress())
            try:
                await (self._call_all() if self._options.calls else self._subscribe_all())
            finally:
                progress.cancel()
            self._ran = time.monotonic() - self._began
            summary = self._summary(cpu.share(), before)
            await self._close(stack)
        if self._options.json:
            sys.stdout.write(compact(summary) + "\n")
        else:
            sys.stdout.write("".join(f"{line}\n" for line in _told(summary)))
        return 1 if self._errors or self._unanswered else 0

    # Clients

    async def _connect(self, stack: AsyncExitStack) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with gate:
                if self._stop.is_set():
                    return
                began = time.monotonic()
                try:
                    client = await stack.enter_async_context(
                        session.dial(self._options, reconnect=False)
                    )
                    async with session.limit(self._options):
                        await session.log_in(client, self._access)
                except Exception as problem:
                    self._count_error(problem)
                    return
                self._connects.add(time.monotonic() - began)
                self._clients.append(client)

        await asyncio.gather(*(one() for _ in range(self._options.clients)))

    async def _close(self, stack: AsyncExitStack) -> None:
        if self._access.password is not None:
            await asyncio.gather(
                *(session.log_out(client, self._access) for client in self._clients)
            )
        await asyncio.gather(*(client.close() for client in self._clients))
        await stack.aclose()

    # Calls

    async def _call_all(self) -> None:
        ends = self._began + self._options.duration
        rate = self._options.rate
        turns = itertools.count()

        async def lane(client: Client) -> None:
            while not self._stop.is_set() and not client._closed:
                due = time.monotonic()
                if rate:
                    due = self._began + next(turns) / rate
                    if due >= ends:
                        return
                    wait = due - time.monotonic()
                    if wait > 0 and await self._stopped_within(wait):
                        return
                if time.monotonic() >= ends:
                    return
                self._made += 1
                await self._call(client, due)

        lanes = [
            asyncio.create_task(lane(client))
            for client in self._clients
            for _ in range(self._options.in_flight)
        ]
        stopped = asyncio.create_task(self._stop.wait())
        left: asyncio.Future[Any] = asyncio.gather(*lanes)
        limit = ends - time.monotonic() + LINGER
        await asyncio.wait({left, stopped}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if stopped.done():  # what is under way may come to its end
            await asyncio.wait({left}, timeout=LINGER)
        stopped.cancel()
        if not left.done():
            self._unanswered = sum(len(client._answers) for client in self._clients)
            left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        if rate and not self._stop.is_set():
            self._missed = max(0, math.ceil(rate * self._options.duration) - self._made)

    async def _call(self, client: Client, due: float) -> None:
        try:
            await client.call(self._name, *self._params, retry=False)
        except Exception as problem:
            self._count_error(problem)
        else:
            self._add(time.monotonic() - due)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True

    # Subscriptions

    async def _subscribe_all(self) -> None:
        async def one(client: Client) -> None:
            client.on_change = self._count_change
            began = time.monotonic()
            try:
                async with session.limit(self._options):
                    await client.subscribe(self._name, *self._params).ready()
            except Exception as problem:
                self._count_error(problem)
            else:
                self._add(time.monotonic() - began)

        waiting = [asyncio.create_task(one(client)) for client in self._clients]
        ready = asyncio.gather(*waiting)
        left = self._began + self._options.duration - time.monotonic()
        await self._stopped_within(left)
        self._unanswered = sum(not each.done() for each in waiting)
        ready.cancel()
        await asyncio.gather(ready, return_exceptions=True)

    def _count_change(self, _: Any) -> None:
        self._changes += 1

    # What is told

    def _add(self, seconds: float) -> None:
        self._times.add(seconds)
        self._second.add(seconds)

    def _count_error(self, problem: Exception) -> None:
        if isinstance(problem, MeteorError):
            text = f"[{problem.error}] {problem.reason or ''}".rstrip()
        else:
            text = str(problem) or type(problem).__name__
        self._errors[printable(text)[:200]] += 1

    def _most_common_error(self) -> str:
        return next((text for text, _ in self._errors.most_common(1)), "stopped").rstrip(".")

    def _traffic(self) -> tuple[int, int]:
        return (
            sum(client.traffic.bytes_in for client in self._clients),
            sum(client.traffic.bytes_out for client in self._clients),
        )

    async def _progress(self) -> None:
        for second in itertools.count(1):
            await asyncio.sleep(max(0.0, self._began + second - time.monotonic()))
            now, self._second = self._second, Times()
            times = now.as_dict()
            alive = sum(client.connected.is_set() for client in self._clients)
            what = f"{now.count:,} calls" if self._options.calls else f"{now.count:,} ready"
            parts = [f"{second:4} s", f"{alive:,} clients", what]
            if now.count:
                parts.append(f"p50 {times['p50']:,.1f} ms, p99 {times['p99']:,.1f} ms")
            if not self._options.calls:
                parts.append(f"{self._changes:,} changes in all")
            parts.append(f"{sum(self._errors.values()):,} errors in all")
            say("  ".join(parts))

    def _summary(self, cpu: float, before: tuple[int, int]) -> dict[str, Any]:
        bytes_in, bytes_out = self._traffic()
        calls = bool(self._options.calls)
        return {
            "url": self._clients[0].url,
            "what": "calls" if calls else "sub",
            "name": self._name,
            "clients": len(self._clients),
            "connects_per_second": round(len(self._clients) / max(self._connected_in, 1e-9), 1),
            "connect_ms": self._connects.as_dict(),
            "seconds": round(self._ran, 3),
            "done": self._times.count,
            "per_second": round(self._times.count / self._ran, 1) if calls else None,
            "latency_ms": self._times.as_dict(),
            "changes": None if calls else self._changes,
            "errors": dict(self._errors.most_common()),
            "unanswered": self._unanswered,
            "missed": self._missed,
            "bytes_in": bytes_in - before[0],
            "bytes_out": bytes_out - before[1],
            "cpu": round(cpu, 3),
            "generator_limited": cpu >= BUSY,
        }


def _told(summary: dict[str, Any]) -> list[str]:
    """The summary for people."""
    connect, latency = summary["connect_ms"], summary["latency_ms"]
    calls = summary["what"] == "calls"
    connects = f"{summary['connects_per_second']:,.0f} connects/s ({_times(connect)})"
    lines = [f"{summary['clients']:,} clients, {connects}"]
    if calls:
        lines.append(
            f"{summary['done']:,} calls of {summary['name']} in {summary['seconds']:.1f} s:"
            f" {summary['per_second']:,.0f}/s"
        )
    else:
        lines.append(
            f"{summary['done']:,} subscriptions to {summary['name']} ready,"
            f" {summary['changes']:,} changes in {summary['seconds']:.1f} s"
        )
    lines.append(f"latency   {_times(latency)}")
    lines.append(
        f"bytes     {summary['bytes_in']:,} received, {summary['bytes_out']:,} sent"
        " (messages, without the frames of WebSocket)"
    )
    lines.append(f"errors    {sum(summary['errors'].values()):,}")
    lines += [f"  {count:,} of {text}" for text, count in summary["errors"].items()]
    if summary["unanswered"]:
        lines.append(f"  {summary['unanswered']:,} had no answer at the end")
    if summary["missed"]:
        lines.append(
            f"{summary['missed']:,} calls of the rate were never made, as no client was free: more"
            " --clients or --in-flight may help."
        )
    lines.append(
        f"this process used {summary['cpu']:.0%} of a processor"
        + (": IT WAS THE LIMIT, perhaps not the server." if summary["generator_limited"] else ".")
    )
    if summary["generator_limited"]:
        lines.append("Start several of it, with fewer clients each, and add up what they say.")
    return lines


def _times(times: dict[str, float | None]) -> str:
    return ", ".join(
        f"{name} {'none' if value is None else f'{value:,.1f} ms'}" for name, value in times.items()
    )
