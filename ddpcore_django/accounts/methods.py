"""The methods of accounts that need no mail, as Meteor's clients call them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from functools import wraps
from typing import Any, TypedDict

import msgspec
from django.contrib.auth import get_user_model
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables

from ddpcore import UNSET
from ddpcore.errors import MeteorError
from ddpcore.server import MethodContext, Server
from ddpcore.wire.unset import Unset
from ddpcore_django.accounts import attempts, binding, hookspecs, logins, passwords, signup, tokens
from ddpcore_django.accounts.attempts import ambiguous
from ddpcore_django.accounts.conf import accounts_conf
from ddpcore_django.accounts.lookup import user_by
from ddpcore_django.accounts.models import LoginToken
from ddpcore_django.accounts.passwords import Password, Text
from ddpcore_django.current import current_context

__all__ = [
    "NewToken",
    "PasswordChanged",
    "PasswordLogin",
    "Resumption",
    "Selector",
    "Service",
    "change_password",
    "configure_login_service",
    "create_user",
    "endpoint",
    "get_new_token",
    "login",
    "logout",
    "logout_other_clients",
    "register",
    "remove_other_tokens",
]

NOT_LOGGED_IN = "You are not logged in."


class Selector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a client means: by exactly one of these."""

    id: Text | msgspec.UnsetType = msgspec.UNSET
    username: Text | msgspec.UnsetType = msgspec.UNSET
    email: Text | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        """Count."""
        if len(self.given()) != 1:
            raise ValueError("just one of id, username and email")

    def given(self) -> dict[str, str]:
        """The one that is given, by its name."""
        all_three = {"id": self.id, "username": self.username, "email": self.email}
        return {name: value for name, value in all_three.items() if isinstance(value, str)}


