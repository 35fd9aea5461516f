"""Observers that decide in memory: whatever happens, and in whatever order, they show the table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_client import turns
from memory_database import COLUMNS, TOPICS, MemoryDatabase, Rows

from ddpcore import Document
from ddpcore.live import observer as observer_module
from ddpcore.live.crossbar import Crossbar
from ddpcore.live.document import Step

EVERYTHING = ("constant", True)


class Watcher:
    """Holds what it was told, and complains of what never was.

    For each row the states that it is shown must be states that there were, in that order.
    """

    def __init__(self, database: MemoryDatabase, query: Rows, log: list[Any] | None = None) -> None:
        self.database = database
        self.query = query
        self.log: list[Any] = [] if log is None else log
        self.documents: dict[str, Document] = {}
        self.complaints: list[str] = []
        self.handle: Any = None
        self.during: Callable[[], Any] = lambda: None
        self._since = len(database.points) - 1
        self._reached: dict[str, int] = {}
        self._expected: list[dict[str, Any]] = []

    def take(self, step: Step) -> None:
        document = step.document
        if self.documents.get(document.id) is not step.before:
            self.complaints.append(f"{step} does not follow {self.documents.get(document.id)}")
        if step.after is None:
            del self.documents[document.id]
        else:
            self.documents[document.id] = step.after
        fields = None if step.after is None else step.after.fields
        self.log.append((document.collection, document.id, fields and fields.get("version")))
        self._reach(document.id, 0)
        self.during()

    def _reach(self, key: str, least: int) -> None:
        document = self.documents.get(key)
        shown = None if document is None else document.fields
        at = max(self._reached.get(key, self._since), least)
        while at < len(self.database.points):
            if self._at(at).get(key) == shown:
                self._reached[key] = at
                return
            at += 1
        self.complaints.append(f"{self.query.key}: {key} {shown} was not so at or after {at}")

    def _at(self, point: int) -> dict[str, Any]:
        for each in self.database.points[len(self._expected) : point + 1]:
            self._expected.append(self.query.expected(each))
        return self._expected[point]

    def settle_up(self, point: int) -> None:
        """All that there was up to a point must have been shown, or something later."""
        for key in {key for topic, key in self.database.state} | set(self.documents):
            self._reach(key, point)

    @property
    def shown(self) -> dict[str, Any]:
        return {key: document.fields for key, document in self.documents.items()}

    @property
    def keys(self) -> set[str]:
        return set(self.documents)


class World:
    """A database, a crossbar over its bus, and as many watchers as wanted."""

    def __init__(self, flavour: Any = "snapshots", patience: float = 30.0) -> None:
        self.database = MemoryDatabase(flavour)
        self.bus = self.database.bus
        self.crossbar = Crossbar(self.bus, patience=patience)
        self.watchers: list[Watcher] = []

    async def __aenter__(self) -> Self:
        await self.bus.start(self.crossbar.deliver)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.crossbar.stop()
        await self.bus.stop()

    async def watch(
        self, topic: str, condition: Any = EVERYTHING, log: Any = None, **options: Any
    ) -> Watcher:
        query = Rows(self.database, topic, condition, **options)
        watcher = Watcher(self.database, query, log)
        [watcher.handle] = await self.crossbar.observe([(query, watcher.take)])
        self.watchers.append(watcher)
        return watcher

    def watching(self, *args: Any, **options: Any) -> asyncio.Task[Watcher]:
        return asyncio.ensure_future(self.watch(*args, **options))

    def release(self, watcher: Watcher) -> None:
        self.watchers.remove(watcher)
        self.crossbar.release(watcher.handle)

    async def fence(self) -> None:
        """A fence, and what it promises."""
        point, watchers = self.database.commits[-1], list(self.watchers)
        await self.crossbar.fence()
        for watcher in watchers:
            if watcher in self.watchers and not watcher.handle.observer.stuck:
                watcher.settle_up(point)

    async def quiet(self) -> None:
        """Let everything happen that is under way, deliveries and answers included."""
        self.bus.prompt = self.database.prompt = True
        while True:
            self.bus.deliver()
            for question in list(self.database.questions):
                question.answer()
            await turns(30)
            if not self.bus.queue and not self.database.questions:
                break
        await self.fence()

    def check(self) -> None:
        """What must hold at any time."""
        for watcher in self.watchers:
            assert watcher.complaints == []
        known = set(map(id, self.crossbar._observers.values()))
        for table in self.crossbar._tables.values():
            assert {id(observer) for observer in table.index} <= known
            for holders in table.index._holders.values():
                assert {id(observer) for observer in holders} <= known

    def check_equal(self) -> None:
        for watcher in self.watchers:
            assert watcher.shown == watcher.query.expected(self.database.state)

    async def check_empty(self) -> None:
        for watcher in list(self.watchers):
            self.release(watcher)
        await turns(30)
        crossbar = self.crossbar
        assert (crossbar._observers, crossbar._tables, crossbar._polled) == ({}, {}, {})
        assert crossbar._linked == {}
        assert self.bus.listening == set()
        assert self.database.questions == []
        assert crossbar._tasks == set()


@pytest.fixture
def allow_retries(log_watch, monkeypatch):
    monkeypatch.setattr(observer_module, "RETRY_FIRST", 0.0)
    log_watch.expect("ddpcore.live", "Could not (ask|read)", required=False)


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
        for each in world.database.questions:
            each.answer()
        await turns()
        [keys] = [each for each in world.crossbar._observers.values() if each.name == "one"]
        assert keys.asking
        await world.quiet()
        assert not keys.asking
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


async def test_rows_that_are_not_read_in_time_have_everything_asked_again(expect_log):
    expect_log("ddpcore.live", "Could not read changed rows of two")
    async with World(patience=0.01) as world:
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


# Any schedule


def conditions(depth: int) -> st.SearchStrategy[Any]:
    values = st.frozensets(st.integers(0, 2), max_size=2)
    plain = st.one_of(
        st.tuples(st.just("equals"), st.sampled_from(COLUMNS), values),
        st.tuples(st.just("above"), st.sampled_from(("owner", "grade")), st.integers(0, 1)),
        st.tuples(st.just("null"), st.sampled_from(COLUMNS)),
        st.tuples(st.just("constant"), st.sampled_from((True, False, None))),
    )
    if depth:
        within = st.tuples(st.just("within"), conditions(depth - 1), st.booleans())
        plain = st.one_of(within, within, plain)
    return st.recursive(
        plain,
        lambda parts: st.one_of(
            st.tuples(st.just("not"), parts),
            st.tuples(st.sampled_from(("and", "or", "xor")), parts, parts),
        ),
        max_leaves=3,
    )


small = st.one_of(st.none(), st.integers(0, 2))
topics = st.sampled_from(TOPICS)
writes = st.tuples(
    topics,
    st.sampled_from("012"),
    st.one_of(st.none(), st.fixed_dictionaries(dict.fromkeys(COLUMNS, small))),
    st.one_of(
        st.just(()), st.just(()), st.none(), st.frozensets(st.sampled_from(COLUMNS), max_size=2)
    ),
)
one_action = st.one_of(
    st.tuples(st.just("now"), writes),
    st.tuples(st.just("now"), writes),
    st.tuples(st.just("write"), st.integers(0, 2), writes),
    st.tuples(st.just("write"), st.integers(0, 2), writes),
    st.tuples(st.just("commit"), st.integers(0, 2), st.sampled_from((False, False, True))),
    st.tuples(st.just("commit"), st.integers(0, 2), st.just(False)),
    st.tuples(st.just("rollback"), st.integers(0, 2)),
    st.tuples(st.just("deliver"), st.integers(1, 4)),
    st.tuples(st.just("late"), st.booleans()),
    st.tuples(st.just("slow"), st.booleans()),
    st.tuples(st.just("look"), st.integers(0, 3)),
    st.tuples(st.just("answer"), st.integers(0, 3)),
    st.tuples(st.just("answer"), st.integers(0, 3)),
    st.tuples(st.just("fail"), st.integers(0, 3), st.sampled_from((OSError, TimeoutError, asyncio.CancelledError))),
    st.tuples(st.just("lose"), st.sampled_from((None, *TOPICS)), st.integers(0, 3)),
    st.tuples(st.just("watch"), st.integers(0, 3)),
    st.tuples(st.just("watch"), st.integers(0, 3)),
    st.tuples(st.just("release"), st.integers(0, 3)),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
    st.tuples(st.just("fence")),
)  # fmt: skip
queries = st.lists(
    st.tuples(
        topics,
        conditions(2),
        st.sampled_from(
            (("version", *COLUMNS), ("version", "owner"), ("owner",), ("grade", "tags"))
        ),
    ),
    min_size=1,
    max_size=4,
).map(lambda queries: [each for each in queries if each[0] != "one" or "tags" not in each[2]])
schedules = st.tuples(
    st.booleans(),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from((0, 1, 3, 20, 20)), one_action), max_size=50),
)


@pytest.mark.usefixtures("allow_retries")
@given(st.sampled_from(("snapshots", "snapshots", "xids", "keys")), queries, schedules)
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_once_quiet_every_watcher_equals_the_table(log_watch, flavour, queries, schedule):
    log_watch.unexpected.clear()
    asyncio.run(live_through(flavour, queries, schedule))
    assert log_watch.unexpected == []


async def live_through(flavour, queries, schedule):
    late, slow, schedule = schedule
    async with World(flavour, patience=1.0) as world:
        database, bus = world.database, world.bus
        for topic in TOPICS:
            for key in "012":
                database.now(topic, key, owner=int(key), grade=1, ref=int(key))
        for topic, condition, fields in queries:
            await world.watch(topic, condition, fields=fields)
        bus.prompt, database.prompt = not late, not slow
        transactions: dict[int, Any] = {}
        waiting: list[asyncio.Task[Any]] = []
        fences: list[asyncio.Task[Any]] = []
        cancelled = []

        def pick(number: int, among: Any) -> Any:
            return among[number % len(among)] if among else None

        for pause, (name, *rest) in schedule:
            match name:
                case "now":
                    transaction = database.begin()
                    database.write(transaction, *rest[0])
                    database.commit(transaction)
                case "write":
                    slot, write = rest
                    if slot not in transactions:
                        transactions[slot] = database.begin()
                    database.write(transactions[slot], *write)
                case "commit" if rest[0] in transactions:
                    database.commit(transactions.pop(rest[0]), rest[1])
                case "rollback" if rest[0] in transactions:
                    database.rollback(transactions.pop(rest[0]))
                case "deliver":
                    bus.deliver(rest[0])
                case "late":
                    bus.prompt = not rest[0]
                    if bus.prompt:
                        bus.deliver()
                case "slow":
                    database.prompt = not rest[0]
                case "look" if database.questions:
                    pick(rest[0], database.questions).look()
                case "answer" if database.questions:
                    pick(rest[0], database.questions).answer()
                case "fail" if database.questions:
                    pick(rest[0], database.questions).fail(rest[1]())
                case "lose":
                    bus.lose(*rest)
                case "watch" if queries:
                    topic, condition, fields = pick(rest[0], queries)
                    waiting.append(world.watching(topic, condition, fields=fields))
                case "release" if world.watchers:
                    world.release(pick(rest[0], world.watchers))
                case "cancel" if waiting:
                    cancelled.append(pick(rest[0], waiting))
                    cancelled[-1].cancel()
                case "fence":
                    fences.append(asyncio.ensure_future(world.fence()))
            await turns(pause)
            world.check()
        for transaction in transactions.values():
            database.rollback(transaction)
        await world.quiet()
        await asyncio.gather(*fences)
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(outcome, Watcher | OSError | TimeoutError | asyncio.CancelledError)
        await world.quiet()
        world.check()
        world.check_equal()
        await world.check_empty()
