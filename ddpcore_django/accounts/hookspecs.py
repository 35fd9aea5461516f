"""The hooks of accounts: further ways to log in, vetoes, second factors, and who is told.

An implementation is a function of one of these names marked `@ddpcore.hookimpl`, in a module or an
object that `DDPCORE_ACCOUNTS["HOOKS"]` names, or in a plugin of the server. A plugin that is
installed also where accounts are not must mark it `@ddpcore.hookimpl(optionalhook=True)`.

All are called in a thread, and may use the ORM. They are plain functions: the answer of an
`async def` one is a coroutine that nobody awaits, and means no. None of them is ever given
a password, a digest or a token, but for `ddpcore_login`, which gets what the client has sent.

These arguments mean the same wherever they stand: `attempt` is an attempt to log in; `user` the
project's user, an instance of `AUTH_USER_MODEL`; `connection` the client's; `context` that of the
method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ddpcore.hookspecs import hookspec

if TYPE_CHECKING:
    from ddpcore.server.context import ConnectionHandle, MethodContext
    from ddpcore_django.accounts.attempts import Attempt

__all__ = [
    "ddpcore_logged_in",
    "ddpcore_logged_out",
    "ddpcore_login",
    "ddpcore_login_failed",
    "ddpcore_second_factor",
    "ddpcore_validate_login",
    "ddpcore_validate_new_user",
]


@hookspec(firstresult=True)
def ddpcore_login(context: MethodContext, options: dict[str, Any]) -> tuple[str, Any] | None:
    """Log a client in by what it has sent to `login`, or return None if it is not for you.

    The first result wins: the type of the login, a short word that the client gets back, and the
    user. Raise a `ddpcore.MeteorError` to refuse. `options` are the client's own words: check
    their types, and never pass them to the ORM as they are. Anything that has a `resume`, or
    a `user` and a `password`, does not get here.
    """


@hookspec
def ddpcore_validate_login(attempt: Attempt) -> bool:
    """Whether an attempt may succeed; it is asked of those that have failed, too.

    Only True from all of them lets the user in. Raise a `ddpcore.MeteorError` to say why not; it
    takes the place of another error. Otherwise the client is told "Login forbidden".
    """
    raise NotImplementedError  # a specification


@hookspec(firstresult=True)
def ddpcore_second_factor(user: Any, code: str | None) -> bool | None:
    """Whether `code` proves the user once more, after the password was right.

    None: this user needs no code. The first other answer counts. Without a code anything but None
    makes the client ask for one (`no-2fa-code`), with a code anything but True is
    `invalid-2fa-code`.
    """


@hookspec
def ddpcore_validate_new_user(user: Any, connection: ConnectionHandle) -> bool:
    """Whether a client may make this account, which is not saved yet.

    Only True from all of them lets it. Raise a `ddpcore.MeteorError` to say why not; otherwise the
    client is told "User validation failed".
    """
    raise NotImplementedError  # a specification


@hookspec
def ddpcore_logged_in(attempt: Attempt) -> None:
    """A user has logged in, or resumed a login. An exception is logged, no more."""


@hookspec
def ddpcore_login_failed(attempt: Attempt) -> None:
    """An attempt has failed; `attempt.error` says why. An exception is logged, no more."""


@hookspec
def ddpcore_logged_out(user: Any, connection: ConnectionHandle) -> None:
    """A user has logged out of this connection. An exception is logged, no more."""
