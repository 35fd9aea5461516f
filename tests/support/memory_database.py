"""A database in memory that behaves like PostgreSQL where live queries can tell the difference.

Transactions get their numbers as they begin and commit in any order; a question to the database
reads one moment's state, and is answered when the test wants; the words of a commit travel over a
bus that delivers when the test wants. Conditions are written as tuples, decided here by brute
force, and turned into predicates by `predicate_of`: one model, and what it is to be equal to.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ddpcore import Change, Document, Gap, Op
from ddpcore.bus import Bus, BusEvent
from ddpcore.live.predicate import (
    And,
    Constant,
    Equals,
    IsNull,
    KeySet,
    Not,
    Or,
    Predicate,
    Row,
    Test,
    Truth,
    Undecided,
    Within,
    Xor,
)
from ddpcore.live.query import KeyQuery, Link, MatchedQuery, Table, in_order
from ddpcore.live.snapshot import Found, Snapshot

TOPICS = ("zero", "one", "two")
"""Rows of "two" refer to rows of "one", these to rows of "zero", and these to each other."""

COLUMNS = ("owner", "grade", "ref")
NOTHING: dict[str, Any] = {"id": None, **dict.fromkeys(COLUMNS), "version": None}

LINK = Link("one", "owner", "grade", "tags")
"""A field "tags": the grades of those rows of "one" whose owner is the row."""

Condition = tuple[Any, ...]
State = Mapping[tuple[str, str], Mapping[str, Any]]
Flavour = Literal["snapshots", "xids", "keys"]
"""Whether questions tell their snapshots; changes their transactions and rows; or keys alone."""


# Conditions


def referred(topic: str) -> str:
    """Where the references of a topic lead."""
    return TOPICS[max(TOPICS.index(topic) - 1, 0)]


def decide(condition: Condition, topic: str, row: Mapping[str, Any], state: State) -> Truth:
    """The truth of a condition, as SQL has it."""
    match condition:
        case "constant", truth:
            return truth
        case "equals", column, values:
            return None if row[column] is None else row[column] in values
        case "above", column, least:
            return None if row[column] is None else row[column] > least
        case "null", column:
            return row[column] is None
        case "not", part:
            truth = decide(part, topic, row, state)
            return None if truth is None else not truth
        case "within", part, unknown:
            other = referred(topic)
            if row["ref"] is None:
                return decide(part, other, NOTHING, state)
            related = state.get((other, str(row["ref"])))
            truth = False if related is None else decide(part, other, related, state)
            return False if truth is None and not unknown else truth
    word, *parts = condition
    truths = [decide(part, topic, row, state) for part in parts]
    if word == "xor":
        return sum(truth is True for truth in truths) % 2 == 1
    decisive = word == "or"
    return decisive if decisive in truths else None if None in truths else not decisive


class Unknown(Predicate):
    """Where another condition is unknown."""

    __slots__ = ("part",)

    def __init__(self, part: Predicate) -> None:
        self.part = part

    def __call__(self, row: Row) -> Truth:
        return self.part(row) is None

    @property
    def columns(self) -> frozenset[str]:
        return self.part.columns

    def key_queries(self) -> Iterator[KeyQuery]:
        return self.part.key_queries()

    def bound(self, resolve: Callable[[KeyQuery], KeySet]) -> Predicate:
        return Unknown(self.part.bound(resolve))


def predicate_of(
    condition: Condition, topic: str, keys: Callable[[str, Condition], Any]
) -> Predicate:
    """The predicate that decides a condition; `keys` makes the key sets, or queries for them."""

    def of(condition: Condition) -> Predicate:
        return predicate_of(condition, topic, keys)

    match condition:
        case "constant", truth:
            return Constant(truth)
        case "equals", column, values:
            return Equals(column, values)
        case "above", column, least:
            return Test(column, lambda value: value > least, f"> {least}")
        case "null", column:
            return IsNull(column)
        case "unknown", part:
            return Unknown(of(part))
        case "not", part:
            return Not(of(part))
        case "within", part, unknown:
            other = referred(topic)
            return Within(
                "ref",
                keys(other, part),
                keys(other, ("unknown", part)) if unknown else None,
                decide(part, other, NOTHING, {}),
            )
    word, *parts = condition
    return {"and": And, "or": Or, "xor": Xor}[word](*map(of, parts))


# The database


@dataclass(eq=False)
class Transaction:
    xid: int
    writes: dict[tuple[str, str], Mapping[str, Any] | None] = field(default_factory=dict)
    statements: list[tuple[Change, Mapping[str, Any] | None]] = field(default_factory=list)


class Question:
    """What the database was asked: it looks at a moment of its own, and answers later."""

    def __init__(self, what: str, look: Callable[[State], Any], database: MemoryDatabase) -> None:
        self.what = what
        self._look = look
        self._database = database
        self.looked = False
        self._answer: Any = None
        self._snapshot: Snapshot | None = None
        self.answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def look(self) -> None:
        if not self.looked:
            self.looked = True
            self._answer = self._look(self._database.state)
            if self._database.flavour == "snapshots":
                self._snapshot = self._database.snapshot()

    def answer(self) -> None:
        self.look()
        if not self.answered.done():
            self.answered.set_result(Found(self._answer, self._snapshot))

    def fail(self, problem: BaseException) -> None:
        if not self.answered.done():
            self.answered.set_exception(problem)


class MemoryDatabase:
    """See the module.

    Attributes:
        state: What is committed.
        whole: Whether nobody ever sees half of a transaction: its events are delivered together.
        points: All states that there were, in the order of the commits: one per statement, or, if
            transactions are whole, one per commit.
        commits: The places in `points` at which a transaction ended.
        prompt: Whether questions are answered at once.
        questions: Those that are not answered.
        asked: What was asked, ever.
        constrained: Whether a commit fails that would leave a `LINK` to no row of "two".
        failures: How many questions have had no answer, as those know who asked.
    """

    def __init__(self, flavour: Flavour = "snapshots", whole: bool = False) -> None:
        self.flavour = flavour
        self.whole = whole
        self.state: State = {}
        self.points: list[State] = [self.state]
        self.commits = [0]
        self.bus = LateBus(whole)
        self.prompt = True
        self.questions: list[Question] = []
        self.asked: list[str] = []
        self.failures = 0
        self.constrained = False
        self.tables = {topic: MemoryTable(self, topic) for topic in TOPICS}
        self._running: dict[int, Transaction] = {}
        self._locks: dict[tuple[str, str], Transaction] = {}
        self._next = self._completed = 3
        self._version = 0

    def begin(self) -> Transaction:
        self._next += 1
        transaction = self._running[self._next] = Transaction(self._next)
        return transaction

    def write(
        self,
        transaction: Transaction,
        topic: str,
        key: str,
        values: Mapping[str, Any] | None,
        lacks: Collection[str] | None = (),
    ) -> bool:
        """Write a row, or delete it (None).

        Args:
            transaction: Where.
            topic: The table.
            key: The row's.
            values: Its columns; the others become NULL.
            lacks: The columns that do not travel; None: nothing but the key travels.

        Returns:
            Whether it could: the row was there to be deleted, and nobody else was writing it.
        """
        place = (topic, key)
        if self._locks.get(place, transaction) is not transaction:
            return False
        before = transaction.writes.get(place, self.state.get(place))
        if place in transaction.writes:
            before = transaction.writes[place]
        if before is None and values is None:
            return False
        self._locks[place] = transaction
        self._version += 1
        after = None
        if values is not None:
            after = {**NOTHING, **values, "id": int(key), "version": self._version}
        transaction.writes[place] = after
        op = Op.DELETE if after is None else Op.INSERT if before is None else Op.UPDATE
        change = Change(topic, op, key)
        if self.flavour != "keys":
            image = None
            if lacks is not None:
                image = {
                    name: value
                    for name, value in (after or before or {}).items()
                    if name not in lacks
                }
            old, new = (image, None) if after is None else (None, image)
            change = Change(topic, op, key, old, new, transaction.xid)
        transaction.statements.append((change, after))
        return True

    def commit(self, transaction: Transaction, reset: bool = False) -> None:
        """End a transaction; `reset`: its tables are named, its rows are not."""
        self._end(transaction)
        if self.constrained and self._dangles(transaction):
            return
        for change, after in transaction.statements:
            state = dict(self.state)
            if after is None:
                state.pop((change.topic, str(change.key)), None)
            else:
                state[change.topic, str(change.key)] = after
            self.state = state
            if not self.whole:
                self.points.append(state)
        if self.whole:
            self.points.append(self.state)
        self.commits.append(len(self.points) - 1)
        changes = [change for change, _ in transaction.statements]
        if reset:
            topics = dict.fromkeys(change.topic for change in changes)
            xid = None if self.flavour == "keys" else transaction.xid
            changes = [Change(topic, Op.RESET, xid=xid) for topic in topics]
        self.bus.announce(changes)

    def _dangles(self, transaction: Transaction) -> bool:
        state = {**self.state, **transaction.writes}
        rows = {place: row for place, row in state.items() if row is not None}
        near = [row[LINK.near] for (topic, _), row in rows.items() if topic == LINK.topic]
        return any(("two", str(key)) not in rows for key in near)

    def rollback(self, transaction: Transaction) -> None:
        self._end(transaction)

    def now(self, topic: str, key: str, /, lacks: Any = (), **values: Any) -> None:
        """Write a row in a transaction of its own."""
        transaction = self.begin()
        assert self.write(transaction, topic, key, values, lacks)
        self.commit(transaction)

    def delete(self, topic: str, key: str) -> None:
        transaction = self.begin()
        assert self.write(transaction, topic, key, None)
        self.commit(transaction)

    def _end(self, transaction: Transaction) -> None:
        del self._running[transaction.xid]
        self._completed = max(self._completed, transaction.xid)
        for place in transaction.writes:
            del self._locks[place]

    @property
    def running(self) -> list[Transaction]:
        return list(self._running.values())

    def snapshot(self) -> Snapshot:
        xmax = self._completed + 1
        running = frozenset(xid for xid in self._running if xid < xmax)
        return Snapshot(min(running, default=xmax), xmax, running)

    async def ask(self, what: str, look: Callable[[State], Any]) -> Found[Any]:
        self.asked.append(what)
        question = Question(what, look, self)
        self.questions.append(question)
        if self.prompt:
            question.answer()
        try:
            return await question.answered
        except BaseException:
            self.failures += 1
            raise
        finally:
            self.questions.remove(question)

    def matching(
        self, topic: str, condition: Condition, state: State
    ) -> dict[str, Mapping[str, Any]]:
        return {
            key: row
            for (its, key), row in state.items()
            if its == topic and _decide(condition, topic, row, state) is True
        }


def _decide(condition: Condition, topic: str, row: Mapping[str, Any], state: State) -> Truth:
    if condition[0] == "unknown":
        return decide(condition[1], topic, row, state) is None
    return decide(condition, topic, row, state)


class LateBus(Bus):
    """Delivers in the order of the commits, but only when it is told to.

    Attributes:
        whole: Whether the events of a transaction are delivered in one go, however few are wanted.
        listening: The topics.
        queue: What waits: events that come together, and the fences among them.
        prompt: Whether everything is delivered at once.
    """

    def __init__(self, whole: bool = False) -> None:
        self.whole = whole
        self.listening: set[str] = set()
        self.queue: deque[list[BusEvent] | asyncio.Future[None]] = deque()
        self.prompt = True
        self._deliver: Callable[[BusEvent], None] = lambda _: None

    async def start(self, deliver: Callable[[BusEvent], None]) -> None:
        self._deliver = deliver

    async def stop(self) -> None:
        self._deliver = lambda _: None

    async def subscribe(self, topic: str) -> None:
        await asyncio.sleep(0)
        self.listening.add(topic)

    async def unsubscribe(self, topic: str) -> None:
        await asyncio.sleep(0)
        self.listening.discard(topic)

    async def publish(self, change: Change) -> None:
        self.announce([change])

    def announce(self, changes: Collection[Change]) -> None:
        wanted: list[BusEvent] = [each for each in changes if each.topic in self.listening]
        self.queue.extend([wanted] if self.whole else [[each] for each in wanted])
        if self.prompt:
            self.deliver()

    async def fence(self) -> None:
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.queue.append(reached)
        if self.prompt:
            self.deliver()
        await reached

    def deliver(self, most: int | None = None) -> None:
        """Deliver what waits, or so many events or transactions of it."""
        for _ in range(len(self.queue) if most is None else min(most, len(self.queue))):
            first = self.queue.popleft()
            if isinstance(first, asyncio.Future):
                if not first.done():
                    first.set_result(None)
            else:
                for event in first:
                    self._deliver(event)

    def lose(self, topic: str | None, most: int) -> None:
        """Lose the first events that wait, of a topic or of all; a `Gap` tells of it."""
        lost = 0
        kept: deque[list[BusEvent] | asyncio.Future[None]] = deque([[Gap(topic)]])
        for each in self.queue:
            if isinstance(each, asyncio.Future):
                kept.append(each)
                continue
            left = []
            for event in each:
                if isinstance(event, Change) and topic in {None, event.topic} and lost < most:
                    lost += 1
                else:
                    left.append(event)
            kept.append(left)
        self.queue = kept
        if self.prompt:
            self.deliver()


# Queries


class Image(dict[str, Any]):
    """A row of which not everything may be known."""

    def __missing__(self, column: str) -> Any:
        raise Undecided(column)


class MemoryTable(Table):
    def __init__(self, database: MemoryDatabase, topic: str) -> None:
        self.database = database
        self.topic = topic

    def row(self, image: Mapping[str, Any]) -> Row:
        return Image(image)

    async def read(self, keys: Collection[str]) -> Found[Row]:
        wanted = list(keys)

        def look(state: State) -> dict[str, Row]:
            return {key: state[self.topic, key] for key in wanted if (self.topic, key) in state}

        return await self.database.ask(f"read {self.topic}", look)


def keys_of(database: MemoryDatabase) -> Callable[[str, Condition], Keys]:
    return lambda topic, condition: Keys(database, topic, condition)


class Keys(KeyQuery):
    def __init__(self, database: MemoryDatabase, topic: str, condition: Condition) -> None:
        self.database = database
        self.condition = condition
        self.table = database.tables[topic]
        self.key = ("keys", topic, condition)
        self.predicate = predicate_of(condition, topic, keys_of(database))

    async def fetch(self) -> Mapping[str, Hashable]:
        def look(state: State) -> dict[str, Hashable]:
            found = self.database.matching(self.table.topic, self.condition, state)
            return {key: self.item(key, row) for key, row in found.items()}

        return await self.database.ask(f"keys {self.table.topic}", look)

    def item(self, key: str, row: Row) -> Hashable:
        return row["id"]


class Rows(MatchedQuery):
    """The rows of a topic that meet a condition, with these fields."""

    def __init__(
        self,
        database: MemoryDatabase,
        topic: str,
        condition: Condition = ("constant", True),
        fields: tuple[str, ...] = ("version", *COLUMNS),
    ) -> None:
        self.database = database
        self.condition = condition
        self.fields = fields
        self.table = database.tables[topic]
        self.collection = topic
        self.topics = frozenset((topic,))
        self.links = (LINK,) if LINK.field in fields else ()
        self.maker = (topic, fields)
        self.key = (topic, condition, fields)
        self.predicate = predicate_of(condition, topic, keys_of(database))

    def expected(self, state: State) -> dict[str, dict[str, Any]]:
        """The result, by brute force."""
        found = self.database.matching(self.collection, self.condition, state)
        return {
            key: {
                name: _tags(row["id"], state) if name == LINK.field else row[name]
                for name in self.fields
            }
            for key, row in found.items()
        }

    async def fetch(self) -> Mapping[str, Document]:
        def look(state: State) -> dict[str, Document]:
            return {
                key: Document.of(self.collection, key, fields)
                for key, fields in self.expected(state).items()
            }

        return await self.database.ask(f"fetch {self.collection}", look)

    def item(self, key: str, row: Row) -> Document:
        fields = {name: row[name] for name in self.fields if name != LINK.field}
        return Document.of(self.collection, key, fields)


def _tags(id: int, state: State) -> list[str]:
    rows = [row for (topic, _), row in state.items() if topic == LINK.topic]
    return in_order(str(row[LINK.far]) for row in rows if row[LINK.near] == id)
