"""Which observers care for a change of a row: found by value, not by asking all of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from ddpcore.live.predicate import Entry, Row

__all__ = ["RowIndex"]

T = TypeVar("T", bound=Hashable)

# A condition with more alternatives costs more to enter here than it saves.
MOST_ENTRIES = 10_000


class RowIndex(Generic[T]):
    """The observers of one table.

    An observer whose condition demands one of some values (``owner_id = 7``) stands under these;
    it hears of rows that have one, and of rows that it holds. Any other hears of every row.
    """

    def __init__(self) -> None:
        self._every: dict[T, None] = {}
        self._by_value: dict[str, dict[Hashable, dict[T, None]]] = {}
        self._entries: dict[T, frozenset[Entry]] = {}
        self._holders: dict[str, dict[T, None]] = {}

    def __len__(self) -> int:
        return len(self._every) + len(self._entries)

    def __iter__(self) -> Iterator[T]:
        return iter([*self._every, *self._entries])

    @property
    def columns(self) -> frozenset[str]:
        """The columns whose values are looked up."""
        return frozenset(self._by_value)

    def enter(self, observer: T, entries: frozenset[Entry] | None, held: Iterable[str]) -> None:
        """Let an observer stand under these entries only; None: it hears of every row.

        Args:
            observer: Who; it may stand elsewhere already.
            entries: What it demands of a row.
            held: The keys of the rows in its result, told from now on by `hold` and `drop`.
        """
        self.remove(observer, held)
        if entries is None or len(entries) > MOST_ENTRIES:
            self._every[observer] = None
            return
        self._entries[observer] = entries
        for column, value in entries:
            self._by_value.setdefault(column, {}).setdefault(value, {})[observer] = None
        for key in held:
            self.hold(key, observer)

    def least_crowded(self, alternatives: Iterable[frozenset[Entry]]) -> frozenset[Entry] | None:
        """Of several sets of entries the one under which fewest observers stand already.

        That is how `done = false AND owner_id = 7` comes to stand under its owner.
        """

        def crowd(entries: frozenset[Entry]) -> tuple[int, int]:
            there = (len(self._by_value.get(each, {}).get(value, ())) for each, value in entries)
            return max(there, default=0), len(entries)

        few = (entries for entries in alternatives if len(entries) <= MOST_ENTRIES)
        return min(few, key=crowd, default=None)

    def remove(self, observer: T, held: Iterable[str]) -> None:
        """Forget an observer that holds these rows."""
        self._every.pop(observer, None)
        for column, value in self._entries.pop(observer, ()):
            values = self._by_value[column]
            del values[value][observer]
            if not values[value]:
                del values[value]
                if not values:
                    del self._by_value[column]
        for key in held:
            self.drop(key, observer)

    def hold(self, key: str, observer: T) -> None:
        """The observer has this row in its result."""
        if observer in self._entries:  # the others hear of it anyway
            self._holders.setdefault(key, {})[observer] = None

    def drop(self, key: str, observer: T) -> None:
        """The observer has it no longer."""
        holders = self._holders.get(key)
        if holders is not None:
            holders.pop(observer, None)
            if not holders:
                del self._holders[key]

    def holding(self, key: str) -> list[T]:
        """Who may have this row in its result."""
        return [*self._every, *self._holders.get(key, ())]

    def concerned(self, key: str, row: Row | None) -> Iterable[T]:
        """Who has to look at a row, each once; `row` None: it is gone.

        Raises:
            ddpcore.live.predicate.Undecided: The row does not tell all the columns.
        """
        found = dict(self._every)
        if row is not None:
            for column, values in self._by_value.items():
                found.update(values.get(row[column]) or {})
        found.update(self._holders.get(key) or {})
        return found
