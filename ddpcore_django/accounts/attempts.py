"""Attempts to log in, and who has a say in them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

from ddpcore.errors import DDPError, MeteorError
from ddpcore.server.context import ConnectionHandle, Context
from ddpcore_django.accounts.conf import accounts_conf

__all__ = [
    "Attempt",
    "all_say_yes",
    "ambiguous",
    "failed",
    "passed_second_factor",
    "tell",
    "told",
    "validated",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to log in, as hooks see it.

    Attributes:
        type: How: ``"password"``, ``"resume"``, or what a hook calls its own way.
        method: The method that was called.
        connection: By whom.
        user: Who it is about; None if nobody was found.
        error: Why it fails; None as long as it does not.
    """

    type: str | None
    method: str
    connection: ConnectionHandle
    user: Any = None
    error: MeteorError | None = None

    @property
    def allowed(self) -> bool:
        """Whether nobody has objected yet."""
        return self.error is None


def ambiguous(reason: str, code: int | str = 403) -> MeteorError:
    """The error with this reason, which clients see only if the settings let them.

    (Meteor 3.0.4, `accounts_server.js`, `_handleError`.)
    """
    if accounts_conf().ambiguous_errors:
        reason = "Something went wrong. Please check your credentials."
    return MeteorError(code, reason)


def all_say_yes(context: Context, hook: str, **what: Any) -> bool:
    """Whether all implementations of a hook return True, and nothing else.

    Raises:
        ddpcore.MeteorError: One of them has raised it.
    """
    return context.server.plugins.allows(hook, **what)


def passed_second_factor(context: Context, user: Any, code: str | None) -> None:
    """Ask for the second factor of a user, if there is one.

    Raises:
        ddpcore.MeteorError: ``no-2fa-code`` or ``invalid-2fa-code``, and then Meteor's client asks
            for one (Meteor 3.0.4, accounts-2fa), or whatever an implementation has raised.
    """
    hook = "ddpcore_second_factor"
    try:
        answer = context.server.plugins.ask(hook, user=user, code=code)
    except MeteorError:
        raise
    except DDPError as problem:
        logger.error("%s; it means no", problem, exc_info=problem)  # noqa: TRY400
        answer = False
    if answer is None:
        return
    right = answer is True
    if code is None:
        raise ambiguous("2FA code must be informed", "no-2fa-code")
    if not right:
        raise ambiguous("Invalid 2FA code", "invalid-2fa-code")


def validated(context: Context, attempt: Attempt) -> Attempt:
    """The attempt, after everybody who may object has been asked."""
    try:
        if all_say_yes(context, "ddpcore_validate_login", attempt=attempt):
            return attempt
    except MeteorError as problem:
        return replace(attempt, error=problem)
    if attempt.error is not None:
        return attempt
    return replace(attempt, error=MeteorError(403, "Login forbidden"))


def failed(context: Context, attempt: Attempt) -> MeteorError:
    """An attempt has failed: those who may object are asked, others told; the error to raise."""
    return told(context, validated(context, attempt))


def told(context: Context, attempt: Attempt) -> MeteorError:
    """Tell that an attempt has failed; its error."""
    assert attempt.error is not None
    tell(context, "ddpcore_login_failed", attempt=attempt)
    return attempt.error


def tell(context: Context, hook: str, **what: Any) -> None:
    """Call a hook whose implementations have no say any more."""
    context.server.plugins.tell(hook, **what)
