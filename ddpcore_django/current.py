"""`this`: who calls, for endpoints and publications, as in Meteor and django-ddp.

`this.user_id`, `this.user`, `this.connection`, `this.unblock()`, `this.set_user_id(…)`,
`this.random` and the rest of the context of the method or publication that is running.
"""

from __future__ import annotations

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
        """The user who is logged in, read anew at each access; else an `AnonymousUser`."""
        from ddpcore_django.users import user_of

        return user_of(self.context.user_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.context, name)


this = cast("Any", This())
