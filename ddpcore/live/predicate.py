"""Conditions on a row, decided in memory with SQL's three truth values.

A predicate answers True, False or None (SQL's NULL: unknown); a row is in a result only if the
answer is True. Values are Python's; a predicate compares them as the database would, or it must
not be made. Where only the particular row cannot be decided, it raises `Undecided` and the
database is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ddpcore.live.query import KeyQuery

__all__ = [
    "And",
    "Constant",
    "Entry",
    "Equals",
    "IsNull",
    "KeySet",
    "Not",
    "Or",
    "Predicate",
    "Row",
    "Test",
    "Truth",
    "Undecided",
    "Within",
    "Xor",
]

Truth = bool | None
"""What a predicate answers; None: SQL's NULL, unknown."""

Row = Mapping[str, Any]
"""Column → Python value, None for NULL. Looking a column up may raise `Undecided`."""

Entry = tuple[str, Hashable]
"""A column and a value: where an index finds those who care for rows that have it."""


class Undecided(Exception):
    """This row cannot be decided in memory: ask the database."""


class KeySet(Protocol):
    """The keys of the related rows that meet a condition, kept current by an observer."""

    def __contains__(self, value: object, /) -> bool: ...
    def __iter__(self) -> Iterator[Hashable]: ...
    def __len__(self) -> int: ...


class Predicate(ABC):
    """A condition on the columns of one table."""

    __slots__ = ()

    @abstractmethod
    def __call__(self, row: Row) -> Truth:
        """Whether `row` meets it.

        Raises:
            Undecided: The database has to be asked.
        """

    @property
    @abstractmethod
    def columns(self) -> frozenset[str]:
        """The columns it looks at."""

    def entries(self) -> frozenset[Entry] | None:
        """Entries of which every row that meets it has at least one; None: any row may.

        Only for a predicate that is bound.
        """
        return None

    def alternatives(self) -> list[frozenset[Entry]]:
        """All that `entries` could be: an index takes those that fewest others stand under."""
        entries = self.entries()
        return [] if entries is None else [entries]

    def key_queries(self) -> Iterator[KeyQuery]:
        """The sets of related keys that it needs."""
        return iter(())

    def bound(self, resolve: Callable[[KeyQuery], KeySet]) -> Predicate:  # noqa: ARG002
        """The same with the key sets in their places.

        Args:
            resolve: Gives the key set of a query.
        """
        return self


class Constant(Predicate):
    """The same answer for every row.

    Args:
        truth: The answer.
    """

    __slots__ = ("truth",)

    def __init__(self, truth: Truth) -> None:
        self.truth = truth

    def __call__(self, row: Row) -> Truth:  # noqa: ARG002
        """Decide."""
        return self.truth

    @property
    def columns(self) -> frozenset[str]:
        """None."""
        return frozenset()

    def entries(self) -> frozenset[Entry] | None:
        """Nothing can match what is never true."""
        return None if self.truth is True else frozenset()

    def __repr__(self) -> str:
        return {True: "TRUE", False: "FALSE", None: "NULL"}[self.truth]


class _OfColumn(Predicate):
    __slots__ = ("column",)

    def __init__(self, column: str) -> None:
        self.column = column

    @property
    def columns(self) -> frozenset[str]:
        """The one."""
        return frozenset((self.column,))


class Equals(_OfColumn):
    """``column IN (values)``; a column that is NULL is unknown.

    Args:
        column: Whose value.
        values: What it may be; none of them is None.
    """

    __slots__ = ("values",)

    def __init__(self, column: str, values: Iterable[Hashable]) -> None:
        super().__init__(column)
        self.values = frozenset(values)

    def __call__(self, row: Row) -> Truth:
        """Decide."""
        value = row[self.column]
        return None if value is None else value in self.values

    def entries(self) -> frozenset[Entry] | None:
        """One for each value."""
        return frozenset((self.column, value) for value in self.values)

    def __repr__(self) -> str:
        return f"{self.column} IN ({', '.join(sorted(map(repr, self.values)))})"


class Test(_OfColumn):
    """Any other test of a value; a column that is NULL is unknown.

    Args:
        column: Whose value.
        passes: Called with the value, never None. It may raise `Undecided`.
        label: The test in words, e.g. ``"> 3"``.
    """

    __slots__ = ("label", "passes")
    __test__ = False  # pytest

    def __init__(self, column: str, passes: Callable[[Any], bool], label: str) -> None:
        super().__init__(column)
        self.passes = passes
        self.label = label

    def __call__(self, row: Row) -> Truth:
        """Decide."""
        value = row[self.column]
        return None if value is None else self.passes(value)

    def __repr__(self) -> str:
        return f"{self.column} {self.label}"


class IsNull(_OfColumn):
    """``column IS NULL``: never unknown.

    Args:
        column: Which.
    """

    __slots__ = ()

    def __call__(self, row: Row) -> Truth:
        """Decide."""
        return row[self.column] is None

    def entries(self) -> frozenset[Entry] | None:
        """NULL."""
        return frozenset(((self.column, None),))

    def __repr__(self) -> str:
        return f"{self.column} IS NULL"


