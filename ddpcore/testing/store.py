"""What a client holds: the documents that data messages make, and the discipline they must keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ddpcore.client.documents import DATA, Documents
from ddpcore.wire import ejson

__all__ = ["DATA", "Store"]


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
        self._documents = Documents()
        self.collections = self._documents.collections

    def take(self, message: Mapping[str, Any]) -> None:
        """Replay a data message.

        Args:
            message: An `added`, `changed` or `removed`, its values as they travel.

        Raises:
            AssertionError: A document is added that is there, changed or removed that is not, or
                the message says nothing new.
        """
        if self._merged(message["collection"]):
            self._judge(message)
        self._documents.take(message)

    def _judge(self, message: Mapping[str, Any]) -> None:
        documents, key = self.docs(message["collection"]), message["id"]
        if message["msg"] == "added":
            assert key not in documents, f"added twice: {message}"
            return
        assert key in documents, f"{message['msg']} without being there: {message}"
        if message["msg"] == "changed":
            self._judge_change(documents[key], message)

    @staticmethod
    def _judge_change(document: dict[str, Any], message: Mapping[str, Any]) -> None:
        assert message.keys() & {"fields", "cleared"}, f"changed says nothing: {message}"
        assert message.get("fields") != {}, f"empty fields: {message}"
        assert message.get("cleared") != [], f"empty cleared: {message}"
        fields = ejson.decode(message.get("fields", {}))
        for name, value in fields.items():
            same = name in document and ejson.equals(document[name], value)
            assert not same, f"{name} did not change: {message}"
        for name in message.get("cleared", ()):
            assert name in document, f"{name} was not there: {message}"

    def docs(self, collection: str) -> dict[str, dict[str, Any]]:
        """The documents of `collection` by id; none if nothing was ever heard of it."""
        return self.collections.get(collection, {})
