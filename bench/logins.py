"""Logins: whether the time of a refusal tells why, and what a login costs."""

from __future__ import annotations

import asyncio
import random
import time
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from bench.lab import Client, Lab, lab, options, percentile, table
from ddpcore_django.accounts.digest import digest_of

USERS = """
from django.contrib.auth.models import User
User.objects.create_user("ann", password="right")
User.objects.create_user("inactive", password="right", is_active=False)
User.objects.create_user("without")
"""

CASES = {
    "wrong password": "ann",
    "unknown user": "nobody",
    "inactive user, right password": "inactive",
    "user without a password": "without",
}


async def _run(bench: Lab, calls: int) -> None:
    bench.manage("shell", "-c", USERS)
    server = bench.serve()
    client = await Client.connect(server.address)
    await client.next()
    await client.call("unlimit")
    rows = []
    for kind in ("digest", "plain"):
        took: dict[str, list[float]] = {case: [] for case in CASES}
        for _ in range(calls):
            for case in random.sample(list(CASES), len(CASES)):  # whatever else goes on hits all
                word = "right" if "right" in case else "wrong"
                password: Any = word
                if kind == "digest":
                    password = {"digest": digest_of(word), "algorithm": "sha-256"}
                options = {"user": {"username": CASES[case]}, "password": password}
                began = time.perf_counter()
                answer = await client.call("login", options)
                took[case].append((time.perf_counter() - began) * 1000)
                assert answer["error"]["error"] == 403, answer
        first = took["wrong password"]
        rows += [
            (kind, case, f"{percentile(times, 10):.1f}", f"{percentile(times, 50):.1f}",
             f"{percentile(times, 90):.1f}", f"{_distance(first, times):.3f}",
             f"{_far(len(first)):.3f}")
            for case, times in took.items()
        ]  # fmt: skip
    table(
        "Logins that are refused (ms), and how far apart their times are (Kolmogorov-Smirnov)",
        ["password", "case", "p10", "p50", "p90", "distance to a wrong password", "5 % are above"],
        rows,
    )
    await _costs(client, server)
    await client.close()


async def _costs(client: Client, server: Any) -> None:
    password = {"digest": digest_of("right"), "algorithm": "sha-256"}
    options = {"user": {"username": "ann"}, "password": password}
    token = (await client.call("login", options))["result"]["token"]
    rows = []
    for what, count, argument in (
        ("by password (PBKDF2, Django's cost)", 10, options),
        ("by token", 200, {"resume": token}),
    ):
        cpu, began = server.cpu, time.perf_counter()
        for _ in range(count):
            assert "result" in await client.call("login", argument)
        each = (time.perf_counter() - began) / count
        rows.append((what, f"{each * 1000:.1f}", f"{(server.cpu - cpu) / count * 1000:.1f}"))
    table("Logins that succeed (ms)", ["how", "each", "CPU of the server"], rows)


def _distance(one: list[float], other: list[float]) -> float:
    """The largest difference between two distributions, 0 to 1."""
    return max(
        abs(bisect_right(one, value) / len(one) - bisect_right(other, value) / len(other))
        for one, other in [(sorted(one), sorted(other))]
        for value in one + other
    )


def _far(count: int) -> float:
    """How large that is by chance, in one of twenty comparisons of so many with as many."""
    return 1.358 * float((2 / count) ** 0.5)


def main(arguments: Sequence[str] = ()) -> None:
    chosen = options("logins", arguments, calls=150)
    with lab(accounts=True) as bench:
        asyncio.run(_run(bench, chosen.calls))
