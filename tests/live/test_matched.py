"""Observers that decide in memory: whatever happens, and in whatever order, they show the table."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from memory_client import turns
from memory_database import TOPICS, Keys, Rows
from memory_world import EVERYTHING, Watcher, World

from ddpcore.live import crossbar as crossbar_module
from ddpcore.live import observer as observer_module
from ddpcore.live.predicate import Within

# One thing at a time


async def test_a_change_tells_the_row_and_nothing_is_asked():
    async with World() as world:
        watcher = await world.watch("two", ("equals", "owner", frozenset({1})))
        world.database.now("two", "1", owner=1)
        world.database.now("two", "2", owner=2)
        await world.fence()
        assert watcher.keys == {"1"}
        world.database.now("two", "2", owner=1)
        world.database.now("two", "1", owner=None)
        await world.fence()
        assert watcher.keys == {"2"}
        world.database.delete("two", "2")
        await world.fence()
        assert watcher.keys == set()
        assert world.database.asked == ["fetch two"]


async def test_a_thousand_first_watchers_ask_once():
    async with World() as world:
        world.database.now("two", "1", owner=1)
        await asyncio.gather(*(world.watch("two") for _ in range(1_000)))
        assert world.database.asked == ["fetch two"]
        world.database.now("two", "1", owner=2)
        await world.fence()
        world.check_equal()
        assert world.database.asked == ["fetch two"]
        await world.check_empty()


async def test_only_those_hear_of_a_row_whom_it_concerns():
    async with World() as world:
        called = []
        for owner in range(1_000):
            watcher = await world.watch("two", ("equals", "owner", frozenset({owner})))
            observer = watcher.handle.observer
            observer.change = lambda change, owner=owner, inner=observer.change: (
                called.append(owner),
                inner(change),
            )
        world.database.now("two", "1", owner=7)
        world.database.now("two", "1", owner=8)
        world.database.delete("two", "1")
        await world.fence()
        assert called == [7, 8, 7, 8]
        world.check_equal()


async def test_statements_keep_their_order_across_tables():
    async with World() as world:
        log: list[Any] = []
        for topic in TOPICS:
            await world.watch(topic, log=log)
        transaction = world.database.begin()
        order = [(topic, key) for key in "2013" for topic in ("one", "zero", "two")]
        for topic, key in order:
            world.database.write(transaction, topic, key, {})
        world.database.commit(transaction)
        await world.fence()
        assert [(topic, key) for topic, key, _ in log] == order


async def test_many_changes_at_once_keep_their_order():
    async with World() as world:
        log: list[Any] = []
        for topic in TOPICS:
            await world.watch(topic, log=log)
        world.bus.prompt = False
        order = [(TOPICS[number % 3], str(number)) for number in range(350)]
        for topic, key in order:
            world.database.now(topic, key)
        world.bus.deliver(250)
        await turns(2)
        world.bus.prompt = True
        world.bus.deliver()
        await world.fence()
        assert [(topic, key) for topic, key, _ in log] == order


class Crowd(Watcher):
    """Notes how many steps it is told at once."""

    calls: ClassVar[list[int]] = []

    @staticmethod
    def take_together(watchers: list[Crowd], steps: list[Any], frames: list[Any]) -> None:
        assert frames == [step.frame for step in steps]
        Crowd.calls.append(len(steps))
        for watcher in watchers:
            for step in steps:
                watcher.take(step)

    def leave(self) -> None:
        pass


@pytest.mark.parametrize("portion", [None, 3])
async def test_steps_of_one_query_are_told_together(monkeypatch, portion):
    """As many as are dealt with in a turn."""
    if portion:
        work = portion * (crossbar_module.EVENT_WORK + 2)
        monkeypatch.setattr(crossbar_module, "MOST_WORK_WITHIN", work)
    async with World() as world:
        database, query = world.database, Rows(world.database, "two")
        crowd = [Crowd(database, query) for _ in range(2)]
        handles = await world.crossbar.observe([(query, each) for each in crowd])
        Crowd.calls = []
        transaction = database.begin()
        for key in range(9):
            database.write(transaction, "two", str(key), {})
        database.commit(transaction)
        await world.fence()
        assert sum(Crowd.calls) == 9
        assert Crowd.calls == [9] if portion is None else max(Crowd.calls[1:]) > 1
        assert [each.shown for each in crowd] == [query.expected(database.state)] * 2
        assert not crowd[0].complaints
        for handle in handles:
            world.crossbar.release(handle)


async def test_what_was_taken_is_told_though_what_follows_fails(expect_log):
    expect_log("ddpcore.live", "Changes could not be dealt with")
    async with World() as world:
        await world.watch("two")
        second = await world.watch("two", fields=("owner",))
        observer = second.handle.observer

        def fail(_):
            del observer.change
            raise OSError("broken")

        observer.change = fail
        world.database.now("two", "1", owner=1)
        await world.quiet()
        world.check()
        world.check_equal()


async def test_a_row_follows_the_row_it_refers_to():
    friends = ("within", ("within", ("equals", "owner", frozenset({1})), True), True)
    async with World() as world:
        world.database.now("two", "1", ref=1)
        world.database.now("one", "1", ref=1)
        world.database.now("zero", "1", owner=1)
        watcher = await world.watch("two", friends)
        assert watcher.keys == {"1"}
        world.database.now("zero", "1", owner=2)
        await world.fence()
        assert watcher.keys == set()
        world.database.now("zero", "1", owner=1)
        await world.fence()
        assert watcher.keys == {"1"}
        world.check_equal()
        await world.check_empty()


async def test_who_leaves_before_the_first_result_leaves_nothing():
    async with World() as world:
        await world.watch("two")
        world.database.prompt = False
        watching = world.watching("two", ("within", ("equals", "owner", frozenset({1})), True))
        await turns()
        watching.cancel()
        await turns()
        world.database.prompt = True
        await world.quiet()
        world.check()
        await world.check_empty()


async def test_who_leaves_while_the_first_result_is_answered_leaves_nothing():
    async with World() as world:
        await world.watch("two")
        world.database.prompt = False
        watching = world.watching("two", ("null", "owner"))
        await turns()
        watching.cancel()
        world.database.questions[0].answer()
        await world.quiet()
        world.check()


async def test_a_watcher_that_leaves_in_the_act_leaves_nothing():
    """While its observer takes the result that it asked for again."""
    async with World() as world:
        await world.watch("two")
        watcher = await world.watch("two", ("null", "owner"))
        watcher.during = lambda: world.release(watcher)
        world.bus.listening.discard("two")
        world.database.now("two", "1")
        world.bus.lose("two", 1)
        await world.quiet()
        assert watcher.keys == {"1"}
        world.check()
        await world.check_empty()


async def test_who_was_released_by_another_watcher_hears_nothing_more():
    async with World() as world:
        first, second = await world.watch("two"), await world.watch("two")
        first.during = lambda: world.release(second)
        world.database.now("two", "1")
        await world.fence()
        assert second.log == []


async def test_an_observer_freed_by_another_watcher_asks_nothing():
    async with World() as world:
        first = await world.watch("two", fields=("version",))
        second = await world.watch("two", ("null", "owner"), fields=("version",))
        first.during = lambda: world.release(second)
        world.database.now("two", "1", lacks={"owner"})
        world.database.asked.clear()
        await world.quiet()
        assert "fetch two" not in world.database.asked
        world.check()
        await world.check_empty()


@pytest.mark.parametrize("flavour", ["snapshots", "xids", "keys"])
@pytest.mark.parametrize("last", [None, 0])
async def test_who_asked_between_two_states_of_a_related_row_that_is_read(flavour, last):
    """Of the related row only the last state is read, and the set of keys is as it was."""
    mine = ("within", ("equals", "owner", frozenset({1})), True)
    async with World(flavour) as world:
        database = world.database
        database.now("one", "1", owner=0)
        database.now("two", "1", ref=1)
        await world.watch("two", mine, fields=("version",))
        world.bus.prompt = False
        database.now("one", "1", owner=1, lacks=None)
        between = await world.watch("two", mine, fields=("owner",))
        assert between.keys == {"1"}
        database.now("one", "1", owner=last, lacks=None)
        await world.quiet()
        world.check()
        world.check_equal()


@pytest.mark.parametrize("flavour", ["xids", "keys"])
async def test_who_asked_between_two_states_and_was_answered_while_the_row_is_read(flavour):
    """Without snapshots it cannot be told which of the two is newer."""
    mine = ("within", ("equals", "owner", frozenset({1})), True)
    async with World(flavour) as world:
        database = world.database
        database.now("one", "1", owner=0)
        database.now("two", "1", ref=1)
        await world.watch("two", mine, fields=("version",))
        world.bus.prompt = database.prompt = False
        database.now("one", "1", owner=1, lacks=None)
        between = world.watching("two", mine, fields=("owner",))
        await turns(30)
        [asked] = database.questions
        asked.look()
        database.now("one", "1", owner=0, lacks=None)
        world.bus.deliver()
        await turns(30)
        [asked, reading] = database.questions
        asked.answer()
        await turns(30)
        assert (await between).keys == {"1"}
        reading.answer()
        await world.quiet()
        world.check()
        world.check_equal()


@pytest.mark.parametrize("first", ["read one", "fetch two"])
async def test_a_fence_waits_for_a_related_row_read_anew_behind_a_later_gap(first):
    """Who is told so late that the set may have changed, was asking because of the gap."""
    mine = ("within", ("equals", "owner", frozenset({1})), True)
    async with World("xids") as world:
        database = world.database
        database.now("one", "1", owner=1)
        database.now("two", "1", ref=1)
        await world.watch("two", mine)
        database.prompt = False
        database.now("one", "1", owner=1)
        await turns(30)
        [reading] = database.questions
        database.now("one", "1", owner=1)
        fence = asyncio.ensure_future(world.fence())
        await turns()
        world.bus.lose("two", 0)
        await turns(30)
        reading.answer()
        await turns(30)
        asked = {each.what: each for each in database.questions}
        assert set(asked) == {"read one", "fetch two"}
        asked.pop(first).answer()
        await turns(30)
        assert not fence.done()
        asked.popitem()[1].answer()
        await turns(30)
        assert not fence.done()
        await world.quiet()
        await fence
        world.check_equal()


async def test_a_set_of_keys_that_nobody_needs_is_forgotten_though_its_table_is_watched():
    async with World() as world:
        await world.watch("one")
        joined = await world.watch("two", ("within", ("equals", "owner", frozenset({1})), True))
        world.release(joined)
        world.check()
        await world.check_empty()


async def test_who_asked_after_a_related_row_was_read_does_not_ask_for_nothing():
    mine = ("within", ("equals", "owner", frozenset({1})), True)
    async with World() as world:
        database = world.database
        database.now("one", "1", owner=1)
        database.now("two", "1", ref=1)
        await world.watch("two", mine)
        database.prompt = False
        database.now("one", "1", owner=1, lacks=None)
        await turns(30)
        [reading] = database.questions
        reading.look()
        newer = world.watching("two", mine, fields=("owner",))
        await turns(30)
        [_, asked] = database.questions
        asked.answer()
        await newer
        database.asked.clear()
        reading.answer()
        await world.quiet()
        assert database.asked == []
        world.check_equal()


async def test_who_is_about_to_be_answered_as_of_between_two_states_asks_again():
    mine = ("within", ("equals", "owner", frozenset({1})), True)
    async with World() as world:
        database = world.database
        database.now("one", "1", owner=0)
        database.now("two", "1", ref=1)
        await world.watch("two", mine)
        database.prompt = False
        world.bus.lose("two", 0)
        await turns(30)
        [asked] = database.questions
        world.bus.prompt = False
        database.now("one", "1", owner=1, lacks=None)
        asked.look()
        database.now("one", "1", owner=0, lacks=None)
        world.bus.deliver()
        await turns(30)
        [_, reading] = database.questions
        reading.answer()
        await turns(30)
        await world.quiet()
        world.check()
        world.check_equal()


async def test_who_asked_before_a_related_row_was_written_does_not_ask_for_nothing():
    async with World() as world:
        database = world.database
        database.now("one", "1", owner=1)
        database.now("two", "1", ref=1)
        await world.watch("two", ("within", ("equals", "owner", frozenset({1})), True))
        database.asked.clear()
        database.now("one", "1", owner=1, lacks=None)
        await world.quiet()
        assert database.asked == ["read one"]


async def test_a_fence_waits_for_a_row_read_anew_behind_a_later_gap():
    """The result is asked for because of the gap, and is still to show the row of before."""
    async with World("xids") as world:
        database = world.database
        database.now("two", "0")
        await world.watch("two")
        database.prompt = False
        database.now("two", "0")
        await turns(30)
        [reading] = database.questions
        database.now("two", "0")
        fence = asyncio.ensure_future(world.fence())
        await turns()
        world.bus.lose(None, 0)
        await turns(30)
        reading.answer()
        await turns(30)
        [reading] = [each for each in database.questions if each.what == "read two"]
        reading.answer()
        await turns(30)
        assert not fence.done()
        await world.quiet()
        await fence


async def test_a_row_is_shown_with_its_links_though_another_is_asked_for():
    async with World(whole=True) as world:
        database = world.database
        database.now("two", "0", owner=0)
        database.now("two", "1", owner=0)
        await world.watch("two", fields=("owner", "tags"))
        database.prompt = False
        transaction = database.begin()
        database.write(transaction, "one", "0", {"owner": 1, "grade": 10})
        database.write(transaction, "two", "1", {"owner": 1})
        database.write(transaction, "two", "0", {"owner": 1}, {"owner"})
        database.commit(transaction)
        await turns(30)
        [asked] = database.questions
        asked.answer()
        await turns(30)
        world.check()
        await world.quiet()
        world.check()
        world.check_equal()


async def test_what_cannot_be_decided_after_an_answer_is_asked_again():
    """An observer that asks again while it takes what had waited stays known to be asking."""
    async with World() as world:
        await world.watch("one", ("within", ("null", "owner"), True))
        world.database.now("one", "1", ref=1)
        world.database.prompt = False
        world.bus.lose("one", 0)
        await turns()
        [question] = world.database.questions
        question.look()
        world.database.now("one", "2", lacks={"ref", "version"})
        await turns()
        fence = asyncio.ensure_future(world.fence())
        await turns()
        for each in world.database.questions:
            each.answer()
        await turns()
        [keys] = [each for each in world.crossbar._observers.values() if each.name == "one"]
        assert keys.asking
        assert not fence.done()
        await world.quiet()
        assert not keys.asking
        await fence
        world.check_equal()


async def test_a_fence_waits_for_a_row_that_is_read_again():
    async with World("keys") as world:
        watcher = await world.watch("two")
        await world.watch("zero")
        world.database.prompt = False
        world.bus.lose("two", 0)
        await turns()
        [question] = world.database.questions
        question.look()
        world.database.now("two", "1")
        fence = asyncio.ensure_future(world.crossbar.fence())
        await turns()
        world.bus.lose("one", 0)  # some other event, later than the fence
        await turns()
        world.database.questions[-1].answer()
        await turns()
        question.answer()
        await turns()
        assert watcher.keys == {"1"} or not fence.done()
        await world.quiet()
        await fence


async def test_who_leaves_as_links_change_leaves_nothing():
    async with World() as world:
        first, second = [await world.watch(topic, fields=("tags",)) for topic in ("zero", "two")]
        for topic in ("zero", "two"):
            world.database.now(topic, "1")
        await world.fence()
        first.during = lambda: [world.release(each) for each in list(world.watchers)]
        world.database.now("one", "1", owner=1, grade=2)
        world.database.now("one", "2", owner=1, grade=3)
        await world.fence()
        assert first.shown == {"1": {"tags": ["2"]}}
        assert second.shown == {"1": {"tags": []}}
        await world.check_empty()


async def test_links_are_told_and_nothing_is_asked():
    async with World() as world:
        watcher = await world.watch("two", fields=("owner", "tags"))
        transaction = world.database.begin()
        world.database.write(transaction, "two", "1", {})
        world.database.write(transaction, "one", "5", {"owner": 1, "grade": 10})
        world.database.write(transaction, "one", "6", {"owner": 1, "grade": 9})
        world.database.commit(transaction)
        await world.fence()
        assert watcher.shown["1"]["tags"] == ["9", "10"]
        world.database.now("two", "1", owner=2)
        world.database.delete("one", "5")
        await world.fence()
        assert watcher.shown["1"] == {"owner": 2, "tags": ["9"]}
        assert world.database.asked == ["fetch two"]


async def test_a_row_that_its_transaction_unmade_never_was():
    async with World() as world:
        watcher = await world.watch("two")
        transaction = world.database.begin()
        world.database.write(transaction, "two", "1", {})
        world.database.write(transaction, "two", "1", None)
        world.database.commit(transaction)
        await world.fence()
        assert watcher.log == []
        world.database.now("two", "2")
        await world.fence()
        assert watcher.keys == {"2"}


@pytest.mark.parametrize("flavour", ["snapshots", "xids", "keys"])
async def test_what_was_read_is_not_kept_for_ever(flavour):
    async with World(flavour) as world:
        await world.watch("two")
        for number in range(50):
            world.database.now("two", str(number), lacks=None)
            await world.fence()
        assert len(world.crossbar._tables["two"].readings) <= 1
        world.check_equal()


async def test_what_a_later_event_says_does_not_unread_a_row():
    """A row is read with all that is committed; words of it that come afterwards are old."""
    async with World() as world:
        watcher = await world.watch("two")
        world.bus.prompt = False
        world.database.now("two", "1", lacks=None)
        world.database.now("two", "1", owner=1)
        world.database.now("two", "1", owner=2)
        world.bus.deliver(1)
        await turns()
        assert watcher.shown["1"]["owner"] == 2
        world.database.now("two", "2")
        world.bus.deliver()
        await turns()
        assert watcher.keys == {"1", "2"}
        assert watcher.complaints == []


async def test_who_comes_while_rows_are_read_stops_nothing():
    async with World("keys") as world:
        one = await world.watch("one")
        watcher = await world.watch("two")
        going = await world.watch("zero")
        world.database.prompt = False
        world.database.now("one", "1")
        world.database.now("zero", "1")
        world.database.now("two", "1")
        world.release(going)
        await turns()
        coming = world.watching("zero")
        await turns()
        await world.quiet()
        await coming
        assert (one.keys, watcher.keys) == ({"1"}, {"1"})
        world.check_equal()


@pytest.mark.parametrize("problem", [OSError(), TimeoutError(), asyncio.CancelledError()])
async def test_rows_that_cannot_be_read_have_everything_asked_again(problem, expect_log):
    expect_log("ddpcore.live", "Could not read changed rows of two")
    async with World() as world:
        watcher = await world.watch("two")
        world.database.prompt = False
        world.database.now("two", "1", lacks=None)
        await turns()
        world.database.questions[0].fail(problem)
        await world.quiet()
        assert watcher.keys == {"1"}


async def test_rows_that_are_not_read_in_time_have_everything_asked_again(expect_log, monkeypatch):
    monkeypatch.setattr(crossbar_module, "READ_PATIENCE", 0.0)
    expect_log("ddpcore.live", "Could not read changed rows of two")
    async with World() as world:
        watcher = await world.watch("two")
        world.database.prompt = False
        world.database.now("two", "1", lacks=None)
        while not any(each.what == "fetch two" for each in world.database.questions):
            await asyncio.sleep(0)
        await world.quiet()
        assert watcher.keys == {"1"}


async def test_an_image_that_makes_no_sense_stops_nobody(expect_log):
    expect_log("ddpcore.live", "A row of two makes no sense")
    async with World() as world:
        watcher, other = await world.watch("two"), await world.watch("one")
        table = world.database.tables["two"]
        table.row = lambda image: 1 / 0
        world.database.now("two", "1")
        world.database.now("one", "1")
        await world.quiet()
        assert (watcher.keys, other.keys) == ({"1"}, {"1"})


@pytest.mark.parametrize("flavour", ["snapshots", "xids", "keys"])
async def test_who_joins_before_the_first_answer_sees_all_that_was_committed(flavour):
    async with World(flavour) as world:
        world.database.prompt = False
        first = world.watching("two")
        await turns()
        world.database.questions[0].look()
        world.bus.prompt = False
        world.database.now("two", "1")
        second = world.watching("two")
        await turns()
        world.database.questions[0].answer()
        await turns()
        assert not second.done()
        await world.quiet()
        await first
        assert (await second).log[0][1] == "1"
        world.check()


async def test_the_first_result_comes_however_fast_the_table_changes():
    async with World() as world:
        world.database.prompt = False
        watching = world.watching("two")
        await turns()
        for number in range(20):
            transaction = world.database.begin()
            world.database.write(transaction, "two", str(number), {})
            world.database.commit(transaction, reset=True)
            await turns()
            world.database.questions[0].answer()
            await turns()
        assert watching.done()
        await world.quiet()
        world.check_equal()


async def test_a_fence_ends_however_fast_the_table_changes():
    async with World() as world:
        await world.watch("two", ("within", ("null", "owner"), True))
        world.database.prompt = False
        world.database.now("one", "0")
        fence = asyncio.ensure_future(world.crossbar.fence())
        await turns()
        for number in range(20):
            world.database.questions[0].look()
            world.database.now("one", str(number + 1))
            await turns()
            world.database.questions[0].answer()
            await turns()
        assert fence.done()
        await world.quiet()
        world.check_equal()


@pytest.mark.parametrize("flavour", ["snapshots", "xids", "keys"])
async def test_a_row_that_was_read_is_not_judged_by_older_keys(flavour):
    """What is read may be newer than what is known of the rows that it refers to."""
    async with World(flavour) as world:
        world.database.now("one", "1", owner=1)
        world.database.now("two", "1", ref=1)
        watcher = await world.watch("two", ("within", ("equals", "owner", frozenset({1})), True))
        world.bus.prompt = world.database.prompt = False
        world.database.now("two", "1", ref=1, grade=1, lacks=None)
        world.bus.deliver(1)
        await turns()
        world.database.now("one", "1", owner=2)
        world.database.now("two", "1", ref=1, grade=2)  # never to be seen
        world.database.questions[0].answer()
        await turns()
        await world.quiet()
        assert watcher.complaints == []
        assert watcher.keys == set()


async def test_a_row_that_refers_to_itself_is_judged_by_what_it_is_now():
    async with World() as world:
        watcher = await world.watch("zero", ("within", ("equals", "owner", frozenset({1})), True))
        for number in range(4):
            for key in "12":
                world.database.now("zero", key, ref=int(key), owner=number % 2, grade=number)
                await world.quiet()
                world.check()
                world.check_equal()
        assert watcher.complaints == []


# In between: what was asked for is not answered, and something else happens


MINE = ("equals", "owner", frozenset({1}))


async def with_a_friend(world: World) -> Any:
    world.database.now("one", "1", owner=1)
    world.database.now("two", "1", ref=1)
    watcher = await world.watch("two", ("within", MINE, True))
    assert watcher.keys == {"1"}
    world.bus.prompt = world.database.prompt = False
    return watcher


async def the_friend_is_lost(world: World) -> None:
    """A friend no more; but the word of it is lost, and the set of friends is asked for again."""
    world.database.now("one", "1", owner=2)
    world.bus.lose("one", 1)
    world.bus.deliver()
    await turns()


async def nobody_is_judged_by_the_keys_of_then(world: World, watcher: Any) -> None:
    for question in list(world.database.questions):
        if question.what != "keys one":
            question.answer()
    await turns()
    world.database.now("two", "1", ref=1, grade=1)
    world.bus.deliver()
    await turns()
    assert any(each.what == "keys one" for each in world.database.questions)
    await world.quiet()
    assert watcher.complaints == []
    world.check_equal()


@pytest.mark.parametrize("answered", [None, 0, 1])
async def test_a_result_waits_for_all_keys_that_are_asked_for(answered):
    """The rows of which the condition is true, and those of which it is unknown."""
    async with World() as world:
        watcher = await with_a_friend(world)
        await the_friend_is_lost(world)
        assert [each.what for each in world.database.questions] == ["keys one", "keys one"]
        if answered is not None:
            world.database.questions[answered].answer()
            await turns()
        await nobody_is_judged_by_the_keys_of_then(world, watcher)


async def test_a_result_is_not_the_last_word_if_keys_were_missed_meanwhile():
    async with World() as world:
        watcher = await with_a_friend(world)
        world.bus.lose("two", 0)
        world.bus.deliver()
        await turns()
        [question] = world.database.questions
        question.look()
        await the_friend_is_lost(world)
        await nobody_is_judged_by_the_keys_of_then(world, watcher)


@pytest.mark.parametrize("is_shown", [True, False])
async def test_a_fence_waits_for_what_an_answer_does_not_show(is_shown):
    async with World() as world:
        watcher = await world.watch("two")
        world.database.prompt = False
        world.bus.lose("two", 0)
        await turns()
        [question] = world.database.questions
        if not is_shown:
            question.look()
        world.database.now("two", "1")
        await turns()
        fence = asyncio.ensure_future(world.fence())
        await turns()
        world.bus.lose("two", 0)  # asked once more, whatever the answer
        await turns()
        question.answer()
        await turns()
        assert fence.done() == is_shown == (watcher.keys == {"1"})
        await world.quiet()
        await fence
        assert watcher.complaints == []


async def test_who_leaves_while_all_is_asked_again_waits_for_no_answer():
    async with World() as world:
        watcher = await world.watch("two")
        world.database.prompt = False
        world.bus.lose("two", 0)
        await turns()
        assert len(world.database.questions) == 1
        world.release(watcher)
        await turns()
        assert world.database.questions == []
        await world.check_empty()


async def test_who_leaves_before_keys_are_asked_for_again_leaves_nothing():
    """The task that is to ask is there, and ends before it begins: nobody is to wait for it."""
    async with World() as world:
        world.database.prompt = False
        coming = world.watching("two", FRIENDS)
        await turns()
        first, second = world.database.questions
        world.bus.lose("one", 0)
        await turns()
        first.answer()
        coming.cancel()
        await turns()
        second.answer()
        await world.quiet()
        await world.check_empty()


async def test_who_comes_later_waits_for_rows_that_are_read_once_more():
    """It cannot be told what is newer, the answer or the row; meanwhile another row is read."""
    async with World("keys") as world:
        for key in "01":
            world.database.now("two", key)
        await world.watch("two")
        world.database.prompt = False
        world.bus.lose("two", 0)
        await turns()
        [everything] = world.database.questions
        everything.look()
        world.database.now("two", "1", owner=1)
        coming = world.watching("two")
        await turns()
        world.database.questions[-1].answer()
        await turns()
        world.database.now("two", "0", owner=2)
        await turns()
        everything.answer()
        await turns()
        assert not coming.done()
        await world.quiet()
        assert (await coming).complaints == []
        world.check_equal()


async def test_a_fence_does_not_wait_for_keys_that_cannot_be_asked_for(monkeypatch, expect_log):
    expect_log("ddpcore.live", "Could not ask the database for one")
    monkeypatch.setattr(observer_module, "RETRY_FIRST", 1e9)
    monkeypatch.setattr(observer_module, "RETRY_MOST", 1e9)
    async with World() as world:
        await with_a_friend(world)
        await the_friend_is_lost(world)
        for question in list(world.database.questions):
            question.fail(OSError())
        world.bus.prompt = True
        fence = asyncio.ensure_future(world.crossbar.fence())
        await turns()
        assert fence.done()


async def test_a_row_that_enters_has_the_links_that_there_are():
    async with World() as world:
        watcher = await world.watch("two", MINE, fields=("tags",))
        world.database.now("two", "1", owner=2)
        world.database.now("one", "1", owner=1, grade=7)
        world.database.now("two", "1", owner=1)
        await world.fence()
        assert watcher.complaints == []
        assert watcher.shown == {"1": {"tags": ["7"]}}


async def test_rows_that_swap_their_keys_have_both():
    class ByOwner(Keys):
        def item(self, key: str, row: Any) -> Any:
            return row["owner"]

    async with World() as world:
        database = world.database
        for key in "12":
            database.now("one", key, owner=int(key))
        query = Rows(database, "two")
        query.predicate = Within("ref", ByOwner(database, "one", EVERYTHING))
        [handle] = await world.crossbar.observe([(query, lambda _: None)])
        [keys] = handle.observer.related
        assert set(keys) == {1, 2}
        transaction = database.begin()
        database.write(transaction, "one", "1", {"owner": 2})
        database.write(transaction, "one", "2", {"owner": 1})
        database.commit(transaction)
        await world.fence()
        assert set(keys) == {1, 2}


async def test_a_row_may_be_linked_before_it_is_made():
    """Within a transaction: references are only checked at its end."""
    async with World() as world:
        watcher = await world.watch("two", fields=("tags",))
        transaction = world.database.begin()
        world.database.write(transaction, "one", "1", {"owner": 1, "grade": 7})
        world.database.write(transaction, "two", "1", {})
        world.database.commit(transaction)
        await world.fence()
        assert watcher.shown == {"1": {"tags": ["7"]}}


async def test_a_row_that_is_made_again_has_no_links():
    async with World() as world:
        watcher = await world.watch("two", fields=("tags",))
        for _ in range(2):
            world.database.now("two", "1")
            await world.fence()
            assert watcher.shown == {"1": {"tags": []}}
            world.database.delete("two", "1")
        assert world.database.asked == ["fetch two"]


async def test_a_row_that_is_made_unmade_and_made_in_a_transaction_is_new():
    async with World() as world:
        watcher = await world.watch("two", fields=("version", "tags"))
        transaction = world.database.begin()
        for values in ({}, None, {}, {"owner": 1}):
            world.database.write(transaction, "two", "1", values)
        world.database.commit(transaction)
        await world.fence()
        assert watcher.shown == {"1": {"version": 4, "tags": []}}
        assert world.database.asked == ["fetch two"]


async def test_a_transaction_is_judged_by_the_keys_at_its_end():
    """Whatever the order of its statements."""
    async with World(whole=True) as world:
        watcher = await with_a_friend(world)
        transaction = world.database.begin()
        world.database.write(transaction, "two", "1", {"ref": 1, "grade": 1})
        world.database.write(transaction, "one", "1", {"owner": 2})
        world.database.commit(transaction)
        world.bus.deliver()
        await turns()
        assert watcher.complaints == []
        await world.quiet()
        assert watcher.complaints == []
        assert watcher.keys == set()


async def test_a_row_and_its_links_change_together():
    """Also where a link does not tell what it links, and the row was written before."""
    async with World(whole=True) as world:
        world.database.now("two", "1")
        world.database.now("one", "1", owner=1, grade=7)
        watcher = await world.watch("two", fields=("version", "tags"))
        world.database.prompt = False
        transaction = world.database.begin()
        world.database.write(transaction, "two", "1", {})
        world.database.write(transaction, "one", "1", {"owner": 1, "grade": 8})
        world.database.commit(transaction)
        await turns()
        assert watcher.log[1:] == []
        await world.quiet()
        assert watcher.complaints == []
        assert watcher.shown["1"]["tags"] == ["8"]


# A row that is read is newer than its event. What is told in between must not be mixed with what is
# known from before: the result is asked for. Stories: transactions, and in them one letter per row.

TOLD, UNTOLD, PARTLY = (), None, {"owner"}
FRIENDS = ("within", MINE, True)


async def play(
    world: World, watcher: Any, story: str, writes: dict[str, Any], deliveries: int
) -> None:
    """Write a story while nothing is delivered or answered; then the one and the other."""
    world.bus.prompt = world.database.prompt = False
    transactions = story.split()
    for letters in transactions:
        transaction = world.database.begin()
        for letter in letters:
            assert world.database.write(transaction, *writes[letter])
        world.database.commit(transaction)
    while world.bus.queue:
        world.bus.deliver(-(-len(transactions) // deliveries))
        for kind in "read", "keys":
            await turns()
            assert watcher.complaints == []
            for question in list(world.database.questions):
                if question.what.startswith(kind):
                    question.answer()
    for question in list(world.database.questions):
        question.answer()
    await turns()
    assert watcher.complaints == []
    await world.quiet()
    assert watcher.complaints == []
    world.check_equal()


@pytest.mark.parametrize("is_asking", [False, True])
@pytest.mark.parametrize("deliveries", [1, 2])
@pytest.mark.parametrize(
    "story",
    ["lu", "ul", "gu", "lp", "pl", "lu u", "tl u", "t l u", "p l u", "u l u", "t l u g u", "l t u"],
)
async def test_links_are_shown_with_the_row_that_they_belong_to(story, deliveries, is_asking):
    """Also where the row must be asked for, and changes that wait for the answer are taken then."""
    async with World(whole=True) as world:
        world.database.now("two", "1", owner=1)
        world.database.now("one", "1", owner=1, grade=5)
        watcher = await world.watch("two", fields=("owner", "version", "tags"))
        if is_asking:
            world.database.prompt = False
            world.bus.lose("two", 0)
            await turns()
            world.database.questions[0].look()
        writes = {
            "t": ("two", "1", {"owner": 2}, TOLD),
            "u": ("two", "1", {"owner": 3}, UNTOLD),
            "p": ("two", "1", {"owner": 4}, PARTLY),
            "l": ("one", "2", {"owner": 1, "grade": 7}),
            "g": ("one", "1", None),
        }
        await play(world, watcher, story, writes, deliveries)


@pytest.mark.parametrize("deliveries", [1, 2, 4])
@pytest.mark.parametrize("story", ["i > u", "i > b u", "u > b o", "p > b o", "i > b x", "i >u"])
async def test_a_row_is_not_judged_by_keys_that_are_newer(story, deliveries):
    """What came in and went out again, or the other way round, between two readings of it."""
    async with World(whole=True) as world:
        world.database.now("one", "0", owner=2)
        world.database.now("one", "1", owner=1)
        world.database.now("two", "0", ref=1)
        watcher = await world.watch("two", FRIENDS, fields=("version",))
        writes = {
            "i": ("one", "0", {"owner": 1}, TOLD),
            "u": ("one", "0", {"owner": 1}, UNTOLD),
            "p": ("one", "0", {"owner": 1}, PARTLY),
            "o": ("one", "0", {"owner": 2}, TOLD),
            "x": ("one", "0", {"owner": 2}, UNTOLD),
            ">": ("two", "0", {"ref": 0}),
            "b": ("two", "0", {"ref": 1}),
        }
        await play(world, watcher, story, writes, deliveries)


@pytest.mark.parametrize("deliveries", [1, 2, 4])
@pytest.mark.parametrize("story", ["i > u", "i > b u", "u > b o", "p > b o", "i > b x"])
async def test_nor_by_keys_that_other_keys_would_change(story, deliveries):
    async with World(whole=True) as world:
        world.database.now("zero", "0", owner=2)
        world.database.now("zero", "1", owner=1)
        world.database.now("one", "0", ref=0)
        world.database.now("one", "1", ref=1)
        world.database.now("two", "0", ref=1)
        watcher = await world.watch("two", ("within", FRIENDS, True), fields=("version",))
        writes = {
            "i": ("zero", "0", {"owner": 1}, TOLD),
            "u": ("zero", "0", {"owner": 1}, UNTOLD),
            "p": ("zero", "0", {"owner": 1}, PARTLY),
            "o": ("zero", "0", {"owner": 2}, TOLD),
            "x": ("zero", "0", {"owner": 2}, UNTOLD),
            ">": ("two", "0", {"ref": 0}),
            "b": ("two", "0", {"ref": 1}),
        }
        await play(world, watcher, story, writes, deliveries)


async def test_links_are_not_shown_where_newer_keys_keep_a_row():
    """The row was not in the result when it was linked, and is another one as it comes back."""
    async with World(whole=True) as world:
        world.database.now("zero", "0", owner=1)
        world.database.now("zero", "1", owner=5, ref=0)
        world.database.now("zero", "2", owner=1)
        watcher = await world.watch("zero", FRIENDS, fields=("version", "tags"))
        writes = {
            "o": ("zero", "0", {"owner": 2}, TOLD),
            "u": ("zero", "0", {"owner": 1}, UNTOLD),
            "l": ("one", "1", {"owner": 1, "grade": 7}),
            "b": ("zero", "1", {"ref": 2}),
        }
        await play(world, watcher, "o l b u", writes, 1)


async def test_a_link_that_is_changed_and_then_deleted_is_gone_as_it_was():
    async with World() as world:
        world.database.now("two", "1")
        for key, grade in ("1", 7), ("2", 8):
            world.database.now("one", key, owner=1, grade=grade)
        watcher = await world.watch("two", fields=("tags",))
        transaction = world.database.begin()
        world.database.write(transaction, "one", "1", {"owner": 1, "grade": 8})
        world.database.write(transaction, "one", "1", None)
        world.database.commit(transaction)
        await world.fence()
        assert watcher.shown == {"1": {"tags": ["8"]}}


async def test_what_was_read_once_is_not_read_again():
    async with World() as world:
        watcher = await world.watch("two")
        world.bus.prompt = False
        for owner in range(3):
            world.database.now("two", "1", owner=owner, lacks=None)
        for _ in range(3):
            world.bus.deliver(1)
            await turns()
        assert world.database.asked == ["fetch two", "read two"]
        assert watcher.shown["1"]["owner"] == 2


async def test_a_row_that_was_read_before_the_first_result_is_not_newer():
    """It was asked for before, and answered after."""
    async with World("keys") as world:
        await world.watch("two")
        world.database.prompt = False
        world.database.now("two", "1")
        await turns()
        [reading] = world.database.questions
        reading.look()
        world.bus.prompt = False
        world.database.now("two", "1")
        coming = world.watching("two", ("null", "owner"))
        await turns()
        world.database.questions[-1].answer()
        watcher = await coming
        assert watcher.shown["1"]["version"] == 2
        reading.answer()
        await turns()
        assert watcher.complaints == []
        await world.quiet()
        assert watcher.complaints == []
        world.check_equal()


async def test_an_error_of_ours_has_everything_asked_again(expect_log):
    """And who waits for a change that was in hand waits for the answer."""
    expect_log("ddpcore.live", "Changes could not be dealt with")
    async with World() as world:
        watcher = await world.watch("one", ("constant", True))
        deal_with = world.crossbar._deal_with

        def fail(*_: Any) -> None:
            world.crossbar._deal_with = deal_with
            raise ZeroDivisionError

        world.crossbar._deal_with = fail
        world.database.now("one", "1", owner=1)
        world.database.now("one", "2", owner=2)
        await world.crossbar.fence()
        assert watcher.keys == {"1", "2"}
        world.check_equal()
