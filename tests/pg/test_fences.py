"""The book of fences: who is released by which token."""

from __future__ import annotations

import asyncio

from ddpcore_pg.fences import Fences


async def test_who_asks_after_the_token_was_sent_needs_the_next() -> None:
    # No server shows this reliably: change and token mostly arrive in one read.
    fences = Fences()
    early = [fences.ask(), fences.ask()]
    first = fences.send(60, lambda _: None)
    late = fences.ask()
    assert fences.unsent
    fences.came(first)
    assert all(fence.done() for fence in early)
    assert not late.done()
    second = fences.send(60, lambda _: None)
    assert second != first
    fences.came(first)
    fences.came("nonsense")
    assert not late.done()
    fences.came(second)
    assert late.done()


async def test_release_completes_all_of_them() -> None:
    fences = Fences()
    overdue: list[str] = []
    sent = fences.ask()
    token = fences.send(0, overdue.append)
    cancelled, unsent = fences.ask(), fences.ask()
    cancelled.cancel()
    fences.release()
    assert sent.done()
    assert unsent.done()
    assert not fences.unsent
    fences.came(token)
    await asyncio.sleep(0)
    assert overdue == []  # its timer went with it
