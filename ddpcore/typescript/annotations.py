"""From Python's annotations to TypeScript's types.

What a client may *send* is what msgspec lets through for an annotation
(`ddpcore.server.arguments`), what it *gets* is what EJSON makes of such a value. So one annotation
may be two types: a `date` is taken as text, and arrives as a Date. What nobody knows is `unknown`.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import (
    Awaitable,
    Coroutine,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    Sequence,
)
from collections.abc import Collection as AbstractCollection
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Final, Literal, NewType, TypeVar, Union
from uuid import UUID

import msgspec

from ddpcore.errors import DDPError
from ddpcore.typescript import syntax
from ddpcore.typescript.shapes import Member, Shape, Written
from ddpcore.wire.ejson import ObjectID, RegExp
from ddpcore.wire.unset import Unset

__all__ = ["Types", "Way", "first_paragraph", "shape_of"]

Way = Literal["taken", "sent"]
"""Whether a value comes from a client or goes to it."""

# The same both ways.
_PLAIN: dict[Any, str] = {
    None: "null",
    NoneType: "null",
    str: "string",
    typing.LiteralString: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    datetime: "Date",
    bytes: "Uint8Array",
    bytearray: "Uint8Array",
    ObjectID: "unknown",  # what it is depends on the client
    RegExp: "RegExp",
    typing.Never: "never",
    typing.NoReturn: "never",
}

_TAKEN: dict[Any, list[str]] = {
    date: ["string"],
    time: ["string"],
    timedelta: ["string"],
    UUID: ["string"],
    Decimal: ["string", "number"],
    memoryview: ["string"],
}

# EJSON has no form for what is missing here, so no client can get it.
_SENT: dict[Any, list[str]] = {
    date: ["Date"],
    memoryview: ["Uint8Array"],
    re.Pattern: ["RegExp"],
    Unset: ["undefined"],
}

_LISTS = (list, tuple, Sequence, MutableSequence, AbstractCollection)
_SETS = (set, frozenset, AbstractSet)
_MAPPINGS = (dict, Mapping, MutableMapping)
_READ_ONLY = getattr(typing, "ReadOnly", Final)  # of Python 3.13
_WRAPPERS = (Annotated, Final, ClassVar, typing.Required, typing.NotRequired, _READ_ONLY)


class Types:
    """Writes types, and gathers the declarations of those that have a name.

    Attributes:
        declarations: Name → text. Complete once all types are written.
    """

    def __init__(self) -> None:
        self.declarations: dict[str, str] = {}
        self._names: dict[tuple[Any, Way | None], str] = {}
        self._trial = False

    def text(self, annotation: Any, way: Way) -> str:
        """The type of values of an annotation.

        Args:
            annotation: One, or a `Shape`, or what is `Written`.
            way: Whether clients send or get them.

        Raises:
            ddpcore.DDPError: A class has annotations that cannot be read.
        """
        return syntax.union(self._alternatives(annotation, way))

    def function(self, signature: inspect.Signature, result: Any = None, *, used: int = 0) -> str:
        """The type of a function that stands for a method or a publication.

        Args:
            signature: Its parameters, as clients give them, and what it returns.
            result: What it returns, if not what the signature says.
            used: Columns that are used in the line where the type begins.
        """
        names: list[str] = []
        parameters = []
        for each in signature.parameters.values():
            name = syntax.identifier(each.name, names)
            names.append(name)
            alternatives = self._alternatives(_known(each.annotation), "taken")
            if each.kind is each.VAR_POSITIONAL:
                parameters.append(f"...{name}: {syntax.array(alternatives)}")
            else:
                mark = "" if each.default is each.empty else "?"
                parameters.append(f"{name}{mark}: {syntax.union(alternatives)}")
        returned = _known(signature.return_annotation) if result is None else result
        return syntax.function(parameters, self.text(returned, "sent"), used=used)

    def _alternatives(self, annotation: Any, way: Way) -> list[str]:
        match annotation:
            case Written():
                return [annotation.text]
            case Shape():
                return [self._object(annotation, way)]
            case NewType():
                return self._alternatives(annotation.__supertype__, way)
            case TypeVar():
                return self._alternatives(annotation.__bound__ or Any, way)
        try:
            known = _PLAIN.get(annotation)
        except TypeError:  # an annotation that has no hash is none of them
            return ["unknown"]
        if known is not None:
            return [known]
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is None:
            return self._of_class(annotation, annotation, way)
        if origin in (Union, UnionType):
            return self._of_union(arguments, way)
        if origin is Literal:
            return self._of_literal(arguments)
        if origin in _WRAPPERS:
            return self._alternatives(arguments[0], way)
        if origin in (Awaitable, Coroutine):
            return self._alternatives(arguments[-1], way)
        if origin is tuple and (len(arguments) != 2 or arguments[1] is not ...):
            items = [self.text(each, way) for each in arguments if each != ()]
            return [f"[{', '.join(items)}]"]
        return self._of_container(origin, arguments, way) or self._of_class(annotation, origin, way)

    def _of_union(self, arguments: tuple[Any, ...], way: Way) -> list[str]:
        # What is not set is left out: `_fields` says that such a member is optional.
        wanted = [each for each in arguments if each is not msgspec.UnsetType]
        return [text for each in wanted for text in self._alternatives(each, way)]

    def _of_literal(self, values: tuple[Any, ...]) -> list[str]:
        plain = (value.value if isinstance(value, Enum) else value for value in values)
        known = [syntax.literal(v) for v in plain if v is None or isinstance(v, str | int | float)]
        return known if len(known) == len(values) else ["unknown"]

    def _of_container(self, origin: Any, arguments: tuple[Any, ...], way: Way) -> list[str]:
        if origin in _LISTS or (origin in _SETS and way == "taken"):
            item = arguments[0] if arguments else Any
            return [syntax.array(self._alternatives(item, way))]
        if origin in _MAPPINGS:
            of_key, value = arguments or (Any, Any)
            # Keys travel as text. What is made of other text than its own takes none.
            keys = self._alternatives(of_key, way) if of_key is not Any else ["string"]
            if set(keys) <= {"number", "null", "boolean"}:
                return ["Record<string, never>"]
            values = self.text(value, way)
            if all(each.startswith('"') for each in keys):
                return [f"{{ [key in {syntax.union(keys)}]?: {values} }}"]
            return [f"{{ [key: string]: {values} }}"]
        return []

    def _of_class(self, annotation: Any, kind: Any, way: Way) -> list[str]:
        if hasattr(kind, "__value__"):  # an alias by the statement `type`
            return [self._named(annotation, kind, way)]
        if not isinstance(kind, type):
            return ["unknown"]
        if known := (_TAKEN if way == "taken" else _SENT).get(kind):
            return known
        if container := self._of_container(kind, (), way):
            return container
        if typing.is_typeddict(kind):
            return [self._named(annotation, kind, way)]
        if issubclass(kind, Enum):
            return self._of_enum(kind, way)
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return [self._named(annotation, kind, way)]
        if _is_record(kind):
            return [self._named(annotation, kind, way)] if way == "taken" else ["unknown"]
        if way == "sent":  # subclasses travel as what they are of
            bases = (str, bool, int, float, dict, list, tuple)
            base = next((each for each in bases if issubclass(kind, each)), None)
            if base is not None and kind is not base:
                return self._alternatives(base, way)
        return ["unknown"]

    def _of_enum(self, kind: type[Enum], way: Way) -> list[str]:
        values = [each.value for each in kind]
        if way == "sent" and not issubclass(kind, str | int | float):
            return ["unknown"]
        return self._of_literal(tuple(values))

    # --- types with a name

    def _named(self, annotation: Any, kind: Any, way: Way) -> str:
        alike = self._trial or self._is_alike(annotation)
        key = (annotation, None if alike else way)
        if key not in self._names:
            wanted = _wanted_name(annotation, kind)
            if not alike and way == "taken" and not _is_record(kind):
                wanted += "Input"
            name = self._names[key] = syntax.type_name(wanted, self.declarations)
            self.declarations[name] = ""  # its own members may name it
            self.declarations[name] = self._declaration(name, annotation, kind, way)
        return self._names[key]

    def _declaration(self, name: str, annotation: Any, kind: Any, way: Way) -> str:
        if hasattr(kind, "__value__"):
            values = dict(zip(kind.__type_params__, typing.get_args(annotation), strict=False))
            return f"export type {name} = {self.text(_put(kind.__value__, values), way)};\n"
        fields = _fields(annotation, kind)
        if _is_list(kind):
            items = [
                f"{syntax.identifier(each)}{'' if field.required or way == 'sent' else '?'}: "
                f"{self.text(field.annotation, way)}"
                for each, field in fields.items()
            ]
            return f"export type {name} = [{', '.join(items)}];\n"
        note = syntax.comment(_own_text(kind))
        return f"{note}export interface {name} {self._object(Shape(fields), way)}\n"

    def _is_alike(self, annotation: Any) -> bool:
        # Whether it is the same both ways: then one declaration will do.
        tried = []
        ways: tuple[Way, Way] = ("taken", "sent")
        for way in ways:
            trial = Types()
            trial._trial = True
            tried.append((trial.text(annotation, way), trial.declarations))
        return tried[0] == tried[1]

    def _object(self, shape: Shape, way: Way) -> str:
        lines = []
        for name, each in shape.members.items():
            text = self.text(each.annotation, way)
            lines.append(
                syntax.comment(each.note) + syntax.member(name, text, optional=not each.required)
            )
        if shape.more:
            lines.append("[field: string]: unknown;")
        if not lines:
            return "{ [key: string]: never }"
        return "{" + "".join(f"\n  {syntax.indented(each)}" for each in lines) + "\n}"


def shape_of(annotation: Any) -> Shape | None:
    """The members of objects of an annotation; None if it tells of none."""
    if isinstance(annotation, Shape):
        return annotation
    kind = typing.get_origin(annotation) or annotation
    if typing.is_typeddict(kind) or (_is_record(kind) and not _is_list(kind)):
        return Shape(_fields(annotation, kind))
    return None


def _known(annotation: Any) -> Any:
    return Any if annotation is inspect.Parameter.empty else annotation


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and (
        dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct)
    )


def _is_list(kind: Any) -> bool:
    # Whether its objects travel as lists of their members.
    if issubclass(kind, msgspec.Struct):
        return bool(kind.__struct_config__.array_like)
    return issubclass(kind, tuple)


def _own_text(kind: Any) -> str:
    text = kind.__doc__ or ""
    made = text.startswith(f"{kind.__name__}(")  # by `dataclass`, where there is none
    inherited = any(getattr(base, "__doc__", None) == text for base in kind.__mro__[1:])
    return "" if made or inherited else first_paragraph(text)


def first_paragraph(text: str | None) -> str:
    """The first paragraph of a docstring."""
    return inspect.cleandoc(text or "").partition("\n\n")[0]


def _wanted_name(annotation: Any, kind: Any) -> str:
    arguments = typing.get_args(annotation)
    names = [
        re.sub(r"\W", " ", getattr(each, "__name__", str(each))).title().replace(" ", "")
        for each in arguments
    ]
    return str(kind.__name__) + ("Of" + "And".join(names) if names else "")


# --- the members of classes ---------------------------------------------------------------------


def _fields(annotation: Any, kind: Any) -> dict[str, Member]:
    try:
        return dict(_members(annotation, kind))
    except (NameError, TypeError) as problem:
        raise DDPError(
            f"The annotations of {kind.__module__}.{kind.__qualname__} cannot be read: {problem}"
        ) from problem


def _members(annotation: Any, kind: Any) -> Iterator[tuple[str, Member]]:
    if issubclass(kind, msgspec.Struct):
        config = kind.__struct_config__
        if config.tag is not None:
            yield config.tag_field, Member(Literal[config.tag])
        for each in msgspec.structs.fields(annotation):
            yield each.encode_name, Member(each.type, each.required)
        return
    hints = typing.get_type_hints(kind, include_extras=True)
    values = dict(
        zip(getattr(kind, "__parameters__", ()), typing.get_args(annotation), strict=False)
    )
    for name, required in _own_members(kind, hints):
        hint = _put(hints[name], values)
        if typing.get_origin(hint) in (typing.Required, typing.NotRequired):
            # Said as text, where the class itself did not see it.
            required = typing.get_origin(hint) is typing.Required  # noqa: PLW2901
        yield name, Member(hint, required)


def _own_members(kind: Any, hints: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    if dataclasses.is_dataclass(kind):
        for each in dataclasses.fields(kind):
            missing = dataclasses.MISSING
            yield each.name, each.default is missing and each.default_factory is missing
    elif issubclass(kind, tuple):
        for name in kind._fields:
            yield name, name not in kind._field_defaults
    else:
        for name in hints:
            yield name, name in kind.__required_keys__


def _put(hint: Any, values: Mapping[Any, Any]) -> Any:
    # Arguments in the place of a generic class's parameters.
    if isinstance(hint, TypeVar):
        return values.get(hint, Any)
    parameters = getattr(hint, "__parameters__", ())
    if not parameters or typing.get_origin(hint) is None:
        return hint
    return hint[tuple(values.get(each, Any) for each in parameters)]
