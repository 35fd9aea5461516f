"""Any annotation: the compiler takes just those values that travel.

What clients may send is what `Arguments.bind` lets through, asked of itself. What they get is what
Python values of the annotation become on the wire. TypeScript cannot tell an integer from other
numbers, nor one text from another; `loosened` annotations are those that cannot tell, either.
"""

from __future__ import annotations

from dataclasses import field, make_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, TypedDict, Union, get_origin, is_typeddict
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typescript import Assignments, errors

from ddpcore import DDPError, ejson
from ddpcore.server.arguments import Arguments
from ddpcore.typescript.annotations import Types, shape_of

pytestmark = pytest.mark.node

KEYS = ("a", "b", "größe", "with space", "new")
NOW = datetime(2026, 11, 20, tzinfo=UTC)

# --- annotations, each with the same that cannot tell numbers and texts apart --------------------

SIMPLE = [
    (str, str), (bool, bool), (int, float), (float, float), (None, None), (Any, Any),
    (datetime, datetime), (bytes, bytes), (date, str), (UUID, str), (Decimal, str | float),
    (Literal["x", "y"],) * 2, (Literal[1, 2],) * 2, (Literal["x", 1],) * 2,
    (Enum("Colour", {"RED": "red", "BLUE": "blue"}),) * 2,
]  # fmt: skip


def containers(items):
    def typed(kind):
        def make(fields):
            pairs = [(name, either, needed) for name, (either, needed) in fields.items()]
            return tuple(kind([(n, e[which], need) for n, e, need in pairs]) for which in (0, 1))

        members = st.dictionaries(
            st.sampled_from(KEYS), st.tuples(items, st.booleans()), max_size=3
        )
        return members.map(make)

    return st.one_of(
        items.map(lambda e: (list[e[0]], list[e[1]])),
        items.map(lambda e: (dict[str, e[0]], dict[str, e[1]])),
        st.sampled_from(SIMPLE).map(lambda e: (set[e[0]], list[e[1]])),
        items.map(lambda e: (e[0] | None, e[1] | None) if e[0] is not None else e),
        st.lists(items, min_size=2, max_size=3).map(
            lambda several: tuple(tuple[*(e[which] for e in several)] for which in (0, 1))
        ),
        st.lists(items, min_size=2, max_size=3).map(
            lambda several: tuple(map(union, zip(*several)))
        ),
        typed(as_typed_dict),
        typed(as_struct),
        typed(as_dataclass),
    )


def union(annotations):
    return Union[tuple(annotations)]  # noqa: UP007


def as_typed_dict(fields):
    return TypedDict("Typed", {name: a if need else NotRequired[a] for name, a, need in fields})


def as_struct(fields):
    names = {f"field{i}": name for i, (name, _, _) in enumerate(fields)}
    members = [
        (f"field{i}", a) if need else (f"field{i}", a | msgspec.UnsetType, msgspec.UNSET)
        for i, (_, a, need) in enumerate(fields)
    ]
    return msgspec.defstruct("Record", members, rename=names, kw_only=True)


def as_dataclass(fields):
    members = [
        (n, a) if need else (n, a | msgspec.UnsetType, field(default=msgspec.UNSET))
        for n, a, need in fields
        if n.isidentifier()
    ]
    return make_dataclass("Data", members, kw_only=True)


ANNOTATIONS = st.recursive(st.sampled_from(SIMPLE), containers, max_leaves=6)

# --- values as a client has them -------------------------------------------------------------

VALUES = st.recursive(
    st.sampled_from(
        [None, True, False, 0, 1, 2, 1.5, "", "x", "y", "red", "2026-11-20", str(UUID(int=7)), "1.5",
         NOW, b"", b"ab"]
    ),
    lambda items: st.lists(items, max_size=3)
    | st.dictionaries(st.sampled_from(KEYS), items, max_size=3),
    max_leaves=5,
)  # fmt: skip


EXAMPLES = {
    str: ["x"], int: [1], float: [1.5, 1], bool: [True], datetime: [NOW], bytes: [b"ab"],
    date: ["2026-11-20", NOW], UUID: [str(UUID(int=7))], Decimal: ["1.5", 1.5, 1],
}  # fmt: skip


@st.composite
def near(draw, annotation: Any) -> Any:
    """A value that may well be one of the annotation."""
    args = getattr(annotation, "__args__", ())
    origin = get_origin(annotation)
    if annotation in (None, NoneType):
        return None
    if origin in (list, set):
        return draw(st.lists(near(args[0]), max_size=2))
    if origin is tuple:
        return [draw(near(each)) for each in args]
    if origin is dict:
        return draw(st.dictionaries(st.sampled_from(KEYS), near(args[1]), max_size=2))
    if origin is Literal:
        return draw(st.sampled_from(args))
    if origin in (Union, UnionType):
        return draw(near(draw(st.sampled_from([a for a in args if a is not msgspec.UnsetType]))))
    if members := members_of(annotation):
        return {
            name: draw(near(each))
            for name, (each, required) in members.items()
            if required or draw(st.booleans())
        }
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return draw(st.sampled_from([each.value for each in annotation]))
    return draw(st.sampled_from(EXAMPLES.get(annotation, [None])))


def members_of(kind: Any) -> dict[str, tuple[Any, bool]]:
    shape = shape_of(kind)
    return {n: (bare(m.annotation), m.required) for n, m in shape.members.items()} if shape else {}


