"""Guards: who may call an endpoint, and whom a publication gives anything.

::

    class Books(APIMixin):
        @api_endpoint
        @permission_required("bookstore.add_book")
        def add(self, title: str): ...

    @login_required
    class MyBooks(Publication): ...

They stand above or below `api_endpoint`, on plain and on `async def` functions, on `Publication`
classes (and hold for classes made of these) and on their `get_queries`.

Who may not call an endpoint is told so: 403. A publication does not refuse: it gives nothing, and
is ready. For an error ends a subscription at the client's side, and a log-in would not bring it
back; one that is ready runs again when somebody logs in or out, and the client gets the difference
(Meteor's own publications say ``if (!this.userId) return this.ready()`` for that).

Only a clear yes is one: an exception, or anything else than True, means no. An inactive user is
nobody.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ddpcore.errors import MeteorError
from ddpcore_django.current import this
from ddpcore_django.publication import Publication

__all__ = ["Guard", "Refused", "login_required", "permission_required", "says_yes", "staff_only"]

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Callable[..., Any])


class Refused(MeteorError):
    """403, a guard's answer. In a publication it means that there is nothing to see.

    Args:
        reason: What the client reads.
    """

    def __init__(self, reason: str = "Access denied") -> None:
        super().__init__(403, reason)


class Guard:
    """Lets through whom it says yes to; a decorator.

    Args:
        name: What the log calls it.
        may_pass: Whether a user who is logged in may. It may use the ORM.
    """

    def __init__(self, name: str, may_pass: Callable[[Any], object]) -> None:
        self.name = name
        self._may_pass = may_pass

    def check(self, user: Any) -> None:
        """Ask about `user`; in a thread.

        Raises:
            Refused: The answer is no.
        """
        if not says_yes(f"{self.name}, on who is logged in,", _is_somebody, user):
            raise Refused("Must be logged in")
        if not says_yes(self.name, self._may_pass, user):
            raise Refused

    def __call__(self, target: T) -> T:
        """Guard an endpoint, a `Publication` class or its `get_queries`.

        Args:
            target: Which.

        Returns:
            The class itself, or a function in the place of the other.

        Raises:
            TypeError: It is none of these.
        """
        if inspect.isclass(target):
            if not issubclass(target, Publication):
                raise TypeError(
                    f"{self.name} guards Publication classes and functions. "
                    f"Put it on each endpoint of {target.__name__}."
                )
            target.guards = (self, *target.__dict__.get("guards", ()))
            return target
        if not inspect.isfunction(target):
            raise TypeError(f"{self.name} guards functions and Publication classes: {target!r}.")
        return cast("T", self._around(target))

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.check(this.user)
            return function(*args, **kwargs)

        @functools.wraps(function)
        async def guarded_async(*args: Any, **kwargs: Any) -> Any:
            user = await this.auser()
            await this.context.server.in_thread(self.check, user)
            return await function(*args, **kwargs)

        return guarded_async if inspect.iscoroutinefunction(function) else guarded


def says_yes(what: str, question: Callable[..., object], *args: Any) -> bool:
    """Whether the answer is True, and not just something that is not false.

    Args:
        what: What is asked, for the log: mistakes are said there.
        question: Asked with these arguments.
        *args: The arguments.

    Raises:
        ddpcore.MeteorError: Raised by `question`, which so chooses what the client reads.
    """
    try:
        answer = question(*args)
    except MeteorError:
        raise
    except Exception:
        logger.exception("Exception in %s: it counts as no", what)
        return False
    if inspect.iscoroutine(answer):
        answer.close()
    if answer is not None and not isinstance(answer, bool):
        logger.error(
            "%s gave %s, which counts as no: it is to be a plain def that gives True or False",
            what,
            type(answer).__name__,
        )
    return answer is True


def _is_somebody(user: Any) -> object:
    return user.is_authenticated if user.is_active else False


def _is_staff(user: Any) -> object:
    return user.is_staff


def permission_required(*permissions: str) -> Guard:
    """A guard for who is logged in and has all of these permissions.

    Args:
        *permissions: Names as Django has them, such as ``"bookstore.add_book"``.

    Raises:
        TypeError: No permission is named, or what is given is no name of one.
    """
    names: tuple[object, ...] = permissions
    if not names or not all(isinstance(each, str) and "." in each for each in names):
        raise TypeError('Name the permissions: @permission_required("app.add_model").')
    return Guard(
        f"permission_required{permissions}",
        lambda user: all(user.has_perm(each) is True for each in permissions),
    )


login_required = Guard("login_required", lambda _: True)
"""A guard for who is logged in."""

staff_only = Guard("staff_only", _is_staff)
"""A guard for who is logged in and is staff, as for Django's admin."""
