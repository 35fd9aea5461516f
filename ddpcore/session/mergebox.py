"""The merge box: what one client has, put together from all its subscriptions.

Each subscription contributes a `Part`. Nearly every document has one contributor, and then the
merge box keeps nothing of its own about it: the part's entry is the client's version, or not even
that is kept, where one live query is all there is of a collection (`LivePart`). Only
documents with several contributors get a `_Merged` record with Meteor's field precedence: who
contributed a field first is seen until it takes the field back (Meteor 3.0.4,
`ddp-server/livedata_server.js`, SessionDocumentView).

Whatever happens, what is sent is the difference between what the client had and should have;
unless the collection has another strategy than SERVER_MERGE, see `ddpcore.session.strategy`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from ddpcore.live.document import Document, Step
from ddpcore.session.outbox import Outbox
from ddpcore.session.strategy import (
    ForgetfulView,
    PublicationStrategy,
    SharedView,
    UnmergedView,
    View,
    held_by,
    server_merge,
)
from ddpcore.wire.frame import Frame

__all__ = ["LivePart", "MergeBox", "MergedView", "Part"]

logger = logging.getLogger(__name__)


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

    def hold(self) -> None:
        """Keep what the client has of it."""

    def let_go(self) -> None:
        """Keep it no longer, if it is to be found elsewhere."""

    def enter(self, view: View) -> None:
        """It contributes to `view` from now on."""

    def retire(self) -> None:
        """Its subscription is over: it contributes nothing more."""


class LivePart(Part):
    """What one live query contributes: documents of one collection.

    As long as nothing else contributes to that collection it may follow the query's result: the
    client has just those documents, and nothing is kept of them here.

    Args:
        box: The client's merge box.
        outbox: Its outbox.
    """

    __slots__ = ("_box", "_follows", "_outbox", "_result", "_view")

    def __init__(self, box: MergeBox, outbox: Outbox) -> None:
        super().__init__()
        self._box: MergeBox | None = box
        self._outbox = outbox
        self._follows = False
        self._result: Mapping[str, Document] | None = None
        self._view: View | None = None

    def take(self, step: Step) -> None:
        """Take a step of the query, and tell the client."""
        if self._follows:
            self._outbox.step(step)
        elif self._box is not None:
            self._box.apply(self, step)

    @staticmethod
    def take_together(
        parts: Sequence[LivePart], steps: Sequence[Step], frames: list[Frame]
    ) -> None:
        """Let the parts of many clients take steps, whose frames are these."""
        # This runs for each client of each change. Nearly always there is nothing to merge: the
        # client makes just these steps, and their frames are put where they leave. See `take` for
        # the rest, and `Outbox.send`.
        count = len(frames)
        for part in parts:
            outbox = part._outbox
            try:
                if part._follows and outbox.flowing:
                    outbox.log += frames
                    fresh = outbox.fresh
                    outbox.fresh = fresh + count
                    if not fresh and count:
                        outbox.wake()
                else:
                    for step in steps:
                        part.take(step)
            except Exception:
                logger.exception("A client could not be told of a change")

    def leave(self) -> None:
        """The query's result changes from now on without this part."""
        self.hold()
        self._box = self._result = None

    def follow(self, result: Mapping[str, Document]) -> None:
        """Keep nothing that is in `result`, if that is possible.

        Args:
            result: Anything → document. All of it has been taken; it changes in place, each time
                just before the step is taken.
        """
        self._result = result
        if self._view is not None and self._view.sole is self:
            self.let_go()

    def let_go(self) -> None:
        """Go by the result, if there is one: this part alone contributes."""
        if self._result is not None and self._view is not None:
            self._follows = True
            self._view.parts[self].clear()

    def hold(self) -> None:
        """Keep what the client has: it may soon be more, or less, than the result."""
        if self._follows:
            assert self._result is not None
            assert self._view is not None
            self._follows = False
            own = self._view.parts[self]
            for document in self._result.values():
                own[document.id] = document

    def enter(self, view: View) -> None:
        """It contributes to `view` from now on."""
        self._view = view

    def retire(self) -> None:
        """What comes late changes nothing any more."""
        self._follows = False
        self._box = self._view = self._result = None


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


class MergedView(View):
    """SERVER_MERGE: the client has one version, put together from all subscriptions."""

    __slots__ = ("merged",)

    known = True

    def __init__(self, collection: str) -> None:
        super().__init__(collection)
        self.merged: dict[str, _Merged] = {}

    def apply(self, part: Part, step: Step) -> Step | None:
        """Let `part` take `step`; return the step from what the client had to what it should have.

        Where the part did not hold the step's `before`, the way is made from what it held.
        """
        id, after = step.document.id, step.after  # noqa: A001
        own = self.parts.get(part)
        if own is None:
            own = self.own(part)
        held = own.get(id)
        if held is None and after is None:
            return None
        merged = self.merged.get(id)
        if merged is None and held is None and (other := self._other_holder(part, id)):
            merged = self.merged[id] = _Merged(*other)
        if after is None:
            del own[id]
        else:
            own[id] = after
        if merged is None:
            return step if held is step.before else Step(held, after)
        had = merged.visible
        merged.take(part, held, after)
        should = merged.show(self.collection, id)
        if after is None:
            self._unmerge(id)
        return Step(had, should)

    def say(self, part: Part, step: Step) -> Step | None:
        """Take what is said of a document that the part has, or adds; other fields stay."""
        held = held_by(part, step)
        return self.apply(part, Step(held, None if step.after is None else step.onto(held)))

    def visible(self) -> dict[str, Document]:
        """What the client has."""
        merged = self.merged
        return {
            id: merged[id].visible if id in merged else document
            for documents in self.parts.values()
            for id, document in documents.items()  # noqa: A001
        }

    def again(self, had: Document, should: Document) -> Step:
        """The difference: what the client has is known."""
        return Step(had, should)

    def _other_holder(self, part: Part, id: str) -> tuple[Part, Document] | None:  # noqa: A002
        for other, documents in self.parts.items():
            if other is not part and (document := documents.get(id)) is not None:
                return other, document
        return None

    def _unmerge(self, id: str) -> None:  # noqa: A002
        # Back to one contributor: its own document is what the client sees.
        if sum(id in documents for documents in self.parts.values()) < 2:
            del self.merged[id]


