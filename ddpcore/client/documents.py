"""The documents a client holds: what data messages make of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ddpcore.wire import ejson

__all__ = ["DATA", "Change", "Documents", "Kind"]

DATA = frozenset({"added", "changed", "removed"})
"""The messages that bring data."""

Kind = Literal["added", "changed", "removed"]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one document.

    Attributes:
        kind: ``"added"``, ``"changed"`` or ``"removed"``.
        collection: Its collection.
        id: Its id as it travels; `ddpcore.wire.ids.id_parse` tells numbers from texts.
        fields: All fields if it was added, those with new values if it changed; decoded from EJSON.
        cleared: The names of the fields it has no more.
    """

    kind: Kind
    collection: str
    id: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    cleared: tuple[str, ...] = ()

    def as_message(self) -> dict[str, Any]:
        """The message that says so, as it travels (EJSON)."""
        message: dict[str, Any] = {
            "msg": self.kind,
            "collection": self.collection,
            "id": self.id,
        }
        if self.fields:
            message["fields"] = ejson.encode(dict(self.fields))
        if self.cleared:
            message["cleared"] = list(self.cleared)
        return message


class Documents:
    """Documents by collection and id, as tolerant as a Meteor 3 client (`mongo/collection.js`).

    Added where it is: changed. Changed where it is not: added. Removed where it is not: so be it.
    A document that changes is replaced and not touched, so whoever was given it keeps what he has.

    Attributes:
        collections: Collection → id → field → value, decoded from EJSON.
    """

    def __init__(self) -> None:
        self.collections: dict[str, dict[str, dict[str, Any]]] = {}

    def of(self, collection: str) -> Mapping[str, Mapping[str, Any]]:
        """The documents of `collection` by id; none if nothing was ever heard of it."""
        return self.collections.get(collection, {})

    def take(self, message: Mapping[str, Any]) -> Change | None:
        """Do what a data message says.

        Args:
            message: An `added`, `changed` or `removed`, its values as they travel.

        Returns:
            What became of the document, or None if it is as it was.

        Raises:
            ValueError: The message is none, or its values are no EJSON.
        """
        kind, collection, key = message.get("msg"), message.get("collection"), message.get("id")
        cleared = message.get("cleared", [])
        fields = ejson.decode(message.get("fields", {}))
        if (
            kind not in DATA
            or not isinstance(collection, str)
            or not isinstance(key, str)
            or not isinstance(fields, dict)
            or not isinstance(cleared, list)
        ):
            raise ValueError(f"No data message: {str(message)[:200]}")
        documents = self.collections.setdefault(collection, {})
        old = documents.get(key)
        if kind == "removed":
            documents.pop(key, None)
            return None if old is None else Change("removed", collection, key)
        new = {**(old or {}), **fields}
        for name in cleared:
            new.pop(name, None)
        documents[key] = new
        return _step(collection, key, old, new)

    def become(self, others: Documents) -> list[Change]:
        """Hold what `others` hold; what changes by that, first what is removed."""
        steps = []
        for collection in self.collections.keys() | others.collections.keys():
            old, new = self.of(collection), others.of(collection)
            steps += [Change("removed", collection, key) for key in old if key not in new]
            for key, document in new.items():
                step = _step(collection, key, old.get(key), document)
                if step is not None:
                    steps.append(step)
        self.collections = others.collections
        return sorted(steps, key=lambda step: step.kind != "removed")

    def __iter__(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        for collection, documents in self.collections.items():
            for key, document in documents.items():
                yield collection, key, document


def _step(
    collection: str, key: str, old: Mapping[str, Any] | None, new: Mapping[str, Any]
) -> Change | None:
    if old is None:
        return Change("added", collection, key, new)
    fields = {
        name: value
        for name, value in new.items()
        if name not in old or not ejson.equals(old[name], value)
    }
    cleared = tuple(name for name in old if name not in new)
    return Change("changed", collection, key, fields, cleared) if fields or cleared else None
