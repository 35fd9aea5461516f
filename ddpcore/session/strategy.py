"""Publication strategies: how much a server remembers of what a client has of a collection.

The merge box keeps one view per collection, made by the collection's strategy. A view takes the
steps of subscriptions and returns what the client is to be told; it sends nothing itself. Here
are those that do not merge, of Meteor 3.0.4 (`ddp-server/livedata_server.js`,
`DDPServer.publicationStrategies`); the one that does is in `ddpcore.session.mergebox`.

After a change of user Meteor leaves fields and documents of the old user with the client where
it does not merge. These views remember enough to take them back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING

from ddpcore.errors import DDPError
from ddpcore.live.document import Document, Step

if TYPE_CHECKING:
    from ddpcore.session.mergebox import Part

__all__ = [
    "ForgetfulView",
    "PublicationStrategy",
    "SharedView",
    "UnmergedView",
    "View",
    "held_by",
    "server_merge",
]


class PublicationStrategy(Enum):
    """What a client is told of the documents of a collection.

    Attributes:
        SERVER_MERGE: The difference between what it has and what it should have.
        NO_MERGE: All that each subscription says; what a subscription added is removed with it,
            whoever else has it.
        NO_MERGE_NO_HISTORY: All that each subscription says; nothing is remembered, so nothing
            is removed with it.
        NO_MERGE_MULTI: All that each subscription says, but `added` only by the first that has a
            document and `removed` only by the last.
    """

    SERVER_MERGE = "SERVER_MERGE"
    NO_MERGE = "NO_MERGE"
    NO_MERGE_NO_HISTORY = "NO_MERGE_NO_HISTORY"
    NO_MERGE_MULTI = "NO_MERGE_MULTI"

    @classmethod
    def check(cls, collection: str, strategy: object) -> PublicationStrategy:
        """Return `strategy` if it is one.

        Raises:
            ddpcore.DDPError: It is none.
        """
        if not isinstance(strategy, cls):
            known = ", ".join(f"ddpcore.{each.name}" for each in cls)
            raise DDPError(
                f"Invalid merge strategy: {strategy!r} for collection {collection!r}. "
                f"There are {known}."
            )
        return strategy


def server_merge(collection: str) -> PublicationStrategy:  # noqa: ARG001
    """The strategy of every collection that is given no other."""
    return PublicationStrategy.SERVER_MERGE


class View(ABC):
    """One collection as one client sees it.

    Attributes:
        parts: What is contributed, and by whom; the dictionaries are those of the parts.
        verbatim: Whether the client is told everything that is said, as it was said. Then what
            is said while subscriptions run again is told afterwards, and not only what it led to.
        known: Whether the client's versions are known, so that its steps can be put together.
        sole: The part that alone contributes: its documents are the client's. None if there are
            several parts, or the strategy or a change of user wants to know of each step.
    """

    __slots__ = ("collection", "parts", "sole")

    verbatim = False
    known = False

    def __init__(self, collection: str) -> None:
        self.collection = collection
        self.parts: dict[Part, dict[str, Document]] = {}
        self.sole: Part | None = None

    @abstractmethod
    def apply(self, part: Part, step: Step) -> Step | None:
        """Let `part` take the step of a live query; return the client's step."""

    def say(self, part: Part, step: Step) -> Step | None:
        """Let `part` take a step that a publication made by hand; return the client's step.

        Its two ends say just what is set and cleared; see `Step.change`.

        Raises:
            ddpcore.DDPError: The part never added what it changes or removes, and must have.
        """
        return self.apply(part, step)

    def drop(self, part: Part) -> Iterator[Step | None]:
        """Take back everything `part` contributes, in the order it came; the client's steps."""
        for document in list(self.parts[part].values()):
            yield self.apply(part, Step(document, None))
        del self.parts[part]

    def visible(self) -> dict[str, Document]:
        """What the client should have: id → document. The latest of parts that disagree wins."""
        seen: dict[str, Document] = {}
        for documents in self.parts.values():
            for id, document in documents.items():  # noqa: A001
                seen[id] = seen[id].joined(document) if id in seen else document
        return seen

    def again(self, had: Document, should: Document) -> Step:
        """The client's step to `should`, when subscriptions have run again, from what it `had`.

        Which values it really has is not known, only which fields it may have: so all are sent.
        """
        return Step(_gone(had, should), should)

    def own(self, part: Part) -> dict[str, Document]:
        """What `part` contributes here: id → document, to be changed."""
        own = self.parts.get(part)
        if own is None:
            own = self.parts[part] = part.documents[self.collection] = {}
        return own