def bare(annotation: Any) -> Any:
    wrapped = get_origin(annotation) is NotRequired
    return annotation.__args__[0] if wrapped else annotation


def takes(annotation: Any, value: Any) -> bool:
    def handler(ctx, value): ...

    handler.__annotations__["value"] = annotation
    try:
        Arguments("handler", handler).bind([value])
    except msgspec.ValidationError:
        return False
    return True


# Each example is a run of the compiler, over many cases; it names the line of the one that fails.
BATCHES = settings(
    max_examples=5,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

CASES = st.lists(
    ANNOTATIONS.flatmap(
        lambda both: st.tuples(
            st.just(both), st.lists(st.one_of(near(both[0]), VALUES), min_size=2, max_size=5)
        )
    ),
    min_size=15,
    max_size=40,
)


@BATCHES
@given(cases=CASES)
def test_what_clients_may_send(cases, tmp_path_factory):
    directory = tmp_path_factory.mktemp("taken")
    types, file = Types(), Assignments('import type * as t from "./types";')
    aliases = []
    for (annotation, loose), values in cases:
        try:
            takes(annotation, None)
        except DDPError:
            continue  # nobody can enforce it: it is refused when it is registered
        try:
            takes(loose, None)
        except DDPError:
            loose = None
        name = f"T{len(aliases)}_"
        aliases.append(f"export type {name} = {types.text(annotation, 'taken')};\n")
        for value in values:
            if takes(annotation, value):
                if not surplus(annotation, value):
                    file.fits(f"t.{name}", value)
            elif loose is not None and not takes(loose, value):
                file.fails(f"t.{name}", value)
    (directory / "types.d.ts").write_text("".join([*aliases, *types.declarations.values()]))
    file.write(directory / "values.ts")
    assert errors(directory, "values.ts") == ""


def surplus(annotation: Any, value: Any) -> bool:
    """Whether a value may have members that its annotation does not name.

    They are dropped by the server, and no type of TypeScript's.
    """
    converted = msgspec.convert([value], list[annotation], builtin_types=(datetime, bytes))
    return count(msgspec.to_builtins(converted, builtin_types=(datetime, bytes))) < count([value])


def count(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(count, value.values()))
    return sum(map(count, value)) if isinstance(value, list) else 0


# --- what clients get ----------------------------------------------------------------------------


class Size(StrEnum):
    SMALL = "s"
    LARGE = "l"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


SENT = st.recursive(
    st.sampled_from(
        [str, bool, int, float, None, Any, datetime, date, bytes, Size, Level,
         Literal["x", "y"], Literal["x", 1, True]]
    ),
    lambda items: st.one_of(
        items.map(lambda each: list[each]),
        items.map(lambda each: dict[str, each]),
        st.lists(items, min_size=1, max_size=3).map(lambda several: tuple[*several]),
        st.lists(items, min_size=2, max_size=3).map(union),
        st.dictionaries(st.sampled_from(KEYS), st.tuples(items, st.booleans()), max_size=3).map(
            lambda fields: as_typed_dict([(n, a, need) for n, (a, need) in fields.items()])
        ),
    ),
    max_leaves=6,
)  # fmt: skip


def arrives(annotation: Any, value: Any) -> bool:
    """Whether what a client has is what it should get for an annotation."""
    origin, args = get_origin(annotation), getattr(annotation, "__args__", ())
    if annotation is Any:
        return True
    if annotation in (None, NoneType):
        return value is None
    if origin in (Union, UnionType):
        return any(arrives(each, value) for each in args)
    if origin is Literal:
        return any(type(each) is type(value) and each == value for each in args)
    if origin is list:
        return isinstance(value, list) and all(arrives(args[0], each) for each in value)
    if origin is tuple:
        return (
            isinstance(value, list) and len(value) == len(args) and all(map(arrives, args, value))
        )
    if origin is dict:
        return isinstance(value, dict) and all(arrives(args[1], v) for v in value.values())
    if is_typeddict(annotation):
        members = members_of(annotation)
        return (
            isinstance(value, dict)
            and value.keys() <= members.keys()
            and all(name in value for name, (_, required) in members.items() if required)
            and all(arrives(members[name][0], each) for name, each in value.items())
        )
    if issubclass(annotation, Enum):
        return any(type(value) in (str, int) and value == each.value for each in annotation)
    kinds = {int: (int, float), float: (int, float), date: (datetime,)}.get(annotation, annotation)
    return isinstance(value, kinds) and (isinstance(value, bool) == (annotation is bool))


@BATCHES
@given(
    cases=st.lists(
        SENT.flatmap(
            lambda each: st.tuples(
                st.just(each), st.lists(st.one_of(near(each), VALUES), min_size=2, max_size=5)
            )
        ),
        min_size=15,
        max_size=40,
    )
)
def test_what_clients_get(cases, tmp_path_factory):
    directory = tmp_path_factory.mktemp("sent")
    types, file = Types(), Assignments('import type * as t from "./types";')
    aliases = []
    for annotation, values in cases:
        name = f"T{len(aliases)}_"
        aliases.append(f"export type {name} = {types.text(annotation, 'sent')};\n")
        for each in values:
            value = ejson.loads(ejson.dumps(each))
            (file.fits if arrives(annotation, value) else file.fails)(f"t.{name}", value)
    (directory / "types.d.ts").write_text("".join([*aliases, *types.declarations.values()]))
    file.write(directory / "values.ts")
    assert errors(directory, "values.ts") == ""
