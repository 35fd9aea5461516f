"""Which transactions a reader has seen, in PostgreSQL's terms, so that nothing is told twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Found", "Snapshot"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What `pg_current_snapshot()` says: the transactions whose effects a reader sees.

    Attributes:
        xmin: All transactions below this number had ended.
        xmax: No transaction from this number on had.
        running: The transactions in between that had not.
    """

    xmin: int
    xmax: int
    running: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Read `text` in PostgreSQL's own notation, ``xmin:xmax:xip,xip``.

        Raises:
            ValueError: It is none.
        """
        xmin, xmax, running = text.split(":")
        numbers = frozenset(int(number) for number in running.split(",") if number)
        return cls(int(xmin), int(xmax), numbers)

    def sees(self, xid: int) -> bool:
        """Whether the changes of a transaction *that has committed* are in what was read.

        Args:
            xid: The transaction's number, as `Change.xid` has it.
        """
        return xid < self.xmin or (xid < self.xmax and xid not in self.running)

    def covers(self, other: Snapshot) -> bool:
        """Whether this snapshot sees all that `other` sees: it is the same or a later one."""
        return (
            self.xmin >= other.xmin
            and self.xmax >= other.xmax
            and not any(other.sees(xid) for xid in self.running)
        )


class Found(dict[str, T], Generic[T]):
    """An answer of the database: row key → what was found, and as of when.

    Args:
        rows: What was found.
        snapshot: The snapshot it was read in, if the database has such a thing.
    """

    __slots__ = ("snapshot",)

    def __init__(self, rows: Mapping[str, T] = {}, snapshot: Snapshot | None = None) -> None:
        super().__init__(rows)
        self.snapshot = snapshot
