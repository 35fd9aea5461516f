"""Annotations as types, one by one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Required,
    TypedDict,
    TypeVar,
)
from uuid import UUID

import msgspec
import pytest
from django.db.models import TextChoices
from typing_extensions import TypeAliasType

import ddpcore
from ddpcore import DDPError, ejson
from ddpcore.server.arguments import signature_of
from ddpcore.typescript import syntax
from ddpcore.typescript.annotations import Types, shape_of
from ddpcore.typescript.shapes import Member, Shape, Written, merged
from ddpcore.wire.unset import Unset

T = TypeVar("T")


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Plain(Enum):
    A = "a"
    B = "b"


class Shelf(TextChoices):
    TOP = "t", "Top"
    LOW = "l", "Low"


class Note(TypedDict):
    """What somebody wrote.

    And more.
    """

    text: str
    tags: NotRequired[list[str]]
    replies: list[Note]


class Loose(TypedDict, total=False):
    kind: Required[Literal["loose"]]
    day: date


class Page(TypedDict, Generic[T]):
    items: list[T]
    total: int


@dataclass
class Point:
    x: int
    y: int = 0
    labels: list[str] = field(default_factory=list)


class Cell(msgspec.Struct, rename="camel"):
    row_number: int
    note: str | msgspec.UnsetType = msgspec.UNSET


class Move(msgspec.Struct, tag="move", array_like=False):
    to: Point


class Pair(msgspec.Struct, array_like=True):
    left: str
    right: int = 0


class Range(NamedTuple):
    first: int
    last: int = 9


class Date:
    """Somebody's own class, which nobody knows."""


Count = NewType("Count", int)

BOTH = [
    (str, "string"),
    (bool, "boolean"),
    (int, "number"),
    (float, "number"),
    (None, "null"),
    (Any, "unknown"),
    (object, "unknown"),
    (datetime, "Date"),
    (bytes, "Uint8Array"),
    (Optional[str], "string | null"),  # noqa: UP045
    (None | str | int, "string | number | null"),
    (int | float, "number"),
    (str | Any, "unknown"),
    (Literal["asc", "desc", 3] | None, '"asc" | "desc" | 3 | null'),
    (Literal['say "hi"\n'], '"say \\"hi\\"\\n"'),
    (Literal[Color.RED], '"red"'),
    (list, "unknown[]"),
    (list[int], "number[]"),
    (list[int | None], "(number | null)[]"),
    (list[Literal["a", "b"]], '("a" | "b")[]'),
    (Sequence[list[str]], "string[][]"),
    (tuple, "unknown[]"),
    (tuple[int, ...], "number[]"),
    (tuple[int, str | None], "[number, string | null]"),
    (tuple[()], "[]"),
    (dict, "{ [key: string]: unknown }"),
    (dict[str, int], "{ [key: string]: number }"),
    (Mapping[str, list[int]], "{ [key: string]: number[] }"),
    (dict[int, str], "Record<string, never>"),
    (dict[Literal["a", "b"], int], '{ [key in "a" | "b"]?: number }'),
    (Annotated[str, msgspec.Meta(min_length=1)], "string"),
    (Count, "number"),
    (T, "unknown"),
    (Date, "unknown"),
    ("Note", "unknown"),
    (ejson.ObjectID, "unknown"),
    (ejson.RegExp, "RegExp"),
    (Color, '"red" | "blue"'),
    (Level, "1 | 2"),
    (Shelf, '"t" | "l"'),
    (Note, "Note"),
    (Page[int], "PageOfInt"),
]


@pytest.mark.parametrize(("annotation", "text"), BOTH)
def test_both_ways(annotation, text):
    assert Types().text(annotation, "taken") == text
    assert Types().text(annotation, "sent") == text


@pytest.mark.parametrize(
    ("annotation", "taken", "sent"),
    [
        (date, "string", "Date"),
        (time, "string", "unknown"),
        (timedelta, "string", "unknown"),
        (UUID, "string", "unknown"),
        (Decimal, "string | number", "unknown"),
        (set[int], "number[]", "unknown"),
        (frozenset[str], "string[]", "unknown"),
        (Plain, '"a" | "b"', "unknown"),
        (re.Pattern[str], "unknown", "RegExp"),
        (Unset, "unknown", "undefined"),
        (Awaitable[int], "number", "number"),
        (Iterator[int], "unknown", "unknown"),
        (Point, "Point", "unknown"),
        (Cell, "Cell", "unknown"),
        (Loose, "LooseInput", "Loose"),
        (Range, "RangeInput", "Range"),
        (list[date | None], "(string | null)[]", "(Date | null)[]"),
    ],
)
def test_one_way(annotation, taken, sent):
    assert Types().text(annotation, "taken") == taken
    assert Types().text(annotation, "sent") == sent


