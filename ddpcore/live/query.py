"""What a publication may return: a query whose result can be watched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

from ddpcore.bus import Change
from ddpcore.live.document import Document
from ddpcore.live.predicate import Predicate, Row
from ddpcore.live.snapshot import Found

__all__ = [
    "KeyQuery",
    "Link",
    "LiveQuery",
    "MatchedQuery",
    "MergedQueries",
    "RowQuery",
    "Table",
    "in_order",
]


class LiveQuery(ABC):
    """A query that can be asked again. Equal keys mean equal results: they share an observer.

    Results are mappings of *row key* (the primary key as text, as `Change.key` has it) to
    document; the document's id may be another text. A `Found` says as of which snapshot.

    Attributes:
        key: Tells this query from all others, parameters and projection included.
        collection: The name of the collection its documents appear in.
        topics: The topics of the bus whose changes may change the result.
        interval: Seconds from the end of one run of the whole query to the next: a floor.
    """

    key: Hashable
    collection: str
    topics: frozenset[str]
    interval: float = 0.0

    @abstractmethod
    async def fetch(self) -> Mapping[str, Document]:
        """Ask for the whole result, in the query's order."""

    async def fetch_rows(self, keys: Collection[str]) -> Mapping[str, Document]:
        """Ask for the rows with these `keys`, as far as they are in the result."""
        found = await self.fetch()
        return {key: found[key] for key in keys if key in found}

    def row_of(self, change: Change) -> str | None:  # noqa: ARG002
        """The key of the one row whose place in the result `change` can affect.

        None, the default: it may affect any of them, and the whole query is asked again.
        """
        return None


class Table(ABC):
    """How rows of a topic become values that predicates understand.

    Attributes:
        topic: The topic of the bus that its changes have.
    """

    topic: str

    @abstractmethod
    def row(self, image: Mapping[str, Any]) -> Row:
        """The row of an image off the bus.

        Args:
            image: `Change.before` or `Change.after`.

        Returns:
            Column → Python value. To look at a column that the image has not raises `Undecided`.
        """

    @abstractmethod
    async def read(self, keys: Collection[str]) -> Found[Row]:
        """Ask the database for the rows with these `keys`, as far as there are such."""


class RowQuery(ABC):
    """A condition on the rows of one table, decided in memory.

    Attributes:
        key: Tells it from all others.
        table: Whose rows.
        predicate: Which of them.
        interval: Seconds from one answer of the database to the next question: a floor.
    """

    key: Hashable
    table: Table
    predicate: Predicate
    interval: float = 0.0

    @abstractmethod
    async def fetch(self) -> Mapping[str, Any]:
        """Ask the database for the whole result: row key → what `item` would make of the row."""

    @abstractmethod
    def item(self, key: str, row: Row) -> Any:
        """What the result holds for a row that is in it.

        Args:
            key: The row's key, as `Change.key` has it.
            row: The row, as `table` makes it.

        Raises:
            ddpcore.live.predicate.Undecided: It cannot be made from this row.
        """


class Link(NamedTuple):
    """A field that lists keys out of another table: a many-to-many relation.

    Attributes:
        topic: The table that holds the pairs.
        near: Its column with the key of our row.
        far: Its column with the key that the field lists.
        field: The field of the document; its keys are in the order of `in_order`.
    """

    topic: str
    near: str
    far: str
    field: str


def in_order(keys: Iterable[str]) -> list[str]:
    """The `keys` in the order in which documents list them: numbers by their value, then text."""
    return sorted(keys, key=lambda key: (len(key), key))


class MatchedQuery(RowQuery, LiveQuery):
    """A live query whose rows and documents follow from the changes: nothing is asked.

    Attributes:
        maker: Queries with equal makers make equal documents of equal rows, and share them.
        links: The fields that `fetch` gives and `item` leaves out.
    """

    maker: Hashable
    links: tuple[Link, ...] = ()

    @abstractmethod
    def item(self, key: str, row: Row) -> Document:
        """The document of a row, without its `links`; see `RowQuery.item`."""


class KeyQuery(RowQuery):
    """The keys by which other rows refer to the rows that meet a condition."""


class MergedQueries(tuple[LiveQuery, ...]):
    """What a publication returns whose queries may share collections: their documents merge.

    In a plain list two queries of one collection are taken for a mistake, as in Meteor.
    """

    __slots__ = ()
