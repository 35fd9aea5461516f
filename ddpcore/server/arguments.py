"""A handler's parameters: their number and their types, enforced before it runs.

The annotations are the contract: `str`, `int`, `list[str]`, `str | None`, `Literal["a", "b"]`,
`TypedDict`s and dataclasses (made of objects), `datetime` and `bytes` (EJSON's own), `UUID`,
`Decimal`, `date` and `time` (made of strings), or the class of a registered EJSON type. What is
not annotated may be anything. A number with a fraction is no `int`, and neither is True.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from datetime import datetime
from types import GenericAlias
from typing import Any

import msgspec

from ddpcore.errors import DDPError

__all__ = ["Arguments", "Mismatch", "signature_of"]

# EJSON has forms of its own for these: a string in their place is a string.
_EJSON_TYPES = (datetime, bytes, bytearray)

Mismatch = msgspec.ValidationError
"""What `Arguments.bind` raises."""


class Arguments:
    """What a function takes after its first parameter, the context.

    Args:
        name: What clients call the function; for messages.
        function: A handler.

    Raises:
        ddpcore.DDPError: The function has no place for the context, has required keyword-only
            parameters, which a client could not give, or an annotation that nobody can enforce.
    """

    __slots__ = ("_any", "_count", "_rest", "_type")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        try:
            self._prepare(_parameters(inspect.signature(function, eval_str=True)))
        except (TypeError, NameError, ValueError) as problem:
            raise DDPError(f"{name!r} cannot be a handler: {problem}") from problem

    def _prepare(self, parameters: list[inspect.Parameter]) -> None:
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        self._rest: Any = None
        for parameter in parameters:
            annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
            name = f"argument{len(fields)}"
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = GenericAlias(list, (annotation,))
            elif parameter.kind is parameter.VAR_KEYWORD:
                continue  # DDP has no keyword arguments
            elif parameter.kind is parameter.KEYWORD_ONLY:
                if parameter.default is parameter.empty:
                    raise TypeError(
                        f"its parameter {parameter.name!r} can never be given, since DDP has no "
                        "keyword arguments. Give it a default, or drop the *."
                    )
            elif parameter.default is parameter.empty:
                fields.append((name, annotation))
            else:
                # The default is the function's affair: what the client leaves out stays out.
                fields.append((name, annotation | msgspec.UnsetType, msgspec.UNSET))
        self._count = len(fields)
        # Whether there is nothing to check but their number, which is this.
        is_any = self._rest is None and all(len(f) == 2 and f[1] is Any for f in fields)
        self._any = self._count if is_any else -1
        self._type: Any = msgspec.defstruct(
            "Arguments", fields, array_like=True, forbid_unknown_fields=True, gc=False
        )
        self._check_types()

    def _check_types(self) -> None:
        # msgspec looks at a type when it first meets it: that shall be now, not at a client's.
        try:
            self.bind([object()] * max(self._count, 1))
        except Mismatch:
            pass

    def bind(self, params: Sequence[Any]) -> list[Any]:
        """Check the client's arguments and convert them to what the annotations say.

        Raises:
            Mismatch: Too few, too many, or of a wrong type; the text says which. It may quote
                what the client sent, so it is for the server's log alone.
        """
        if len(params) == self._any:
            return list(params)
        rest: list[Any] = []
        if self._rest is not None and len(params) > self._count:
            params, extra = params[: self._count], params[self._count :]
            rest = msgspec.convert(extra, self._rest, builtin_types=_EJSON_TYPES)
        own = msgspec.convert(params, self._type, builtin_types=_EJSON_TYPES)
        return [v for v in msgspec.structs.astuple(own) if v is not msgspec.UNSET] + rest


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """A handler as its clients see it: without the context, and without keyword arguments.

    Annotations written as strings are read where the function was written.
    """
    signature = inspect.signature(function, eval_str=True)
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    given = [each for each in _parameters(signature) if each.kind not in by_name]
    return signature.replace(parameters=given)


def _parameters(signature: inspect.Signature) -> list[inspect.Parameter]:
    parameters = list(signature.parameters.values())
    first = parameters[0] if parameters else None
    if first is None or first.kind in (first.KEYWORD_ONLY, first.VAR_KEYWORD):
        raise TypeError("it takes no argument, but the first one is the context.")
    return parameters if first.kind is first.VAR_POSITIONAL else parameters[1:]
