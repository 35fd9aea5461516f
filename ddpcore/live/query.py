"""What a publication may return: a query whose result can be watched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Mapping

from ddpcore.bus import Change
from ddpcore.live.document import Document

__all__ = ["LiveQuery", "MergedQueries"]


class LiveQuery(ABC):
    """A query that can be asked again. Equal keys mean equal results: they share an observer.

    Results are mappings of *row key* (the primary key as text, as `Change.key` has it) to
    document; the document's id may be another text.

    Attributes:
        key: Tells this query from all others, parameters and projection included.
        collection: The name of the collection its documents appear in.
        topics: The topics of the bus whose changes may change the result.
    """

    key: Hashable
    collection: str
    topics: frozenset[str]

    @abstractmethod
    async def fetch(self) -> Mapping[str, Document]:
        """Ask for the whole result, in the query's order."""

    async def fetch_rows(self, keys: Collection[str]) -> Mapping[str, Document]:
        """Ask for the rows with these keys, as far as they are in the result."""
        found = await self.fetch()
        return {key: found[key] for key in keys if key in found}

    def row_of(self, change: Change) -> str | None:  # noqa: ARG002
        """The key of the one row whose place in the result this change can affect.

        None, the default: it may affect any of them, and the whole query is asked again.
        """
        return None


class MergedQueries(tuple[LiveQuery, ...]):
    """What a publication returns whose queries may share collections: their documents merge.

    In a plain list two queries of one collection are taken for a mistake, as in Meteor.
    """

    __slots__ = ()
