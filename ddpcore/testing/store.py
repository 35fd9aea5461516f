"""What a client holds: the documents that data messages make, and the discipline they must keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ddpcore.wire import ejson

__all__ = ["DATA", "Store"]

DATA = frozenset({"added", "changed", "removed"})
"""The messages that bring data."""


class Store:
    """Documents by collection and id, as strict as an old Meteor client, and stricter.

    Args:
        merged: Whether the server merges a collection. One that it does not is taken as it comes,
            as Meteor's clients do.

    Attributes:
        collections: Collection → id → field → value, decoded from EJSON.
    """

    def __init__(self, merged: Callable[[str], bool] = lambda _: True) -> None:
        self._merged = merged
        self.collections: dict[str, dict[str, dict[str, Any]]] = {}

    def take(self, message: Mapping[str, Any]) -> None:
        """Replay a data message.

        Args:
            message: An `added`, `changed` or `removed`, its values as they travel.

        Raises:
            AssertionError: A document is added that is there, changed or removed that is not, or
                the message says nothing new.
        """
        documents = self.collections.setdefault(message["collection"], {})
        key = message["id"]
        if not self._merged(message["collection"]):
            _take_unmerged(documents, message)
            return
        if message["msg"] == "added":
            assert key not in documents, f"added twice: {message}"
            documents[key] = ejson.decode(message.get("fields", {}))
            return
        assert key in documents, f"{message['msg']} without being there: {message}"
        if message["msg"] == "removed":
            del documents[key]
        else:
            self._change(documents[key], message)

    @staticmethod
    def _change(document: dict[str, Any], message: Mapping[str, Any]) -> None:
        assert message.keys() & {"fields", "cleared"}, f"changed says nothing: {message}"
        assert message.get("fields") != {}, f"empty fields: {message}"
        assert message.get("cleared") != [], f"empty cleared: {message}"
        fields = ejson.decode(message.get("fields", {}))
        for name, value in fields.items():
            same = name in document and ejson.equals(document[name], value)
            assert not same, f"{name} did not change: {message}"
        document.update(fields)
        for name in message.get("cleared", ()):
            assert name in document, f"{name} was not there: {message}"
            del document[name]

    def docs(self, collection: str) -> dict[str, dict[str, Any]]:
        """The documents of a collection by id; none if nothing was ever heard of it."""
        return self.collections.get(collection, {})


def _take_unmerged(documents: dict[str, dict[str, Any]], message: Mapping[str, Any]) -> None:
    # Added where it is: changed. Changed where it is not: added. Removed where it is not: so be it.
    if message["msg"] == "removed":
        documents.pop(message["id"], None)
        return
    document = documents.setdefault(message["id"], {})
    document.update(ejson.decode(message.get("fields", {})))
    for name in message.get("cleared", ()):
        document.pop(name, None)
