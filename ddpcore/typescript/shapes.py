"""Objects with members, where no class describes them: the documents of a collection mostly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Union

__all__ = ["Member", "Shape", "Written", "merged"]


@dataclass(frozen=True, slots=True)
class Written:
    """A type that is written already, to stand where an annotation may.

    Attributes:
        text: TypeScript.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object.

    Attributes:
        annotation: What it holds: an annotation, a `Shape`, or what is `Written`.
        required: Whether it is always there.
        note: A comment for people.
    """

    annotation: Any
    required: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """An object type, to stand where an annotation may.

    Attributes:
        members: Name → member.
        more: Whether there may be members besides, of which nothing is known.
    """

    members: Mapping[str, Member]
    more: bool = False

    def partial(self) -> Shape:
        """The same with no member that is always there."""
        return Shape(
            {name: replace(each, required=False) for name, each in self.members.items()}, self.more
        )


def merged(shapes: Sequence[Shape]) -> Shape:
    """What holds of objects that are of one of these shapes, one does not know which.

    A member is required if all have and require it.
    """
    return reduce(_merged, shapes)


def _merged(one: Shape, other: Shape) -> Shape:
    members = {}
    for name in [*one.members, *(each for each in other.members if each not in one.members)]:
        both = [each.members[name] for each in (one, other) if name in each.members]
        first, last = both[0], both[-1]
        members[name] = Member(
            first.annotation
            if first.annotation == last.annotation
            else _either(first.annotation, last.annotation),
            len(both) == 2 and first.required and last.required,
            first.note,
        )
    return Shape(members, one.more or other.more)


def _either(one: Any, other: Any) -> Any:
    if isinstance(one, Shape | Written) or isinstance(other, Shape | Written):
        return Any
    return Union[one, other]  # noqa: UP007 - they are values here
