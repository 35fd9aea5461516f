"""One table of which rows are decided in memory: who watches it, and what was read of it lately."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ddpcore.bus import BusEvent, Change, Op
from ddpcore.live.index import RowIndex
from ddpcore.live.matched import (
    KeyObserver,
    LinkChange,
    MatchedObserver,
    Reading,
    RowChange,
    RowObserver,
)
from ddpcore.live.predicate import Row
from ddpcore.live.query import Link, Table
from ddpcore.live.snapshot import Found

__all__ = ["Rows", "Wanted", "WatchedTable"]


class Wanted(NamedTuple):
    """Events of a row that do not tell it: the last one's number, the first one's transaction."""

    number: int
    since: int | None


class Rows(NamedTuple):
    """Rows that were read: when, for which events, and what there was."""

    reading: Reading
    keys: dict[str, Wanted]
    found: Found[Row]


class WatchedTable:
    """Who decides in memory on the rows of one table, and what was read of it lately."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.index: RowIndex[RowObserver[Any]] = RowIndex()
        self.readings: list[Rows] = []
        self.keys: dict[KeyObserver, None] = {}
        self.links: dict[Link, dict[MatchedObserver, None]] = {}
        self._xid = 0
        self._touched: set[str] = set()

    def touch(self, key: str, xid: int) -> bool:
        """Note that a transaction did something to a row; whether it is the first time."""
        if xid != self._xid:
            # Its events come one after the other: nothing of an earlier one will come.
            self._xid = xid
            self._touched.clear()
        is_first = key not in self._touched
        self._touched.add(key)
        return is_first

    def was_read(self, xid: int | None, key: str | None = None) -> bool:
        """Whether a row (None: any) was read as it was after this transaction or later."""
        return xid is not None and any(
            (key is None or key in each.keys)
            and each.reading.snapshot is not None
            and each.reading.snapshot.sees(xid)
            for each in self.readings
        )

    def _forget_readings(self, xid: int | None) -> None:
        """A transaction is being dealt with: what does not show it is of no more use."""
        if xid is None:
            return
        # Events come in commit order: after one that a reading did not see, none comes that it saw.
        # That holds for the event that is being dealt with, not for those that wait behind it.
        self.readings = [
            each
            for each in self.readings
            if each.reading.snapshot is not None and each.reading.snapshot.sees(xid)
        ]

    def row_change(self, number: int, event: Change, rows: Rows | None) -> RowChange | None:
        """The row after an event; None if it is known as it was later."""
        key = event.key
        assert key is not None
        self._forget_readings(event.xid)
        if rows is not None and key in rows.keys:
            # What was read is as new as the last of these events.
            wanted = rows.keys[key]
            if number < wanted.number:
                return None
            row = rows.found.get(key)
            return RowChange(number, event.topic, key, row, rows.reading, since=wanted.since)
        xid = event.xid
        if self.was_read(xid, key):
            return None
        if xid is None or (event.after is None and event.op is not Op.DELETE):
            return None  # nobody wanted to know when it came; who has come since asks later
        row = None if event.after is None else self.table.row(event.after)
        is_new = self.touch(key, xid) and event.op is Op.INSERT
        return RowChange(number, event.topic, key, row, xid, is_new=is_new)

    def missed(self, number: int) -> None:
        """All of it may be different."""
        # Also the numbers of transactions, if the database was put back to an earlier state.
        self.readings.clear()
        for observer in self.index:
            observer.missed(number)

    def note_links(self, number: int, event: BusEvent) -> None:
        """Note which rows have links; whoever lists links that are not told is to ask again.

        Both before any row of the transaction is handed out.
        """
        for link, observers in list(self.links.items()):
            if link.topic != event.topic:
                continue
            image = _linked(event, link)
            if image is None:
                for observer in list(observers):
                    observer.missed(number)
            elif isinstance(event, Change) and event.xid is not None:
                self.touch(str(image[link.near]), event.xid)

    def link_change(self, number: int, event: BusEvent) -> None:
        """Rows of another table say what is in the documents of this one."""
        for link, observers in list(self.links.items()):
            if link.topic == event.topic:
                self._link_change(number, event, link, observers)

    def _link_change(
        self, number: int, event: BusEvent, link: Link, observers: dict[MatchedObserver, None]
    ) -> None:
        image = _linked(event, link)
        if image is None:
            return  # they were missed
        assert isinstance(event, Change)
        key, far = str(image[link.near]), str(image[link.far])
        concerned = [each for each in self.index.holding(key) if each in observers]
        if event.xid is None:
            for observer in concerned:
                observer.missed(number)
            return
        is_new, was_read = event.op is Op.INSERT, self.was_read(event.xid, key)
        change = LinkChange(number, link, key, far, is_new, event.xid, was_read)
        for observer in concerned:
            assert isinstance(observer, MatchedObserver)
            observer.linked(change)


def _linked(event: BusEvent, link: Link) -> Mapping[str, Any] | None:
    """The image of a link that has come or gone; None: the event does not tell."""
    image = None
    if isinstance(event, Change) and event.op is not Op.UPDATE:
        image = event.after if event.op is Op.INSERT else event.before
    return image if image is not None and link.near in image and link.far in image else None