_VIEWS: dict[PublicationStrategy, type[View]] = {
    PublicationStrategy.SERVER_MERGE: MergedView,
    PublicationStrategy.NO_MERGE: UnmergedView,
    PublicationStrategy.NO_MERGE_NO_HISTORY: ForgetfulView,
    PublicationStrategy.NO_MERGE_MULTI: SharedView,
}


def _hold(view: View) -> None:
    if view.sole is not None:
        view.sole.hold()
        view.sole = None


class MergeBox:
    """One client's view.

    Args:
        outbox: Takes what the client must be told, in order.
        strategy: Gives the strategy of a collection. It is asked when the client first sees the
            collection.
    """

    __slots__ = ("_before", "_late", "_outbox", "_strategy", "_views")

    def __init__(
        self,
        outbox: Outbox,
        strategy: Callable[[str], PublicationStrategy] = server_merge,
    ) -> None:
        self._outbox = outbox
        self._strategy = strategy
        self._views: dict[str, View] = {}
        # While subscriptions are run again for another user: what the client had, and what it is
        # to be told verbatim afterwards. Nothing is sent in the meantime.
        self._before: dict[str, View] | None = None
        self._late: list[tuple[View, Step]] = []

    def apply(self, part: Part, step: Step) -> None:
        """Let `part` take a live query's `step`; send what the client must know, if anything."""
        self._take(part, step, said=False)

    def live_part(self) -> LivePart:
        """A part for a live query."""
        return LivePart(self, self._outbox)

    def say(self, part: Part, step: Step) -> None:
        """Let `part` take a step that a publication made by hand; see `View.say`.

        Raises:
            ddpcore.DDPError: The part never added what it changes or removes, and must have.
        """
        self._take(part, step, said=True)

    def _take(self, part: Part, step: Step, *, said: bool) -> None:
        collection = step.document.collection
        view = self._views.get(collection) or self._open(collection)
        is_new = part not in view.parts
        if is_new:
            _hold(view)
        told = view.say(part, step) if said else view.apply(part, step)
        if is_new:
            self._entered(view, part)
        self._tell(view, told)

    def _entered(self, view: View, part: Part) -> None:
        if part in view.parts:
            part.enter(view)
        self._find_sole(view)

    def _find_sole(self, view: View) -> None:
        alone = view.known and len(view.parts) == 1 and self._before is None
        view.sole = next(iter(view.parts)) if alone else None
        if view.sole is not None:
            view.sole.let_go()

    def drop(self, part: Part) -> None:
        """Take back everything `part` contributes, in the order it came."""
        part.hold()
        for collection in list(part.documents):
            view = self._views[collection]
            for step in view.drop(part):
                self._tell(view, step)
            self._find_sole(view)
            if not view.parts:
                del self._views[collection]
        part.documents.clear()
        part.retire()

    def hold(self) -> None:
        """Keep what the client has, whatever becomes of those who contribute it."""
        for view in self._views.values():
            _hold(view)

    def begin_rerun(self) -> None:
        """Forget all parts, remember what the client has, and send nothing for now.

        Parts whose subscriptions have ended must have been told to `hold` before.
        """
        self.hold()
        self._before, self._views = self._views, {}

    def finish_rerun(self) -> None:
        """Send the difference between what the client had and what it should have now.

        In the order of Meteor 3.0.4 (`diff-sequence/diff.js`): known collections first, in each
        the changed and removed documents, then the new ones; then new collections. At last what
        was said meanwhile of collections whose strategy tells it verbatim.
        """
        before, self._before = self._before or {}, None
        for name in {**before, **self._views}:
            view = before.get(name) or self._views[name]
            had = view.visible() if name in before else {}
            should = self.documents(name)
            for id, document in had.items():  # noqa: A001
                after = should.get(id)
                self._tell(view, view.again(document, after) if after else Step(document, None))
            if not view.verbatim:
                for id, document in should.items():  # noqa: A001
                    if id not in had:
                        self._tell(view, Step(None, document))
        late, self._late = self._late, []
        for view, step in late:
            self._tell(view, step)
        for view in self._views.values():
            self._find_sole(view)

    def documents(self, collection: str) -> dict[str, Document]:
        """What the client sees of a collection: id → document. For tests and inspection."""
        view = self._views.get(collection)
        if view is None:
            return {}
        _hold(view)
        seen = view.visible()
        self._find_sole(view)
        return seen

    def _open(self, collection: str) -> View:
        # Who runs subscriptions again keeps the strategy, so that both views are of one kind.
        before = self._before.get(collection) if self._before else None
        kind = type(before) if before else _VIEWS[self._strategy(collection)]
        view = self._views[collection] = kind(collection)
        return view

    def _tell(self, view: View, step: Step | None) -> None:
        if step is None:
            return
        if self._before is None:
            if view.known:
                self._outbox.step(step)
            elif (frame := step.frame) is not None:
                self._outbox.send(frame)
        elif view.verbatim:
            self._late.append((view, step))
