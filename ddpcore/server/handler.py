"""A handler: a user's function behind a method or a publication, `def` or `async def`."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any

from ddpcore.errors import MeteorError
from ddpcore.server.arguments import Arguments, Mismatch, signature_of

__all__ = ["Handler"]

logger = logging.getLogger(__name__)


class Handler:
    """A user's function, and what it takes after the context.

    Args:
        name: What clients call it.
        function: Takes the context first, then the client's arguments by position.

    Raises:
        ddpcore.DDPError: The function cannot be a handler, see `Arguments`.
    """

    __slots__ = ("_arguments", "function", "is_async", "name")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function)
        self._arguments = Arguments(name, function)

    @property
    def signature(self) -> inspect.Signature:
        """What clients give, and what is returned, as the annotations say."""
        return signature_of(self.function)

    def bind(self, params: Sequence[Any]) -> list[Any]:
        """The arguments for the function; what is wrong with them stands in the log only.

        Raises:
            ddpcore.MeteorError: 400 "Match failed", as Meteor's `check` does.
        """
        try:
            return self._arguments.bind(params)
        except Mismatch as problem:
            logger.info("The arguments of %r do not match: %s", self.name, problem)
            raise MeteorError(400, "Match failed") from None
