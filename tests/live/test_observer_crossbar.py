"""Live queries over a table in memory: whatever happens, who watches ends up with the table."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_client import turns

from ddpcore import Change, DDPError, Document, Gap, LiveQuery, MemoryBus, Op
from ddpcore.live import observer as observer_module
from ddpcore.live.crossbar import Crossbar
from ddpcore.live.document import Step
from ddpcore.wire.frame import Frame


class Table:
    """Rows in memory, and a bus that hears of what is committed."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.bus = Bus()
        self.fetches = 0
        self.failures = 0
        self.cancelled = False
        self.gate: asyncio.Event | None = None

    async def write(self, topic: str, key: str, value: int | None) -> None:
        op = Op.DELETE if value is None else Op.UPDATE
        if value is None:
            self.rows.pop(f"{topic}/{key}", None)
        else:
            self.rows[f"{topic}/{key}"] = value
        await self.bus.publish(Change(topic, op, key))

    async def ask(self) -> None:
        """What every question to the database goes through."""
        self.fetches += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.cancelled:
            self.cancelled = False
            raise asyncio.CancelledError
        if self.failures:
            self.failures -= 1
            raise OSError("the database is away")


class Bus(MemoryBus):
    def __init__(self) -> None:
        super().__init__()
        self.subscribing: asyncio.Event | None = None
        self.lossy = False

    @property
    def topics(self) -> set[str]:
        return self._topics

    async def subscribe(self, topic: str) -> None:
        if self.subscribing is not None:
            await self.subscribing.wait()
        await super().subscribe(topic)

    async def publish(self, change: Change) -> None:
        if not self.lossy:
            await super().publish(change)

    def gap(self, topic: str | None = None) -> None:
        assert self._deliver is not None
        self._deliver(Gap(topic))


class Query(LiveQuery):
    """The rows of some topics whose value is at least `least`."""

    def __init__(self, table: Table, *topics: str, least: int = 0, by_row: bool = True) -> None:
        self.table = table
        self.least = least
        self.by_row = by_row
        self.collection = "+".join(topics)
        self.topics = frozenset(topics)
        self.key = (topics, least, by_row)
        self.during: Callable[[], Any] = lambda: None

    async def fetch(self) -> Mapping[str, Document]:
        found = self.read()
        self.during()
        await self.table.ask()
        return found

    async def fetch_rows(self, keys: Any) -> Mapping[str, Document]:
        await self.table.ask()
        found = self.read()
        return {key: found[key] for key in keys if key in found}

    def read(self) -> dict[str, Document]:
        found = {}
        for name, value in self.table.rows.items():
            topic, _, key = name.partition("/")
            if topic in self.topics and value >= self.least:
                id = name if len(self.topics) > 1 else key
                found[id] = Document.of(self.collection, id, {"value": value})
        return found

    def row_of(self, change: Change) -> str | None:
        return change.key if self.by_row and len(self.topics) == 1 else None


class Watcher:
    """Holds what it was told, and insists on being told in steps that fit."""

    def __init__(self, log: list[Any] | None = None) -> None:
        self.documents: dict[str, Document] = {}
        self.log: list[Any] = [] if log is None else log

    def take(self, step: Step) -> None:
        document = step.document
        assert self.documents.get(document.id) is step.before
        assert step.frame is not None
        value = None if step.after is None else step.after.fields["value"]
        self.log.append((document.collection, document.id, value))
        if step.after is None:
            del self.documents[document.id]
        else:
            self.documents[document.id] = step.after

    def values(self) -> dict[str, int]:
        return {id: document.fields["value"] for id, document in self.documents.items()}


