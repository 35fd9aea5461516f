"""What clients may use of a server, by name: collections, methods and publications."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ddpcore.live.query import LiveQuery
from ddpcore.server.handler import Handler
from ddpcore.server.server import Server
from ddpcore.typescript.annotations import first_paragraph

__all__ = ["Function", "Interface"]


@dataclass(frozen=True, slots=True)
class Function:
    """A method, or a publication.

    Attributes:
        signature: The parameters that clients give, and what is returned.
        note: What it is for, in a sentence.
        shows: Of a publication: the documents it publishes, as annotation or
            `ddpcore.typescript.shapes.Shape`, by collection; None: nobody knows which.
    """

    signature: inspect.Signature
    note: str = ""
    shows: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Interface:
    """What clients may use.

    Attributes:
        command: What makes the declarations, for people to run again.
        collections: Name → what its documents hold: an annotation, or a
            `ddpcore.typescript.shapes.Shape`. None: nobody knows.
        methods: Name → method.
        publications: Name → publication.
    """

    command: str
    collections: dict[str, Any] = field(default_factory=dict)
    methods: dict[str, Function] = field(default_factory=dict)
    publications: dict[str, Function] = field(default_factory=dict)

    @classmethod
    def of(cls, server: Server, command: str) -> Interface:
        """What a server says about itself.

        Args:
            server: Whose handlers have annotations, and whose `collection` was told of documents.
            command: See `command`.
        """
        interface = cls(command, dict(server.collections))
        for name, handler in server.methods.items():
            interface.methods[name] = Function(handler.signature, _note(handler))
        for name, handler in server.publications.items():
            shown = _collections_in(handler.signature.return_annotation)
            for collection in shown or ():
                interface.collections.setdefault(collection, None)
            shows = {each: server.collections.get(each) for each in shown} if shown else None
            interface.publications[name] = Function(handler.signature, _note(handler), shows)
        return interface


def _note(handler: Handler) -> str:
    return first_paragraph(handler.function.__doc__)


def _collections_in(annotation: Any) -> list[str] | None:
    """The collections of the live queries that a publication says it returns; None: who knows."""
    if isinstance(annotation, type) and issubclass(annotation, LiveQuery):
        name = getattr(annotation, "collection", None)
        return [name] if isinstance(name, str) else None
    arguments = [each for each in typing.get_args(annotation) if each is not ...]
    found = [_collections_in(each) for each in arguments]
    if not found or None in found:
        return None
    return sorted({name for names in found for name in names or ()})
