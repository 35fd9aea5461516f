"""The bus's events in their order, as far as one transaction makes one change of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from ddpcore.bus import BusEvent, Change, Op

__all__ = ["Event", "collapsed", "transactions"]


class Event(NamedTuple):
    """An event of the bus; `number` orders those of all topics."""

    number: int
    event: BusEvent


def collapsed(events: list[Event]) -> list[Event]:
    """The events without what only its own transaction has seen.

    Of several changes of a row in one transaction the last counts, in the place of the first. A
    row that was made and unmade never was. (What has not come yet is not known; it comes in
    another round.)
    """
    places: dict[tuple[int, str, str | None], int] = {}
    kept: list[Event | None] = []
    for number, event in events:
        if isinstance(event, Change) and event.xid is not None and event.key is not None:
            which = (event.xid, event.topic, event.key)
            place = places.setdefault(which, len(kept))
            if place < len(kept):
                kept[place] = _both(kept[place], Event(number, event))
                if kept[place] is None:
                    del places[which]
                continue
        kept.append(Event(number, event))
    return [each for each in kept if each is not None]


def transactions(events: Iterable[Event]) -> Iterator[list[Event]]:
    """The events of each transaction together, others alone; their order is that of the events."""
    transaction: list[Event] = []
    for each in events:
        xid = _xid(each)
        if transaction and (xid is None or xid != _xid(transaction[-1])):
            yield transaction
            transaction = []
        transaction.append(each)
    if transaction:
        yield transaction


def _xid(event: Event) -> int | None:
    return event.event.xid if isinstance(event.event, Change) else None


def _both(first: Event | None, last: Event) -> Event | None:
    assert first is not None
    before, after = first.event, last.event
    assert isinstance(before, Change)
    assert isinstance(after, Change)
    if after.op is Op.DELETE:
        if before.op is Op.INSERT:
            return None
        return Event(first.number, replace(after, before=before.before))
    return Event(
        first.number, replace(after, op=before.op if before.op is Op.INSERT else Op.UPDATE)
    )