class World:
    """A table, a crossbar over its bus, and as many watchers as wanted."""

    def __init__(self) -> None:
        self.table = Table()
        self.crossbar = Crossbar(self.table.bus)
        self.watching: list[tuple[Watcher, Query, Any]] = []

    async def __aenter__(self) -> Self:
        await self.table.bus.start(self.crossbar.deliver)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.crossbar.stop()
        await self.table.bus.stop()

    async def watch(self, *topics: str, log: list[Any] | None = None, **options: Any) -> Watcher:
        watcher, query = Watcher(log), Query(self.table, *topics, **options)
        [handle] = await self.crossbar.observe([(query, watcher.take)])
        self.watching.append((watcher, query, handle))
        return watcher

    def release(self, position: int) -> None:
        _, _, handle = self.watching.pop(position)
        self.crossbar.release(handle)

    def assert_equal(self) -> None:
        for watcher, query, _ in self.watching:
            assert watcher.documents == {
                document.id: Same(document) for document in query.read().values()
            }


class Same:
    def __init__(self, document: Document) -> None:
        self.document = document

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Document) and other.fields == self.document.fields


async def test_a_watcher_gets_what_is_there_and_then_what_happens():
    async with World() as world:
        await world.table.write("t", "1", 1)
        watcher = await world.watch("t")
        assert watcher.log == [("t", "1", 1)]
        await world.table.write("t", "1", 2)
        await world.table.write("t", "1", None)
        await world.table.write("t", "2", 5)
        await world.crossbar.settled()
        assert watcher.values() == {"2": 5}


async def test_equal_queries_share_one_observer_and_one_fetch():
    async with World() as world:
        await world.watch("t")
        await world.watch("t")
        assert world.crossbar.observers == 1
        assert world.table.fetches == 1
        await world.watch("t", least=5)
        assert world.crossbar.observers == 2


async def test_a_thousand_first_subscribers_cost_one_fetch():
    async with World() as world:
        await world.table.write("t", "1", 1)
        watchers = await asyncio.gather(*(world.watch("t") for _ in range(1_000)))
        assert world.table.fetches == 1
        assert all(watcher.values() == {"1": 1} for watcher in watchers)
        await world.table.write("t", "1", 2)
        await world.crossbar.settled()
        assert world.table.fetches == 2
        assert all(watcher.values() == {"1": 2} for watcher in watchers)


async def test_who_joins_sees_all_that_was_committed_before():
    class SlowBus(Bus):
        """What is published arrives late, as over a network; a fence waits for it."""

        late: list[Change]

        async def publish(self, change: Change) -> None:
            self.late.append(change)

        async def fence(self) -> None:
            late, self.late = self.late, []
            for change in late:
                await super().publish(change)

    async with World() as world:
        world.table.bus.__class__ = SlowBus
        world.table.bus.late = []
        await world.watch("a")
        await world.table.write("a", "1", 1)
        second = await world.watch("a")
        assert set(second.documents) == {"1"}


class Client(Watcher):
    """One of a kind that is told together."""

    together = 0

    @staticmethod
    def take_together(clients: list[Client], steps: list[Step], frames: list[Frame]) -> None:
        assert frames == [step.frame for step in steps]
        for client in clients:
            client.together += 1
            for step in steps:
                client.take(step)

    def leave(self) -> None:
        pass


async def test_watchers_of_several_kinds_and_none_that_left_is_kept():
    async with World() as world:
        query = Query(world.table, "t")
        functions = [await world.watch("t") for _ in range(2)]
        clients = [Client() for _ in range(3)]
        handles = await world.crossbar.observe([(query, client) for client in clients])
        await world.table.write("t", "1", 1)
        await world.crossbar.settled()
        world.crossbar.release(handles.pop())
        left = weakref.ref(clients.pop())
        gc.collect()
        assert left() is None
        await world.table.write("t", "1", 2)
        await world.crossbar.settled()
        assert [each.values() for each in (*functions, *clients)] == [{"1": 2}] * 4
        assert [each.together for each in clients] == [2, 2]


async def test_the_last_one_leaving_frees_everything():
    async with World() as world:
        await world.watch("t", "u")
        await world.watch("t", "u")
        assert world.table.bus.topics == {"t", "u"}
        observer = weakref.ref(world.watching[0][2].observer)
        world.release(0)
        await turns()
        assert world.table.bus.topics == {"t", "u"}
        world.release(0)
        await turns()
        assert world.crossbar.observers == 0
        assert world.table.bus.topics == set()
        gc.collect()
        assert observer() is None


