"""The merge box: what one client has, put together from all its subscriptions.

Each subscription contributes a `Part`. Nearly every document has one contributor, and then the
merge box keeps nothing of its own about it: the part's entry is the client's version. Only
documents with several contributors get a `_Merged` record with Meteor's field precedence: who
contributed a field first is seen until it takes the field back (Meteor 3.0.4,
`ddp-server/livedata_server.js`, SessionDocumentView).

Whatever happens, what is sent is the difference between what the client had and should have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ddpcore.live.document import Document, Step
from ddpcore.wire.frame import Frame

__all__ = ["MergeBox", "Part"]


class Part:
    """What one subscription contributes to a client's view: collection → id → document.

    A subscription that reads several live queries of one collection holds a part for each.
    """

    __slots__ = ("documents",)

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Document]] = {}

    def get(self, collection: str, id: str) -> Document | None:  # noqa: A002
        """The version this part contributes, if any."""
        documents = self.documents.get(collection)
        return documents.get(id) if documents else None


class _Merged:
    """A document with several contributors.

    `precedence` lists the contributors of each field; the client sees the value of the first.
    """

    __slots__ = ("precedence", "visible")

    def __init__(self, part: Part, document: Document) -> None:
        self.precedence: dict[str, list[Part]] = {name: [part] for name in document.fragments}
        self.visible = document

    def take(self, part: Part, before: Document | None, after: Document | None) -> None:
        """`part` contributes `after` where it contributed `before`."""
        old = before.fragments if before else {}
        new = after.fragments if after else {}
        for name in old:
            if name not in new:
                holders = self.precedence[name]
                holders.remove(part)
                if not holders:
                    del self.precedence[name]
        for name in new:
            if name not in old:
                self.precedence.setdefault(name, []).append(part)

    def show(self, collection: str, id: str) -> Document:  # noqa: A002
        """Make the version the client should see now, from the foremost contributors."""
        fragments = {
            name: parts[0].documents[collection][id].fragments[name]
            for name, parts in self.precedence.items()
        }
        self.visible = Document(collection, id, fragments)
        return self.visible


class _View:
    """One collection as the client sees it."""

    __slots__ = ("merged", "parts")

    def __init__(self) -> None:
        self.parts: dict[Part, dict[str, Document]] = {}
        self.merged: dict[str, _Merged] = {}

    def other_holder(self, part: Part, id: str) -> tuple[Part, Document] | None:  # noqa: A002
        for other, documents in self.parts.items():
            if other is not part and (document := documents.get(id)) is not None:
                return other, document
        return None

    def visible(self) -> Iterator[tuple[str, Document]]:
        merged = self.merged
        seen = set()
        for documents in self.parts.values():
            for id, document in documents.items():  # noqa: A001
                if id not in merged:
                    yield id, document
                elif id not in seen:
                    seen.add(id)
                    yield id, merged[id].visible


class MergeBox:
    """One client's view.

    Args:
        send: Takes each frame the client must get, in order.
    """

    __slots__ = ("_before", "_send", "_views")

    def __init__(self, send: Callable[[Frame], None]) -> None:
        self._send = send
        self._views: dict[str, _View] = {}
        # While subscriptions are run again for another user: what the client had. Nothing is
        # sent in the meantime.
        self._before: dict[str, dict[str, Document]] | None = None

    def apply(self, part: Part, step: Step) -> None:
        """Let `part` take `step`; send what changes for the client, which may be nothing.

        Where the part did not hold the step's `before`, the way is made from what it held.
        """
        document = step.document
        collection, id = document.collection, document.id  # noqa: A001
        view = self._views.get(collection)
        if view is None:
            view = self._views[collection] = _View()
        own = view.parts.get(part)
        if own is None:
            own = view.parts[part] = part.documents[collection] = {}
        held, after = own.get(id), step.after
        if held is None and after is None:
            return
        merged = view.merged.get(id)
        if merged is None and held is None and (other := view.other_holder(part, id)):
            merged = view.merged[id] = _Merged(*other)
        if after is None:
            del own[id]
        else:
            own[id] = after
        if merged is None:
            self._emit(step if held is step.before else Step(held, after))
        else:
            had = merged.visible
            merged.take(part, held, after)
            should = merged.show(collection, id)
            if after is None:
                self._unmerge(view, id)
            self._emit(Step(had, should))

    def drop(self, part: Part) -> None:
        """Take back everything `part` contributes, in the order it came."""
        for collection, documents in list(part.documents.items()):
            for document in list(documents.values()):
                self.apply(part, Step(document, None))
            view = self._views[collection]
            del view.parts[part]
            if not view.parts:
                del self._views[collection]
        part.documents.clear()

    def begin_rerun(self) -> None:
        """Forget all parts, remember what the client has, and send nothing for now."""
        self._before = {name: dict(view.visible()) for name, view in self._views.items()}
        self._views = {}

    def finish_rerun(self) -> None:
        """Send the difference between what the client had and what it should have now.

        In the order of Meteor 3.0.4 (`diff-sequence/diff.js`): known collections first, in each
        the changed and removed documents, then the new ones; then new collections.
        """
        before, self._before = self._before or {}, None
        after = {name: dict(view.visible()) for name, view in self._views.items()}
        for name, had in before.items():
            should = after.pop(name, {})
            for id, document in had.items():  # noqa: A001
                self._emit(Step(document, should.get(id)))
            for id, document in should.items():  # noqa: A001
                if id not in had:
                    self._emit(Step(None, document))
        for should in after.values():
            for document in should.values():
                self._emit(Step(None, document))

    def documents(self, collection: str) -> dict[str, Document]:
        """What the client sees of a collection: id → document. For tests and inspection."""
        view = self._views.get(collection)
        return dict(view.visible()) if view else {}

    def _emit(self, step: Step) -> None:
        if self._before is None and (frame := step.frame) is not None:
            self._send(frame)

    @staticmethod
    def _unmerge(view: _View, id: str) -> None:  # noqa: A002
        # Back to one contributor: its own document is what the client sees.
        if sum(id in documents for documents in view.parts.values()) < 2:
            del view.merged[id]
