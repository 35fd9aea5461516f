"""Logging connections in and out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, TypedDict

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.utils import timezone

from ddpcore.errors import MeteorError
from ddpcore.server import Context, MethodContext
from ddpcore_django.accounts import attempts, binding, tokens
from ddpcore_django.accounts.attempts import Attempt, ambiguous
from ddpcore_django.accounts.models import LoginToken
from ddpcore_django.accounts.request import ConnectionRequest
from ddpcore_django.users import user_of

__all__ = [
    "LOGGED_OUT",
    "LoggedIn",
    "Login",
    "locked",
    "log_in",
    "log_out",
    "logged_in_user",
    "refuse",
    "request_of",
    "result_of",
]


class Login(TypedDict):
    """What clients get to know of a login."""

    id: str
    token: str
    tokenExpires: datetime


class LoggedIn(Login):
    """The result of a method that logs in."""

    type: str


LOGGED_OUT = "You've been logged out by the server. Please log in again."


def request_of(context: Context) -> ConnectionRequest:
    """The request for backends and the receivers of signals."""
    return ConnectionRequest(context.connection, context.name or "")


def log_in(
    context: MethodContext,
    user: Any,
    type: str,  # noqa: A002
    login: tokens.Login | None = None,
) -> LoggedIn:
    """Log the caller in as a user who has proven who they are.

    The hooks may still object. What is written here is written in a transaction; where that
    is a part of a larger one, the connection is logged in when this commits, and not if it fails.

    Args:
        context: Of the method.
        user: Who.
        type: How, in a word.
        login: The login to resume; None: a new one is begun.

    Returns:
        What clients get: ``{id, token, tokenExpires, type}``, in this order.

    Raises:
        ddpcore.MeteorError: A hook objects, or the user or the login has ceased to be meanwhile.
    """
    attempt = attempts.validated(
        context, Attempt(type, context.name or "", context.connection, user)
    )
    if attempt.error is not None:
        raise attempts.told(context, attempt)
    try:
        with transaction.atomic():
            login = _begin(context, user, login)
            transaction.on_commit(partial(_enter, context, login, attempt))
    except MeteorError as problem:
        raise attempts.told(context, replace(attempt, error=problem)) from None
    return {**result_of(login), "type": type}


def _begin(context: MethodContext, user: Any, login: tokens.Login | None) -> tokens.Login:
    fresh = locked(user)
    if login is None:
        # A password that was changed since it was proven does not open the door any more.
        if fresh is None or not fresh.is_active or _password(fresh) != _password(user):
            raise ambiguous("Incorrect password")
        login = tokens.issue(user)
        user_logged_in.send(sender=user.__class__, request=request_of(context), user=user)
        return login
    # Resumed at each reconnect: no login in Django's sense.
    row = LoginToken.objects.filter(pk=login.row.pk)
    if fresh is None or not fresh.is_active or not row.update(last_used=timezone.now()):
        raise MeteorError(403, LOGGED_OUT)
    return login


def _password(user: Any) -> Any:
    return getattr(user, "password", None)


def _enter(context: MethodContext, login: tokens.Login, attempt: Attempt) -> None:
    # In this order: who may not log in any more, since others run beside, stays who they were, and
    # rests on the login of that user.
    context.set_user_id(str(login.row.user.pk))
    binding.bind(context, login.row.pk)
    attempts.tell(context, "ddpcore_logged_in", attempt=attempt)


def result_of(login: tokens.Login) -> Login:
    """What clients get to know of a login."""
    return {
        "id": str(login.row.user.pk),
        "token": login.token,
        "tokenExpires": login.row.expires,
    }


def locked(user: Any) -> Any:
    """The row of a user as it is now; nobody else writes it until the transaction is over.

    None if it is gone. Whoever logs a user in, or changes the password, holds it.
    """
    manager = get_user_model()._base_manager
    return manager.select_for_update(of=("self",)).filter(pk=user.pk).first()


def log_out(context: MethodContext) -> None:
    """Log the caller out, and take the login back; no harm if there is none."""
    user = user_of(context.user_id)
    row_id = binding.unbind(context)
    if row_id is not None:
        tokens.revoke(row_id)
    if user.is_authenticated:
        user_logged_out.send(sender=user.__class__, request=request_of(context), user=user)
        attempts.tell(context, "ddpcore_logged_out", user=user, connection=context.connection)
    context.set_user_id(None)


def logged_in_user(context: Context) -> Any:
    """The active user who calls; None if nobody is logged in."""
    user = user_of(context.user_id)
    return user if user.is_authenticated else None


def refuse(
    context: MethodContext,
    problem: MeteorError,
    type: str | None,  # noqa: A002
    user: Any = None,
) -> MeteorError:
    """An attempt to log in has failed: the hooks hear of it; the error to raise."""
    attempt = Attempt(type, context.name or "", context.connection, user, problem)
    return attempts.failed(context, attempt)