async def test_who_leaves_while_it_listens_leaves_no_topic_behind():
    async with World() as world:
        world.table.bus.subscribing = asyncio.Event()
        watching = asyncio.ensure_future(world.watch("t", "u", "v"))
        await turns()
        watching.cancel()
        await asyncio.wait([watching])
        world.table.bus.subscribing.set()
        await turns(30)
        assert world.table.bus.topics == set()
        assert world.crossbar.observers == 0


async def test_a_change_while_the_first_fetch_runs_is_not_lost():
    async with World() as world:
        world.table.gate = asyncio.Event()
        watching = asyncio.ensure_future(world.watch("t"))
        await turns()
        await world.table.write("t", "1", 1)  # the fetch has read already
        world.table.gate.set()
        watcher = await watching
        await world.crossbar.settled()
        assert watcher.values() == {"1": 1}


async def test_within_a_table_changes_keep_their_order():
    async with World() as world:
        log: list[Any] = []
        await world.watch("t", log=log)
        for key in "3142":
            await world.table.write("t", key, 1)
        await world.crossbar.settled()
        assert [key for _, key, _ in log] == ["3", "1", "4", "2"]


async def test_a_hung_question_holds_up_only_who_needs_the_answer():
    async with World() as world:
        slow, quick = await world.watch("t"), await world.watch("u")
        world.table.gate = asyncio.Event()
        await world.table.write("t", "1", 1)
        await turns()
        world.table.gate, gate = None, world.table.gate
        await world.table.write("u", "1", 1)
        await world.crossbar.fence([world.watching[1][2]])
        assert (slow.values(), quick.values()) == ({}, {"1": 1})
        gate.set()
        await world.crossbar.fence()
        assert slow.values() == {"1": 1}


async def test_a_fence_does_not_wait_for_ever(expect_log):
    expect_log("ddpcore.live", "A fence waited for 0.01 s")
    async with World() as world:
        world.crossbar._patience = 0.01
        await world.watch("t")
        world.table.gate = asyncio.Event()
        await world.table.write("t", "1", 1)
        await world.crossbar.fence()
        world.table.gate.set()


async def test_a_row_without_visible_change_sends_nothing():
    async with World() as world:
        await world.table.write("t", "1", 1)
        watcher = await world.watch("t")
        kept = watcher.documents["1"]
        await world.table.write("t", "1", 1)
        await world.crossbar.settled()
        assert watcher.log == [("t", "1", 1)]
        assert world.watching[0][2].observer.items["1"] is kept


async def test_a_gap_has_everything_asked_again():
    async with World() as world:
        watcher = await world.watch("t")
        world.table.bus.lossy = True
        await world.table.write("t", "1", 1)
        world.table.bus.gap()
        await world.crossbar.settled()
        assert watcher.values() == {"1": 1}


async def test_a_failed_first_fetch_reaches_everybody_and_frees_everything():
    async with World() as world:
        world.table.failures = 1
        outcomes = await asyncio.gather(
            *(world.watch("t") for _ in range(3)), return_exceptions=True
        )
        assert [type(each) for each in outcomes] == [OSError] * 3
        await turns()
        assert world.crossbar.observers == 0
        assert world.table.bus.topics == set()
        await world.watch("t")


async def test_a_first_fetch_that_is_cancelled_is_a_failure_of_its_own():
    """Who waits for the result has not been cancelled."""
    async with World() as world:
        world.table.cancelled = True
        with pytest.raises(DDPError):
            await world.watch("a")
        assert world.crossbar.observers == 0
        await world.watch("a")


async def test_one_failing_query_of_several_leaves_the_others_unwatched():
    class Wrong(Query):
        key = property(lambda _: [])  # type: ignore[assignment]

        def __init__(self) -> None:
            """Has no key that could be looked up."""

    async with World() as world:
        fine = Query(world.table, "t")
        with pytest.raises(TypeError):
            await world.crossbar.observe([(fine, Watcher().take), (Wrong(), Watcher().take)])
        await turns()
        assert world.crossbar.observers == 0


