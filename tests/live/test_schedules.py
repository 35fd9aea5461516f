"""Whatever happens, and in whatever order: everybody is shown what there was, as it was.

Each focus makes one kind of race likely: many versions of few rows, links, joins, or anything.
Deliveries are late and answers slow from the beginning, more often than not.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from memory_client import turns
from memory_database import COLUMNS, TOPICS
from memory_world import EVERYTHING, Watcher, World

from ddpcore import DDPError
from ddpcore.live import observer as observer_module


@pytest.fixture
def allow_retries(log_watch, monkeypatch):
    monkeypatch.setattr(observer_module, "RETRY_FIRST", 0.0)
    log_watch.expect("ddpcore.live", "Could not (ask|read)", required=False)


# What is watched, and what is written


class Writes(NamedTuple):
    """Rows of a topic that are written, or deleted: choices.

    Attributes:
        lacks: The columns that do not travel; None: all.
        deleted: How many of a hundred times the row is deleted.
    """

    topic: str
    keys: str
    columns: dict[str, tuple[int | None, ...]]
    lacks: tuple[Any, ...] = ((),)
    deleted: int = 25

    def one(self, chance: Random) -> tuple[str, str, dict[str, Any] | None, Any]:
        values = {name: chance.choice(some) for name, some in self.columns.items()}
        key, lacks = chance.choice(self.keys), chance.choice(self.lacks)
        return (self.topic, key, None if chance.randrange(100) < self.deleted else values, lacks)


class Focus(NamedTuple):
    """A kind of race.

    Attributes:
        flavours: Of the database.
        queries: Lists of topic, condition, fields.
        writes: What is written, each as likely as the others.
        rows: What there is at first: topic → keys.
        constrained: Whether links lead to rows that there are; see `MemoryDatabase`.
        exact: Whether results must be right as a whole, since every event tells everything.
    """

    flavours: tuple[str, ...]
    queries: st.SearchStrategy[Any]
    writes: tuple[Writes, ...]
    rows: dict[str, str]
    exact: bool = False
    constrained: bool = False


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


def some(queries: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Any]:
    return st.lists(queries, min_size=1, max_size=most)


MINE = ("equals", "owner", frozenset({1}))
NOBODYS = ("null", "owner")
ALL, WHOSE, VERSION = ("version", *COLUMNS), ("version", "owner"), ("version",)
EVERY = ("snapshots", "snapshots", "xids", "keys")
SMALL = (None, 0, 1, 2)
LINKS = ((), (), (), (), None, {"grade"})
JOINED = ((), (), (), None, {"ref"})
ANYTHING = dict.fromkeys(COLUMNS, SMALL)
FRIENDS = ("within", MINE, True)
JOINS = (
    FRIENDS,
    ("within", MINE, False),
    ("not", FRIENDS),
    ("or", FRIENDS, NOBODYS),
    ("within", FRIENDS, True),
    ("within", ("not", FRIENDS), True),
    ("and", FRIENDS, MINE),
)

FOCUSES = {
    "anything": Focus(
        EVERY,
        some(
            st.tuples(
                st.sampled_from(TOPICS), conditions(2), st.sampled_from((ALL, WHOSE, ("owner",)))
            )
        ),
        tuple(
            Writes(topic, "012", ANYTHING, ((), (), None, {"owner"}, {"ref", "version"}))
            for topic in TOPICS
        ),
        dict.fromkeys(TOPICS, "012"),
    ),
    "versions": Focus(
        EVERY,
        some(
            st.tuples(
                st.just("two"),
                st.sampled_from((EVERYTHING, MINE, NOBODYS, ("not", MINE))),
                st.sampled_from((WHOSE, VERSION)),
            )
        ),
        (Writes("two", "0001", {"owner": (0, 1, None)}, ((), (), None, {"owner"})),),
        {"two": "0"},
    ),
    "links": Focus(
        EVERY,
        some(
            st.tuples(
                st.just("two"),
                st.sampled_from((EVERYTHING, MINE)),
                st.sampled_from((("version", "tags"), ("tags",), ("owner", "tags"))),
            )
        ),
        (
            Writes("two", "01", {"owner": (0, 1)}, ((), (), (), None, {"owner"})),
            *[Writes("one", "012", {"owner": (0, 1), "grade": (9, 10, 2)}, LINKS, deleted=50)] * 3,
        ),
        {"two": "01"},
        constrained=True,
    ),
    "joins": Focus(
        EVERY,
        some(
            st.tuples(st.just("two"), st.sampled_from(JOINS), st.sampled_from((VERSION, WHOSE))),
            2,
        ),
        tuple(
            Writes(topic, "001", {"owner": (0, 1, None), "ref": (0, 0, 1, None)}, JOINED)
            for topic in ("two", "one", "one", "zero")
        ),
        dict.fromkeys(TOPICS, "01"),
    ),
    "everything told": Focus(
        ("snapshots",),
        some(
            st.tuples(
                st.sampled_from(("two", "two", "zero")),
                st.one_of(st.sampled_from((EVERYTHING, MINE, *JOINS)), conditions(2)),
                st.sampled_from((VERSION, WHOSE)),
            )
        ),
        tuple(Writes(topic, "01", ANYTHING) for topic in TOPICS),
        dict.fromkeys(TOPICS, "01"),
        exact=True,
    ),
}


# What happens


ACTIONS = (
    *["now"] * 8, *["write"] * 6, *["commit"] * 6, "rollback",
    *["deliver"] * 8, *["look"] * 5, *["answer"] * 8, *["flow"] * 2, "late", "slow",
    "fail", *["lose"] * 4, *["watch"] * 4, "release", "cancel", *["fence"] * 3,
)  # fmt: skip
PAUSES = (0, 0, 1, 3, 5, 10, 20)


def action(number: str, writes: tuple[Writes, ...]) -> tuple[int, str, Any]:
    """The action that a number stands for: turns of the loop to let pass, what to do, with what."""
    chance = Random(number)
    name, pause = chance.choice(ACTIONS), chance.choice(PAUSES)
    place = chance.randrange(4)
    match name:
        case "now":
            return pause, name, chance.choice(writes).one(chance)
        case "write":
            return pause, name, (place % 2, chance.choice(writes).one(chance))
        case "commit":
            return pause, name, (place % 2, chance.randrange(6) == 0)
        case "late" | "slow":
            return pause, name, place > 0
        case "fail":
            return pause, name, (place, chance.choice((OSError, asyncio.CancelledError)))
        case "lose":
            return pause, name, (chance.choice((None, *TOPICS)), place)
    return pause, name, place


# Numbers are drawn, and not the parts of actions: that is fast, and what fails still shrinks.
schedules = st.lists(st.integers(0, 2**16), min_size=30, max_size=80)
usually = st.sampled_from((True, True, True, False))


@pytest.mark.usefixtures("allow_retries")
@pytest.mark.parametrize("name", FOCUSES)
@given(data=st.data())
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
def test_once_quiet_every_watcher_equals_the_table(log_watch, name, data):
    focus = FOCUSES[name]
    log_watch.unexpected.clear()
    # Of a row and its links only the end of a transaction is known to have been so.
    whole = (
        focus.exact
        or focus.constrained
        or data.draw(st.booleans(), "transactions are delivered whole")
    )
    late, slow = data.draw(usually, "late"), data.draw(usually, "slow")
    flavour = data.draw(st.sampled_from(focus.flavours), "flavour")
    queries = data.draw(focus.queries, "queries")
    seed, numbers = data.draw(st.integers(0, 2**32), "seed"), data.draw(schedules, "schedule")
    schedule = [action(f"{seed} {number}", focus.writes) for number in numbers]
    note("\n".join(map(str, schedule)))

    async def run() -> None:
        async with World(flavour, whole=whole) as world:
            world.database.constrained = focus.constrained
            for topic, keys in focus.rows.items():
                for key in keys:
                    world.database.now(topic, key, owner=int(key), grade=1, ref=int(key))
            for topic, condition, fields in queries[:2]:  # others may follow
                await world.watch(topic, condition, fields=fields, exact=focus.exact)
            world.bus.prompt, world.database.prompt = not late, not slow
            await live_through(world, queries, schedule, focus.exact)

    asyncio.run(run())
    assert log_watch.unexpected == []


async def live_through(world: World, queries: Any, schedule: Any, exact: bool) -> None:
    database, bus = world.database, world.bus
    transactions: dict[int, Any] = {}
    waiting: list[asyncio.Task[Any]] = []
    fences: list[asyncio.Task[Any]] = []

    def pick(number: int, among: Any) -> Any:
        return among[number % len(among)]

    for pause, name, what in schedule:
        match name:
            case "now":
                transaction = database.begin()
                database.write(transaction, *what)
                database.commit(transaction)
            case "write":
                slot, write = what
                if slot not in transactions:
                    transactions[slot] = database.begin()
                database.write(transactions[slot], *write)
            case "commit" if what[0] in transactions:
                database.commit(transactions.pop(what[0]), what[1])
            case "rollback" if what in transactions:
                database.rollback(transactions.pop(what))
            case "deliver":
                bus.deliver(what + 1)
            case "late":
                bus.prompt = not what
                if bus.prompt:
                    bus.deliver()
            case "slow":
                database.prompt = not what
            case "look" if database.questions:
                pick(what, database.questions).look()
            case "answer" if database.questions:
                pick(what, database.questions).answer()
            case "flow":
                bus.deliver()
                await turns(20)
                for question in list(database.questions):
                    question.answer()
                await turns(20)
            case "fail" if database.questions:
                pick(what[0], database.questions).fail(what[1]())
            case "lose":
                bus.lose(*what)
                bus.deliver(1)  # the gap: now they ask
                await turns(10)
            case "watch":
                topic, condition, fields = pick(what, queries)
                waiting.append(world.watching(topic, condition, fields=fields, exact=exact))
            case "release" if world.watchers:
                world.release(pick(what, world.watchers))
            case "cancel" if waiting:
                pick(what, waiting).cancel()
            case "fence":
                fences.append(asyncio.ensure_future(world.fence()))
        await turns(pause)
        world.check()
    for transaction in transactions.values():
        database.rollback(transaction)
    await world.quiet()
    await asyncio.gather(*fences)
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(outcome, Watcher | OSError | DDPError | asyncio.CancelledError)
    await world.quiet()
    world.check()
    world.check_quiet()
    world.check_equal()
    await world.check_empty()