class Within(_OfColumn):
    """The row that `column` refers to meets a condition of its own.

    Args:
        column: The reference.
        keys: The related rows of which the condition is true: a query, and once bound a key set.
        unknown: Those of which it is unknown; None if it never is, or if that makes no difference.
        absent: The answer where the reference is NULL: the condition on a row of NULLs.
    """

    __slots__ = ("absent", "keys", "unknown")

    def __init__(
        self,
        column: str,
        keys: KeyQuery | KeySet,
        unknown: KeyQuery | KeySet | None = None,
        absent: Truth = None,
    ) -> None:
        super().__init__(column)
        self.keys: Any = keys
        self.unknown: Any = unknown
        self.absent = absent

    def __call__(self, row: Row) -> Truth:
        """Decide."""
        value = row[self.column]
        if value is None:
            return self.absent
        if value in self.keys:
            return True
        return None if self.unknown is not None and value in self.unknown else False

    def entries(self) -> frozenset[Entry] | None:
        """One for each key that there is now."""
        values = frozenset((self.column, value) for value in self.keys)
        return values | {(self.column, None)} if self.absent else values

    def key_queries(self) -> Iterator[KeyQuery]:
        """One or two."""
        yield self.keys
        if self.unknown is not None:
            yield self.unknown

    def bound(self, resolve: Callable[[KeyQuery], KeySet]) -> Predicate:
        """With key sets instead of queries."""
        unknown = None if self.unknown is None else resolve(self.unknown)
        return Within(self.column, resolve(self.keys), unknown, self.absent)

    def __repr__(self) -> str:
        return f"{self.column} WITHIN ({self.keys!r})"


class Not(Predicate):
    """Not: unknown stays unknown.

    Args:
        part: What must not be true.
    """

    __slots__ = ("part",)

    def __init__(self, part: Predicate) -> None:
        self.part = part

    def __call__(self, row: Row) -> Truth:
        """Decide."""
        truth = self.part(row)
        return None if truth is None else not truth

    @property
    def columns(self) -> frozenset[str]:
        """Those of its part."""
        return self.part.columns

    def key_queries(self) -> Iterator[KeyQuery]:
        """Those of its part."""
        return self.part.key_queries()

    def bound(self, resolve: Callable[[KeyQuery], KeySet]) -> Predicate:
        """With its part bound."""
        return Not(self.part.bound(resolve))

    def __repr__(self) -> str:
        return f"NOT {self.part!r}"


class _Several(Predicate):
    __slots__ = ("parts",)
    word = ""

    def __init__(self, *parts: Predicate) -> None:
        self.parts: Sequence[Predicate] = parts

    @property
    def columns(self) -> frozenset[str]:
        """Those of all parts."""
        return frozenset().union(*(part.columns for part in self.parts))

    def key_queries(self) -> Iterator[KeyQuery]:
        """Those of all parts."""
        for part in self.parts:
            yield from part.key_queries()

    def bound(self, resolve: Callable[[KeyQuery], KeySet]) -> Predicate:
        """With all parts bound."""
        return type(self)(*(part.bound(resolve) for part in self.parts))

    def __repr__(self) -> str:
        return "(" + f" {self.word} ".join(map(repr, self.parts)) + ")"


class _Decided(_Several):
    # One part with the decisive truth decides, whatever the others are.
    __slots__ = ()
    decisive: bool

    def __call__(self, row: Row) -> Truth:
        """Decide."""
        decisive = self.decisive
        truth: Truth = not decisive
        doubt: Undecided | None = None
        for part in self.parts:
            try:
                one = part(row)
            except Undecided as undecided:  # another part may decide
                doubt = undecided
                continue
            if one is decisive:
                return decisive
            if one is None:
                truth = None
        if doubt is not None:
            raise doubt
        return truth


class And(_Decided):
    """All parts are true; of none: true.

    Args:
        *parts: The parts.
    """

    __slots__ = ()
    word = "AND"
    decisive = False

    def entries(self) -> frozenset[Entry] | None:
        """Those of the part that has fewest."""
        return min(self.alternatives(), key=len, default=None)

    def alternatives(self) -> list[frozenset[Entry]]:
        """Those of each part."""
        return [entries for part in self.parts for entries in part.alternatives()]


class Or(_Decided):
    """Any part is true; of none: false.

    Args:
        *parts: The parts.
    """

    __slots__ = ()
    word = "OR"
    decisive = True

    def entries(self) -> frozenset[Entry] | None:
        """Those of all parts, if all have some."""
        every = [part.entries() for part in self.parts]
        known = [entries for entries in every if entries is not None]
        return frozenset().union(*known) if len(known) == len(every) else None


class Xor(_Several):
    """An odd number of parts is true, as Django writes it where the database has no XOR.

    That is ``(a OR b OR …) AND MOD(number of true parts, 2) = 1`` (Django 5.2,
    django/db/models/sql/where.py): what is unknown counts as not true.

    Args:
        *parts: The parts.
    """

    __slots__ = ()
    word = "XOR"

    def __call__(self, row: Row) -> Truth:
        """Decide."""
        truths = [part(row) for part in self.parts]
        return truths.count(True) % 2 == 1