async def test_a_watcher_that_fails_at_first_is_not_kept():
    def refuse(step: Step) -> None:
        raise ValueError("no")

    async with World() as world:
        await world.table.write("t", "1", 1)
        with pytest.raises(ValueError, match="no"):
            await world.crossbar.observe([(Query(world.table, "t"), refuse)])
        assert world.crossbar.observers == 0


async def test_a_watcher_that_fails_later_hurts_no_other(expect_log):
    expect_log("ddpcore.live", "A watcher failed")
    async with World() as world:
        await world.crossbar.observe([(Query(world.table, "t"), lambda _: 1 / 0)])
        watcher = await world.watch("t")
        await world.table.write("t", "1", 1)
        await world.crossbar.settled()
        assert watcher.values() == {"1": 1}


@pytest.mark.parametrize("problem", [OSError("away"), asyncio.CancelledError(), ValueError()])
async def test_what_could_not_be_asked_is_asked_again(problem, expect_log, monkeypatch):
    expect_log("ddpcore.live", "Could not ask the database for t")
    monkeypatch.setattr(observer_module, "RETRY_FIRST", 0.0)
    async with World() as world:
        watcher = await world.watch("t")
        other = await world.watch("u")
        asked = world.table.ask

        async def fail() -> None:
            world.table.ask = asked
            raise problem

        world.table.ask = fail
        await world.table.write("t", "1", 1)
        await world.table.write("u", "1", 1)
        await world.crossbar.settled()
        while not watcher.values():
            await asyncio.sleep(0)
        assert watcher.values() == other.values() == {"1": 1}


async def test_a_document_that_cannot_be_sent_stops_nobody_else(expect_log):
    expect_log("ddpcore.live", "Could not ask the database for t")
    async with World() as world:
        await world.watch("t")
        await world.watch("u")
        query = world.watching[0][1]
        query.read = lambda: {"1": Document(object(), "1", {})}
        await world.table.write("t", "1", 1)
        await world.table.write("u", "1", 1)
        await world.crossbar.settled()
        assert world.watching[1][0].values() == {"1": 1}


async def test_settled_waits_for_a_slow_question():
    async with World() as world:
        watcher = await world.watch("t")
        world.table.gate = asyncio.Event()
        await world.table.write("t", "1", 1)
        settled = asyncio.ensure_future(world.crossbar.settled())
        await turns()
        await world.table.write("t", "2", 2)  # later than the call: need not be waited for
        assert not settled.done()
        world.table.gate.set()
        await settled
        assert watcher.values()["1"] == 1


async def test_settled_does_not_wait_for_who_has_left():
    async with World() as world:
        await world.watch("t")
        world.table.gate = asyncio.Event()
        await world.table.write("t", "1", 1)
        settled = asyncio.ensure_future(world.crossbar.settled())
        await turns()
        world.release(0)
        await settled


async def test_a_fence_does_not_wait_for_who_left_in_the_act():
    """While one of two changes was dealt with; the other one concerns nobody any more."""
    async with World() as world:
        watcher = await world.watch("t")
        [(_, _, handle)] = world.watching
        handle.watcher.take = lambda step: (watcher.take(step), world.crossbar.release(handle))
        world.table.gate = asyncio.Event()
        await world.table.write("t", "1", 1)
        await turns()
        await world.table.write("t", "2", 2)
        world.table.gate.set()
        await turns()
        fence = asyncio.ensure_future(world.crossbar.fence([handle]))
        await turns()
        assert fence.done()
        await fence


async def test_settled_with_nothing_to_do_returns_at_once():
    async with World() as world:
        await world.watch("t")
        await world.crossbar.settled()
        await world.crossbar.fence()


async def test_stop_releases_whoever_waits():
    async with World() as world:
        await world.watch("t")
        world.table.gate = asyncio.Event()
        await world.table.write("t", "1", 1)
        settled = asyncio.ensure_future(world.crossbar.settled())
        watching = asyncio.ensure_future(world.watch("t", least=1))
        await turns()
        await world.crossbar.stop()
        await settled
        await asyncio.wait([watching])
        assert watching.cancelled()


