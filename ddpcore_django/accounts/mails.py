"""Methods that rest on mails, and the mails a project sends: reset, verify, enrol."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import msgspec
from django.contrib.auth import get_user_model
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from ddpcore import UNSET
from ddpcore.errors import MeteorError
from ddpcore.server import MethodContext
from ddpcore.wire.unset import Unset
from ddpcore_django.accounts import attempts, binding, letters, links, logins, lookup, tokens
from ddpcore_django.accounts.addresses import address_of, is_address, mark_verified, verified
from ddpcore_django.accounts.conf import accounts_conf
from ddpcore_django.accounts.passwords import Password, check_new, check_sent, set_password
from ddpcore_django.accounts.postman import Job, postman
from ddpcore_django.server import DjangoServer

__all__ = [
    "Forgotten",
    "forgot_password",
    "register",
    "reset_password",
    "send_enrollment_email",
    "send_reset_password_email",
    "send_verification_email",
    "verify_email",
    "verify_new_user",
]


# --- mails that the server's own code sends ------------------------------------------------------


def send_reset_password_email(user: Any) -> None:
    """Mail a user a link to set a new password (Meteor 3.0.4, `Accounts.sendResetPasswordEmail`).

    It is sent once the transaction has committed, in this thread, as by Django's `send_mail`.

    Args:
        user: Whom; the address is that of the user's `EMAIL_FIELD`.

    Raises:
        django.core.exceptions.ImproperlyConfigured: `DDPCORE_ACCOUNTS["ROOT_URL"]` is not set.
        ValueError: The user has no address.
        Exception: Whatever the mail backend raises.
    """
    _send_on_commit("reset-password", user, _required_address(user))


def send_enrollment_email(user: Any) -> None:
    """Mail a user that somebody else made a link to set the first password.

    The user needs no password (Meteor 3.0.4, `Accounts.sendEnrollmentEmail`).

    Args:
        user: Whom; see `send_reset_password_email`.

    Raises:
        django.core.exceptions.ImproperlyConfigured: See `send_reset_password_email`, as for the
            others.
        ValueError: The user has no address.
        Exception: Whatever the mail backend raises.
    """
    _send_on_commit("enroll-account", user, _required_address(user))


def send_verification_email(user: Any, address: str | None = None) -> None:
    """Mail a user a link that proves that an address is the user's.

    As `send_reset_password_email` (Meteor 3.0.4, `Accounts.sendVerificationEmail`).

    Args:
        user: Whose.
        address: The user's address, in whatever case; None: the one there is.

    Raises:
        django.core.exceptions.ImproperlyConfigured: See `send_reset_password_email`, as for the
            others.
        ValueError: The user has no address, it is another one, or it is verified already.
        Exception: Whatever the mail backend raises.
    """
    own = _required_address(user)
    if address is not None and address.casefold() != own.casefold():
        raise ValueError("No such email for user.")
    if own in verified(user):
        raise ValueError("That user has no unverified email addresses.")
    _send_on_commit("verify-email", user, own)


def _required_address(user: Any) -> str:
    address = address_of(user)
    if address is None:
        raise ValueError(f"User {user.pk} has no e-mail address.")
    return address


def _send_on_commit(purpose: links.Purpose, user: Any, address: str) -> None:
    links.root_url()  # without it nothing can be sent: that is told at once
    transaction.on_commit(partial(_send_now, purpose, user.pk, address))


def _send_now(purpose: links.Purpose, key: Any, address: str) -> None:
    # The user as committed: a link rests on the hash of the password that the user has now.
    user = get_user_model()._default_manager.filter(pk=key).first()
    if user is not None:
        letters.send(purpose, user, address)


def verify_new_user(context: MethodContext, user: Any) -> None:
    """Mail a user who just signed up a link to verify the address, if the settings want it.

    It is sent after the commit, and the client does not wait for it.
    """
    address = address_of(user)
    if accounts_conf().send_verification and address is not None:
        job = partial(_send_now, "verify-email", user.pk, address)
        transaction.on_commit(partial(_post, context, job, "The mail to a new user"))


# --- methods -------------------------------------------------------------------------------------


class Forgotten(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The argument of `forgotPassword`."""

    email: str


def register(server: DjangoServer) -> None:
    """Define `forgotPassword`, `resetPassword` and `verifyEmail` on a server."""
    from ddpcore_django.accounts.methods import endpoint  # which sends mails to new users

    server.method("forgotPassword")(endpoint(forgot_password))
    server.method("resetPassword")(endpoint(reset_password))
    server.method("verifyEmail")(endpoint(verify_email))


