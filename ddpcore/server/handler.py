"""A handler: a user's function behind a method or a publication, `def` or `async def`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ddpcore.errors import DDPError, MeteorError

__all__ = ["Handler"]


class Handler:
    """A user's function, and how many arguments it takes after the context.

    Args:
        name: What clients call it.
        function: Takes the context first, then the client's arguments by position.

    Raises:
        ddpcore.DDPError: The function has no place for the context, or has required
            keyword-only parameters, which a client could not give.
    """

    __slots__ = ("function", "is_async", "name", "_least", "_most")  # noqa: RUF023

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function)
        least, most = 0, 0.0
        for parameter in inspect.signature(function).parameters.values():
            required = parameter.default is parameter.empty
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                least += required
                most += 1
            elif parameter.kind is parameter.VAR_POSITIONAL:
                most = float("inf")
            elif parameter.kind is parameter.KEYWORD_ONLY and required:
                raise DDPError(
                    f"{name!r}: the parameter {parameter.name!r} can never be given, since DDP "
                    "has no keyword arguments. Give it a default, or drop the *."
                )
        if most < 1:
            raise DDPError(f"{name!r}: a handler takes the context as its first argument.")
        self._least = max(least - 1, 0)
        self._most = most - 1

    def check(self, params: Sequence[Any]) -> None:
        """Refuse a wrong number of arguments.

        Raises:
            ddpcore.MeteorError: 400 "Match failed", as Meteor's `check` does.
        """
        if not self._least <= len(params) <= self._most:
            raise MeteorError(400, "Match failed")