async def test_stop_releases_whoever_has_just_come():
    async with World() as world:
        watching = asyncio.ensure_future(world.watch("t"))
        await asyncio.sleep(0)  # its first fetch has been asked for, and has not begun
        await world.crossbar.stop()
        await asyncio.wait([watching])
        assert watching.cancelled()


async def test_after_the_stop_nothing_waits_for_ever():
    async with World() as world:
        await world.watch("t")
        await world.crossbar.stop()
        await world.table.write("t", "1", 1)
        await world.crossbar.fence()
        with pytest.raises(DDPError, match="stopped"):
            await world.watch("u")


async def test_observers_do_not_run_in_the_context_of_a_handler():
    variable: contextvars.ContextVar[str | None] = contextvars.ContextVar("v", default=None)
    seen: list[str | None] = []

    async with World() as world:
        query = Query(world.table, "t", by_row=False)
        query.during = lambda: seen.append(variable.get())

        async def handler() -> None:
            variable.set("mine")
            await world.crossbar.observe([(query, Watcher().take)])
            await world.table.write("t", "1", 1)

        await asyncio.create_task(handler())
        await world.crossbar.settled()
        assert seen == [None, None]


actions = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from("tu"), st.sampled_from("123"), st.integers(0, 3)),
        st.tuples(st.just("delete"), st.sampled_from("tu"), st.sampled_from("123")),
        st.tuples(st.just("lost"), st.sampled_from("tu"), st.sampled_from("123"), st.integers(0, 3)),
        st.tuples(st.just("watch"), st.sampled_from(["t", "u", "tu"]), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("release"), st.integers(0, 9)),
        st.tuples(st.just("fail"), st.integers(1, 2)),
        st.tuples(st.just("slow")),
        st.tuples(st.just("fast")),
        st.tuples(st.just("turns"), st.integers(1, 4)),
        st.tuples(st.just("settle")),
    ),
    max_size=40,
)  # fmt: skip


@pytest.fixture
def allow_retries(log_watch, monkeypatch):
    monkeypatch.setattr(observer_module, "RETRY_FIRST", 0.0)
    log_watch.expect("ddpcore.live", "Could not ask the database", required=False)


@pytest.mark.usefixtures("allow_retries")
@given(actions)
@settings(max_examples=120, deadline=None)
def test_once_quiet_every_watcher_equals_the_table(schedule):
    asyncio.run(live_through(schedule))


async def live_through(schedule):
    async with World() as world:
        table, waiting = world.table, []
        for name, *rest in schedule:
            match name:
                case "write" | "delete":
                    topic, key, *value = rest
                    await table.write(topic, key, value[0] if value else None)
                case "lost":
                    table.bus.lossy = True
                    await table.write(*rest)
                    table.bus.lossy = False
                    table.bus.gap(rest[0])
                case "watch":
                    topics, least, by_row = rest
                    watch = world.watch(*topics, least=least, by_row=by_row)
                    waiting.append(asyncio.ensure_future(watch))
                case "release" if world.watching:
                    world.release(rest[0] % len(world.watching))
                case "fail":
                    table.failures = rest[0]
                case "slow" if table.gate is None:
                    table.gate = asyncio.Event()
                case "fast" if table.gate is not None:
                    table.gate.set()
                    table.gate = None
                case "turns":
                    await turns(rest[0])
                case "settle":
                    waiting.append(asyncio.ensure_future(world.crossbar.fence()))
        if table.gate is not None:
            table.gate.set()
            table.gate = None
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            assert not isinstance(outcome, BaseException) or isinstance(outcome, OSError)
        await world.crossbar.fence()
        if any(observer.failures for observer in world.crossbar._observers.values()):
            await turns(200)  # they are waiting for their next try, which is at once
            await world.crossbar.fence()
        world.assert_equal()
        while world.watching:
            world.release(0)
        await turns(20)
        assert world.crossbar.observers == 0
        assert table.bus.topics == set()
        assert world.crossbar._polled == {}
        assert world.crossbar._tables == {}