def held_by(part: Part, step: Step) -> Document | None:
    """The version `part` holds of a document it says something of.

    Raises:
        ddpcore.DDPError: It holds none, though it would change or remove it.
    """
    document = step.document
    held = part.get(document.collection, document.id)
    if held is None and step.before is not None:
        if step.after is None:
            raise DDPError(f"Removed nonexistent document {document.id}")
        raise DDPError(f"Could not find element with id {document.id} to change")
    return held


class UnmergedView(View):
    """NO_MERGE: the client is told what each subscription says, as if it were the only one."""

    __slots__ = ()

    verbatim = True

    def apply(self, part: Part, step: Step) -> Step:
        """Remember what is added, and pass everything on."""
        id = step.document.id  # noqa: A001
        held = part.get(self.collection, id)
        if step.after is None:
            if held is not None:
                del part.documents[self.collection][id]
        elif held is not None or step.before is None:
            self.own(part)[id] = step.onto(held)
        return step

    def again(self, had: Document, should: Document) -> Step:
        """Only clear fields: the others are in what was said meanwhile."""
        return Step(_gone(had, should), Document(had.collection, had.id, {}))


class ForgetfulView(View):
    """NO_MERGE_NO_HISTORY: the client is told what each subscription says, and that is all."""

    __slots__ = ()

    verbatim = True

    def apply(self, part: Part, step: Step) -> Step:  # noqa: ARG002
        """Pass everything on."""
        return step


class SharedView(View):
    """NO_MERGE_MULTI: the client has a document as long as any subscription has it.

    Its fields are those that were said last; none is cleared because its subscription leaves.
    """

    __slots__ = ("left",)

    def __init__(self, collection: str) -> None:
        super().__init__(collection)
        # What was left behind by those who took back a document that others still have.
        self.left: dict[str, Document] = {}

    def say(self, part: Part, step: Step) -> Step | None:
        """Take what is said of a document that the part has, or adds."""
        held_by(part, step)
        return self.apply(part, step)

    def apply(self, part: Part, step: Step) -> Step | None:
        """Pass on what is said, but `added` and `removed` only for the first and by the last."""
        id = step.document.id  # noqa: A001
        held = part.get(self.collection, id)
        if step.after is None:
            return None if held is None else self._remove(part, held)
        if held is None and step.before is not None:
            step = Step(None, step.after)
        known = step.before is None and self._has(id)
        self.own(part)[id] = step.onto(held)
        return Step(Document(self.collection, id, {}), step.after) if known else step

    def again(self, had: Document, should: Document) -> Step:
        """All fields are sent, and those that were left behind are cleared as well."""
        left = self.left.get(had.id)
        return super().again(left.joined(had) if left else had, should)

    def _has(self, id: str) -> bool:  # noqa: A002
        return any(id in documents for documents in self.parts.values())

    def _remove(self, part: Part, held: Document) -> Step | None:
        id = held.id  # noqa: A001
        del self.parts[part][id]
        left = self.left.pop(id, None)
        if not self._has(id):
            return Step(held, None)
        self.left[id] = left.joined(held) if left else held
        return None


def _gone(had: Document, should: Document) -> Document:
    # What is to be cleared.
    gone = {name: text for name, text in had.fragments.items() if name not in should.fragments}
    return Document(had.collection, had.id, gone)