def forgot_password(context: MethodContext, options: Forgotten) -> Unset:
    """Mail whoever has this address a link to set a new password.

    The answer comes before anybody looks whether there is such a user: it is the same, after the
    same time. Only users who are active and have a password are sent one, to the address as it is
    stored (Meteor 3.0.4, `accounts-password/password_server.js`; but there strangers are told
    by an error whom nobody knows).

    Raises:
        MeteorError: 403, nobody is sent anything; only with ``AMBIGUOUS_ERRORS: False``.
    """
    links.root_url()  # for everybody alike, before anything depends on who it is
    email = options.email
    if not accounts_conf().ambiguous_errors and _forgetful(email) is None:
        raise MeteorError(403, "User not found")
    if is_address(email):
        job = partial(_remind, email)
        transaction.on_commit(partial(_post, context, job, "A mail to reset a password"))
    return UNSET


def _forgetful(email: str) -> Any:
    user = lookup.user_by(email=email) if is_address(email) else None
    may = user is not None and user.is_active and user.has_usable_password()
    return user if may and address_of(user) is not None else None


def _remind(email: str) -> None:
    user = _forgetful(email)
    if user is not None:
        letters.send("reset-password", user, _required_address(user))


def _post(context: MethodContext, job: Job, what: str) -> None:
    done = postman.post(job, what)
    # A server that stops in good order waits for it, as it does for callbacks.
    context.server.run_late(context.connection.id, partial(asyncio.wrap_future, done))


@sensitive_variables()
def reset_password(context: MethodContext, token: str, password: Password) -> logins.LoggedIn:
    """Set a new password by a link that was mailed, and log the caller in.

    The address is verified by that, and all logins of the user are taken back (Meteor 3.0.4,
    `accounts-password/password_server.js`). A password that the validators refuse leaves the link
    as it was. Who is not active has no links.

    Raises:
        MeteorError: 403, and why; ``2fa-enabled``: the password is changed, but the user has
            a second factor and must log in with it.
    """
    check_sent(logins.request_of(context), password)
    user, row_id = None, None
    try:
        with transaction.atomic():
            proof = links.prove(token, "reset-password", "enroll-account")
            if proof is None:
                raise MeteorError(403, "Token expired")
            user = proof.user
            if proof.address != address_of(user):
                raise MeteorError(403, "Token has invalid email address")
            check_new(user, password)
            set_password(user, password)
            user.save()
            mark_verified(user, proof.address)
            row_id = binding.unbind(context)  # it would be closed with its login, unanswered
            tokens.revoke_all(user)
    except BaseException as problem:
        _stay(context, row_id)  # nothing has happened
        if isinstance(problem, MeteorError):
            raise logins.refuse(context, problem, "password", user) from None
        raise
    try:
        return _log_in(context, user, "Changed password")
    except BaseException:
        if context.user_id == str(user.pk):
            context.set_user_id(None)
        else:
            _stay(context, row_id)
        raise


def _stay(context: MethodContext, row_id: int | None) -> None:
    if row_id is not None:
        binding.bind(context, row_id)


@sensitive_variables()
def verify_email(context: MethodContext, token: str) -> logins.LoggedIn:
    """Take an address for its user's by a link that was mailed there, and log the caller in.

    (Meteor 3.0.4, `accounts-password/password_server.js`.)

    Raises:
        MeteorError: 403, and why; ``2fa-enabled``: the address is verified, but the user has
            a second factor and must log in with it.
    """
    user = None
    try:
        with transaction.atomic():
            proof = links.prove(token, "verify-email")
            if proof is None:
                raise MeteorError(403, "Verify email link expired")
            user = proof.user
            if proof.address != address_of(user):
                raise MeteorError(403, "Verify email link is for unknown address")
            if proof.address in verified(user):  # the link has been used
                raise MeteorError(403, "Verify email link expired")
            mark_verified(user, proof.address)
    except MeteorError as problem:
        raise logins.refuse(context, problem, "password", user) from None
    return _log_in(context, user, "Email verified")


def _log_in(context: MethodContext, user: Any, done: str) -> logins.LoggedIn:
    # Whoever reads a mail has shown one factor; methods that rest on mails cannot ask for another.
    try:
        attempts.passed_second_factor(context, user, None)
    except MeteorError:
        problem = attempts.ambiguous(
            f"{done}, but user not logged in because 2FA is enabled", "2fa-enabled"
        )
        raise logins.refuse(context, problem, "password", user) from None
    return logins.log_in(context, user, "password")