@pytest.mark.parametrize(
    ("annotation", "way", "declared"),
    [
        (Note, "sent", """
/** What somebody wrote. */
export interface Note {
  text: string;
  tags?: string[];
  replies: Note[];
}
"""),
        (Loose, "sent", 'export interface Loose {\n  kind: "loose";\n  day?: Date;\n}\n'),
        (Loose, "taken", 'export interface LooseInput {\n  kind: "loose";\n  day?: string;\n}\n'),
        (Point, "taken", """
export interface Point {
  x: number;
  y?: number;
  labels?: string[];
}
"""),
        (Cell, "taken", "export interface Cell {\n  rowNumber: number;\n  note?: string;\n}\n"),
        (Move, "taken", 'export interface Move {\n  type: "move";\n  to: Point;\n}\n'),
        (Pair, "taken", "export type Pair = [left: string, right?: number];\n"),
        (Range, "taken", "export type RangeInput = [first: number, last?: number];\n"),
        (Range, "sent", "export type Range = [first: number, last: number];\n"),
        (Page[Note], "sent", "export interface PageOfNote {\n  items: Note[];\n  total: number;\n}\n"),
        (Page, "sent", "export interface Page {\n  items: unknown[];\n  total: number;\n}\n"),
    ],
)  # fmt: skip
def test_classes_are_declared(annotation, way, declared):
    types = Types()
    name = types.text(annotation, way)
    assert types.declarations[name] == declared.removeprefix("\n")


def test_aliases_are_declared():
    # As the statement `type` of Python 3.12 makes them.
    notes = TypeAliasType("Notes", list[Note])
    twice = TypeAliasType("Twice", tuple[T, T], type_params=(T,))
    types = Types()
    assert types.text(list[notes], "sent") == "Notes[]"
    assert types.text(twice[int], "sent") == "TwiceOfInt"
    assert types.declarations["Notes"] == "export type Notes = Note[];\n"
    assert types.declarations["TwiceOfInt"] == "export type TwiceOfInt = [number, number];\n"


def test_names_of_types_are_unique_and_legal():
    def typed(name):
        return TypedDict(name, {"x": int})

    types = Types()
    names = [
        types.text(typed(name), "sent") for name in ("A", "A", "Date", "string", "A", "Methods")
    ]
    assert names == ["A", "A2", "Date2", "string2", "A3", "Methods2"]


def test_annotations_that_cannot_be_read_are_told():
    class Broken(TypedDict):
        other: Missing  # noqa: F821

    with pytest.raises(DDPError, match=r"Broken cannot be read: name 'Missing' is not defined"):
        Types().text(Broken, "sent")


def function(handler: Any) -> str:
    return Types().function(signature_of(handler))


def test_parameters():
    def several(ctx, a, b: int, c: str | None = None, *rest: int | str, d: int = 1, **more): ...

    assert function(several) == (
        "(a: unknown, b: number, c?: string | null, ...rest: (number | string)[]) => unknown"
    )
    assert function(lambda ctx: None) == "() => unknown"
    assert function(lambda *everything: None) == "(...everything: unknown[]) => unknown"


def test_names_of_parameters_are_legal():
    def handler(ctx, new, new_, this, größe, default=1) -> None: ...  # noqa: PLC2401

    assert function(handler) == (
        "(new_: unknown, new__: unknown, this_: unknown, größe: unknown, default_?: unknown) => null"
    )


def test_long_lines_are_broken():
    def handler(
        ctx,
        first_parameter: dict[str, int],
        second_parameter: list[str],
        third: Literal["abcdefgh"],
    ) -> str: ...

    assert (
        function(handler)
        == """\
(
  first_parameter: { [key: string]: number },
  second_parameter: string[],
  third: "abcdefgh",
) => string"""
    )
    values = Literal[tuple(f"choice number {n}" for n in range(5))]
    assert (
        Types().text(Shape({"choice": Member(values)}), "sent")
        == """\
{
  choice:
    | "choice number 0"
    | "choice number 1"
    | "choice number 2"
    | "choice number 3"
    | "choice number 4";
}"""
    )


def test_comments_end_where_they_should():
    assert syntax.comment("") == ""
    assert syntax.comment("One\n  line.") == "/** One line. */\n"
    assert syntax.comment("Not */ here") == "/** Not *\\/ here */\n"
    long = syntax.comment("word " * 40)
    assert long.startswith("/**\n * word word")
    assert max(map(len, long.splitlines())) <= syntax.WIDTH


def test_what_is_merged_is_required_if_all_have_it():
    one = Shape({"a": Member(str, note="First."), "b": Member(int), "c": Member(str)})
    other = Shape({"a": Member(str), "b": Member(str | None), "d": Member(Written("X"))})
    assert merged([one, other, other]) == Shape({
        "a": Member(str, note="First."),
        "b": Member(int | str | None),
        "c": Member(str, required=False),
        "d": Member(Written("X"), required=False),
    })  # fmt: skip
    assert merged([one, Shape({}, more=True)]) == Shape(one.partial().members, more=True)


def test_shapes_of_classes():
    assert shape_of(Page[int]) == Shape({"items": Member(list[int]), "total": Member(int)})
    assert shape_of(Range) is None
    assert shape_of(dict[str, int]) is None


def test_documents_are_described_once():
    server = ddpcore.Server()
    assert server.collection("notes")(Note) is Note
    assert server.collections == {"notes": Note}
    with pytest.raises(DDPError, match="'notes' are described already"):
        server.collection("notes")(Note)


def test_signatures_are_those_of_the_wrapped():
    def handler(ctx, a: int) -> str: ...

    assert signature_of(handler) == inspect.signature(lambda a: None).replace(
        parameters=[
            inspect.Parameter("a", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=int)
        ],
        return_annotation=str,
    )