class PasswordLogin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a login by password."""

    user: Selector
    password: Password
    code: Text | msgspec.UnsetType = msgspec.UNSET


class Resumption(msgspec.Struct, frozen=True):
    """The options of a login that goes on."""

    resume: Text


class PasswordChanged(TypedDict):
    """The result of `changePassword`."""

    passwordChanged: bool


class NewToken(TypedDict):
    """The result of `logoutOtherClients`."""

    token: str
    tokenExpires: datetime


class _Refused(Exception):
    """Somebody may not log in, though we know who it was meant to be."""

    def __init__(self, problem: MeteorError, user: Any = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.user = user


@sensitive_variables()
def login(context: MethodContext, options: dict[str, Any]) -> logins.LoggedIn:
    """Log in: resume, by password, or by what a hook knows.

    Raises:
        ddpcore.MeteorError: 403, whatever is wrong with the proof; 400, with the question.
    """
    kind, handler = _handler_of(options)
    with _coming_back(context) if kind == "resume" else nullcontext():
        try:
            try:
                kind, user, held = handler(context, options)
            except msgspec.ValidationError:
                raise MeteorError(400, "Match failed") from None
        except _Refused as refused:
            raise logins.refuse(context, refused.problem, kind, refused.user) from None
        except MeteorError as problem:
            raise logins.refuse(context, problem, kind) from None
        return logins.log_in(context, user, kind, held)


@contextmanager
def _coming_back(context: MethodContext) -> Iterator[None]:
    # A client that is answered by an error forgets its login for good (Meteor 3.0.4,
    # accounts_client.js). One whose connection closes comes back with it, when the database may.
    try:
        yield
    except (OperationalError, InterfaceError):
        context.connection.close()
        raise


Handled = tuple[str, Any, tokens.Login | None]


def _handler_of(
    options: dict[str, Any],
) -> tuple[str | None, Callable[[MethodContext, dict[str, Any]], Handled]]:
    # What is empty or null does not count (Meteor 3.0.4: `if (!options.resume) return`).
    if options.get("resume"):
        return "resume", _resume
    if options.get("password"):
        return "password", _by_password
    return None, _by_hook


def _resume(_context: MethodContext, options: dict[str, Any]) -> Handled:
    token = msgspec.convert(options, Resumption).resume
    row = tokens.find(token)
    if row is None:
        raise MeteorError(403, logins.LOGGED_OUT)
    if row.expires <= timezone.now():
        raise _Refused(MeteorError(403, "Your session has expired. Please log in again."), row.user)
    if not row.user.is_active:
        raise _Refused(MeteorError(403, logins.LOGGED_OUT), row.user)
    return "resume", row.user, tokens.Login(token, row)


@sensitive_variables()
def _by_password(context: MethodContext, options: dict[str, Any]) -> Handled:
    wanted = msgspec.convert(options, PasswordLogin)
    request = logins.request_of(context)
    passwords.check_sent(request, wanted.password)
    selector = wanted.user.given()
    ((found_by, name),) = selector.items()
    known = user_by(**selector)
    try:
        user = passwords.proven(request, known, name, wanted.password, found_by=found_by)
    except MeteorError as problem:
        raise _Refused(problem, known) from None
    if user is None:
        raise _Refused(passwords.wrong(request, known, wanted.password), known)
    try:
        code = None if wanted.code is msgspec.UNSET else wanted.code
        attempts.passed_second_factor(context, user, code)
    except MeteorError as problem:
        raise _Refused(problem, user) from None
    return "password", user, None


def _by_hook(context: MethodContext, options: dict[str, Any]) -> Handled:
    answer = context.server.plugins.ask("ddpcore_login", context=context, options=options)
    if answer is None:
        raise MeteorError(400, "Unrecognized options for login request")
    match answer:
        case (str() as kind, user) if kind and isinstance(user, get_user_model()):
            return kind, user, None
    raise MeteorError(400, "A login handler should return a result or undefined")


def logout(context: MethodContext) -> Unset:
    """Log out, and take the login back. No harm if nobody is logged in."""
    logins.log_out(context)
    return UNSET


@sensitive_variables()
def create_user(context: MethodContext, options: signup.NewUser) -> logins.LoggedIn:
    """Make an account and log in (Meteor 3.0.4, `password_server.js`, `createUser`).

    The account stays if a hook does not let its user in yet, as one does that wants the address
    to be verified first.

    Raises:
        ddpcore.MeteorError: 403 or 400; see `signup.sign_up`.
    """
    try:
        user = signup.sign_up(context, options)
    except MeteorError as problem:
        raise logins.refuse(context, problem, "password") from None
    return logins.log_in(context, user, "password")


@sensitive_variables()
def change_password(context: MethodContext, old: Password, new: Password) -> PasswordChanged:
    """Change the caller's password; all other logins are taken back.

    Raises:
        ddpcore.MeteorError: 401, nobody is logged in; 403, the old one is wrong, or the new one
            does not please the project's validators.
    """
    user = logins.logged_in_user(context)
    if user is None:
        raise MeteorError(401, "Must be logged in")
    request = logins.request_of(context)
    passwords.check_sent(request, old, new)
    proven = passwords.proven(request, user, user.get_username(), old, found_by="id")
    if proven is None:
        raise passwords.wrong(request, user, old)
    passwords.check_new(user, new)
    with transaction.atomic():
        fresh = logins.locked(user)
        if fresh is None or fresh.password != proven.password:
            raise ambiguous("Incorrect password")
        passwords.set_password(fresh, new)
        tokens.keep_when_saved(fresh, binding.bound(context))
        fresh.save(update_fields=["password"])
        tokens.revoke_all(fresh, but=binding.bound(context))
    return {"passwordChanged": True}


def get_new_token(context: MethodContext) -> logins.Login:
    """A new token for the caller, which expires when the one of now does.

    The connection rests on the new one from now on.

    Raises:
        ddpcore.MeteorError: Nobody is logged in, or not by a token.
    """
    with _rebound(context), transaction.atomic():
        login = _renewed(context)
    return logins.result_of(login)


def remove_other_tokens(context: MethodContext) -> Unset:
    """Log the caller out everywhere else.

    Raises:
        ddpcore.MeteorError: Nobody is logged in.
    """
    user = logins.logged_in_user(context)
    if user is None:
        raise MeteorError(NOT_LOGGED_IN)
    with transaction.atomic():
        logins.locked(user)
        tokens.revoke_all(user, but=binding.bound(context))
    return UNSET


def logout_other_clients(context: MethodContext) -> NewToken:
    """Log the caller out everywhere else, and give a new token (a method of Meteor 1 and 2).

    Raises:
        ddpcore.MeteorError: Nobody is logged in, or not by a token.
    """
    with _rebound(context), transaction.atomic():
        login = _renewed(context)
        tokens.revoke_all(login.row.user, but=login.row.pk)
    result = logins.result_of(login)
    return {"token": result["token"], "tokenExpires": result["tokenExpires"]}


@contextmanager
def _rebound(context: MethodContext) -> Iterator[None]:
    # The connection rests on the new login before the old one may go: word of that comes with the
    # commit. If there is none, it rests on the old one again.
    row_id = binding.bound(context)
    try:
        yield
    except BaseException:
        if row_id is not None and binding.bound(context) != row_id:
            binding.bind(context, row_id)
        raise


def _renewed(context: MethodContext) -> tokens.Login:
    user = logins.logged_in_user(context)
    if user is None:
        raise MeteorError(NOT_LOGGED_IN)
    fresh = logins.locked(user)
    row = LoginToken.objects.filter(pk=binding.bound(context), user=user).first()
    if fresh is None or row is None or row.hashed.startswith(tokens.NO_TOKEN):
        raise MeteorError("Invalid login token")
    login = tokens.issue(fresh, row.expires)
    binding.bind(context, login.row.pk)
    return login


class Service(msgspec.Struct, frozen=True):
    """What a client wants to configure."""

    service: str


def configure_login_service(_context: MethodContext, options: Service) -> None:  # noqa: ARG001
    """Refuse: how users log in is set up by those who run the server.

    Raises:
        ddpcore.MeteorError: 403, always.
    """
    raise MeteorError(403, "Service unknown")


METHODS: dict[str, Callable[..., Any]] = {
    "login": login,
    "logout": logout,
    "createUser": create_user,
    "changePassword": change_password,
    "getNewToken": get_new_token,
    "removeOtherTokens": remove_other_tokens,
    "logoutOtherClients": logout_other_clients,
    "configureLoginService": configure_login_service,
}


def endpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """A handler for which `this` works. It runs in no transaction but those that it begins.

    What is written about an attempt that fails, by the receivers of `user_login_failed` for
    one, is to stay.
    """

    @sensitive_variables()
    @wraps(function)
    def handler(context: MethodContext, /, *params: Any) -> Any:
        current_context.set(context)
        return function(context, *params)

    handler.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    return handler


def register(server: Server) -> None:
    """Give a server these methods, and the hooks that the settings name.

    Raises:
        django.core.exceptions.ImproperlyConfigured: The settings cannot be meant.
        ImportError: They name hooks that do not exist.
    """
    signup.check_settings()
    server.plugins.add_hookspecs(hookspecs)
    for path in accounts_conf().hooks:
        server.plugins.register(_imported(path), path)
    server.plugins.check_pending()
    for name, function in METHODS.items():
        server.method(name)(endpoint(function))
    # Meteor does not limit it; but whoever finds a browser left open shall not find the password.
    server.rate_limiter.add_rule(
        {"type": "method", "name": "changePassword", "user_id": _known}, 5, 10.0
    )


def _known(value: object) -> bool:
    return value is not None


def _imported(path: str) -> object:
    try:
        return import_string(path)
    except ImportError:
        from importlib import import_module

        return import_module(path)
