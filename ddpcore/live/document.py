"""Documents: immutable versions of published rows, and the steps from one version to the next.

A document keeps each field as the JSON text that travels. So a value is encoded once for all
clients, nobody can change it afterwards, and "is it the same?" is mostly a comparison of strings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from ddpcore.wire import ejson
from ddpcore.wire.frame import Frame
from ddpcore.wire.unset import UNSET

__all__ = ["Document", "Step"]

# An object whose keys are just these would be taken for an EJSON type by the client: it travels
# inside an escape (Meteor 3.0.4, ejson/ejson.js). With documents this concerns the field names.
_EJSON_SHAPES = (
    {"$date"},
    {"$regexp", "$flags"},
    {"$InfNaN"},
    {"$binary"},
    {"$escape"},
    {"$type", "$value"},
)


class Document:
    """One version of one published row.

    Attributes:
        collection: The name the client knows the collection by.
        id: The document's id as it travels.
        fragments: Field name → the text ``"name":value`` of that field.
    """

    __slots__ = ("collection", "fragments", "id")

    def __init__(self, collection: str, id: str, fragments: Mapping[str, str]) -> None:  # noqa: A002
        self.collection = collection
        self.id = id
        self.fragments = fragments

    @classmethod
    def of(cls, collection: str, id: str, fields: Mapping[str, Any]) -> Document:  # noqa: A002
        """Make a document of EJSON values.

        Args:
            collection: The name the client knows the collection by.
            id: The document's id as it travels; `ddpcore.wire.ids.id_stringify` makes one of what
                is no text.
            fields: Field name → EJSON value; `_id` and `ddpcore.UNSET` fields are left out.

        Raises:
            TypeError: A value or a name is nothing EJSON can carry.
        """
        return cls(
            collection,
            id,
            {
                name: _fragment(name, value)
                for name, value in fields.items()
                if name != "_id" and value is not UNSET
            },
        )

    def updated(self, fields: Mapping[str, Any]) -> Document:
        """The next version: `fields` set, those that are `UNSET` gone, the others as they were."""
        return Step.change(self.collection, self.id, fields).onto(self)

    def joined(self, other: Document) -> Document:
        """The next version: the fields of `other` set, its own others as they were."""
        return Document(self.collection, self.id, {**self.fragments, **other.fragments})

    @property
    def fields(self) -> dict[str, Any]:
        """The fields as EJSON values, decoded anew at each access."""
        return {name: _value(name, text) for name, text in self.fragments.items()}

    def value_of(self, name: str) -> Any:
        """The EJSON value of the field `name`, decoded anew.

        Raises:
            KeyError: It has no such field.
        """
        return _value(name, self.fragments[name])

    def __repr__(self) -> str:
        return f"Document({self.collection}/{self.id} {{{','.join(self.fragments.values())}}})"


class Step:
    """The way from one version of a document to the next; either end may be missing.

    Every client that takes this step gets the same `frame`.

    Attributes:
        document: Whichever end exists, the newer first.
    """

    __slots__ = ("_frame", "_known", "after", "before", "document")

    def __init__(self, before: Document | None, after: Document | None) -> None:
        document = after or before
        assert document is not None, "a step has at least one end"
        self.before = before
        self.after = after
        self.document = document
        self._frame: Frame | None = None
        self._known = False

    @classmethod
    def change(cls, collection: str, id: str, fields: Mapping[str, Any]) -> Step:  # noqa: A002
        """The step that says just this, whatever else the document has.

        `fields` are set, those that are `UNSET` cleared.

        Raises:
            TypeError: A value or a name is nothing EJSON can carry.
        """
        cleared = dict.fromkeys(name for name, value in fields.items() if value is UNSET)
        return cls(Document.of(collection, id, cleared), Document.of(collection, id, fields))

    def onto(self, held: Document | None) -> Document:
        """What becomes of `held` when all is set and cleared in it that this step sets and clears.

        The step must have an `after`.
        """
        before, after = self.before, self.after
        assert after is not None, "what is removed becomes nothing"
        if held is None or held is before:
            return after
        if before is None:
            return held.joined(after)
        kept = {name: text for name, text in held.fragments.items() if name not in before.fragments}
        return Document(held.collection, held.id, {**kept, **after.fragments})

    @property
    def frame(self) -> Frame | None:
        """The `added`, `changed` or `removed` message; None where a client would see nothing."""
        if not self._known:
            self._known = True
            self._frame = self._encode()
        return self._frame

    def _encode(self) -> Frame | None:
        before, after = self.before, self.after
        document = self.document
        collection, id = ejson.dump_plain(document.collection), ejson.dump_plain(document.id)  # noqa: A001
        what = f'"collection":{collection},"id":{id}'
        if after is None:
            return _frame(f'{{"msg":"removed",{what}}}')
        if before is None:
            fields = _fields(after.fragments)
            return _frame(f'{{"msg":"added",{what}{fields}}}')
        old, new = before.fragments, after.fragments
        changed = {
            name: text
            for name, text in new.items()
            if (was := old.get(name)) != text and (was is None or not _same(name, was, text))
        }
        cleared = [name for name in old if name not in new]
        if not changed and not cleared:
            return None
        gone = f',"cleared":{ejson.dump_plain(cleared)}' if cleared else ""
        return _frame(f'{{"msg":"changed",{what}{_fields(changed)}{gone}}}')

    def __repr__(self) -> str:
        return f"Step({self.before!r} → {self.after!r})"


def _fragment(name: str, value: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"Field names are strings, not {type(name).__name__}: {name!r}.")
    return _quoted(name) + ejson.dumps(value)


@lru_cache(4096)
def _quoted(name: str) -> str:
    # The same few names come with every document, and are half the work of making one.
    return f"{ejson.dump_plain(name)}:"


def _value(name: str, fragment: str) -> Any:
    return ejson.loads(fragment[len(_quoted(name)) :])


def _same(name: str, old: str, new: str) -> bool:
    # Different text may still be the same value: {"a":1,"b":2} and {"b":2,"a":1}. Only objects
    # and numbers have such twins; strings, the usual case, never get here with equal values.
    start = len(_quoted(name))
    if old[start] == '"' and new[start] == '"':
        return False
    return ejson.equals(_value(name, old), _value(name, new))


def _fields(fragments: Mapping[str, str]) -> str:
    if not fragments:
        return ""
    body = "{" + ",".join(fragments.values()) + "}"
    if len(fragments) <= 2 and _looks_like_ejson(fragments):
        body = f'{{"$escape":{body}}}'
    return f',"fields":{body}'


def _looks_like_ejson(names: Iterable[str]) -> bool:
    return set(names) in _EJSON_SHAPES


def _frame(text: str) -> Frame:
    return Frame(text.encode("ascii"))
