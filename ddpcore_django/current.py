"""`this`: who calls, for endpoints and publications, as in Meteor and django-ddp.

`this.user_id`, `this.user`, `this.connection`, `this.unblock()`, `this.set_user_id(…)`,
`this.random` and the rest of the context of the method or publication that is running.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any, cast

from ddpcore.server import Context

__all__ = ["This", "current_context", "this"]

current_context: ContextVar[Context] = ContextVar("ddpcore_django_context")


class This:
    """The running method's or publication's context, wherever in the code one is."""

    @property
    def context(self) -> Context:
        """The context itself: a `ddpcore.MethodContext` or `ddpcore.PublicationContext`.

        Raises:
            RuntimeError: No method or publication is running.
        """
        try:
            return current_context.get()
        except LookupError:
            raise RuntimeError(
                "`this` exists only while a DDP method or publication runs."
            ) from None

    @property
    def user(self) -> Any:
        """The user who is logged in, read once in each call; else an `AnonymousUser`.

        An inactive user is none. After `set_user_id` it is the new one.

        Raises:
            SynchronousOnlyOperation: It is to be read in an `async def` endpoint, which would
                hold up all clients: there it is ``await this.auser()``.
        """
        context = self.context
        seen = _seen(context)
        if seen is None:
            if _on_a_loop():
                from django.core.exceptions import SynchronousOnlyOperation

                raise SynchronousOnlyOperation(
                    "this.user asks the database, and an async def endpoint cannot wait for that: "
                    "write `await this.auser()`."
                )
            seen = _see(context)
        return seen[1]

    async def auser(self) -> Any:
        """The same for `async def` endpoints; `this.user` knows it from then on."""
        context = self.context
        seen = _seen(context) or await context.server.in_thread(_see, context)
        return seen[1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.context, name)


def _seen(context: Any) -> tuple[str | None, Any] | None:
    seen: tuple[str | None, Any] | None = getattr(context, "_django_user", None)
    return seen if seen is not None and seen[0] == context.user_id else None


def _see(context: Any) -> tuple[str | None, Any]:
    from ddpcore_django.users import user_of

    user_id = context.user_id
    seen = context._django_user = (user_id, user_of(user_id))
    return seen


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


this = cast("Any", This())
"""Who calls, while a method or a publication runs; see `ddpcore_django.current.This`."""
