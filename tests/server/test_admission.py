"""Who may begin in which turn of the loop."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from ddpcore.server.admission import A_TURN, Admission
from ddpcore.testing import turns


def crowd(admission, count, begun):
    async def one(number):
        await admission.wait()
        begun.append(number)

    return [asyncio.ensure_future(one(number)) for number in range(count)]


async def test_one_alone_begins_at_once():
    admission = Admission()
    waiting = admission.wait()
    try:
        waiting.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


async def test_so_many_begin_in_a_turn_in_the_order_in_which_they_came():
    admission, begun = Admission(), []
    crowd(admission, 5 * A_TURN, begun)
    counts = [0]
    while len(begun) < 5 * A_TURN:
        await asyncio.sleep(0)
        counts.append(len(begun))
    assert begun == list(range(5 * A_TURN))
    assert max(after - before for before, after in pairwise(counts)) <= A_TURN


async def test_who_comes_later_waits_behind_those_in_line():
    admission, begun = Admission(), []
    crowd(admission, 3 * A_TURN, begun)
    await asyncio.sleep(0)
    late = asyncio.ensure_future(admission.wait())
    late.add_done_callback(lambda _: begun.append("late"))
    await late
    await turns()
    assert begun == [*range(3 * A_TURN), "late"]


async def test_who_leaves_the_line_takes_nobodys_place():
    admission, begun = Admission(), []
    tasks = crowd(admission, 4 * A_TURN, begun)
    await asyncio.sleep(0)
    for task in tasks[A_TURN : 3 * A_TURN]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert begun == [*range(A_TURN), *range(3 * A_TURN, 4 * A_TURN)]


async def test_when_all_is_quiet_nothing_runs():
    admission, begun = Admission(), []
    crowd(admission, 2 * A_TURN, begun)
    await turns()
    assert (admission._begun, len(admission._line)) == (0, 0)
    await admission.wait()
