"""Passwords as clients send them: in plain, or as Meteor's digest."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from django.contrib.auth import authenticate, get_backends
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.password_validation import (
    CommonPasswordValidator,
    get_default_password_validators,
    validate_password,
)
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from django.views.decorators.debug import sensitive_variables

from ddpcore.errors import MeteorError
from ddpcore_django.accounts import hashers
from ddpcore_django.accounts.attempts import ambiguous
from ddpcore_django.accounts.conf import accounts_conf
from ddpcore_django.accounts.digest import digest_of
from ddpcore_django.accounts.hashers import Verdict
from ddpcore_django.accounts.lookup import email_field, is_storable, username_field
from ddpcore_django.accounts.request import ConnectionRequest

__all__ = [
    "Digest",
    "Password",
    "Text",
    "check_new",
    "check_sent",
    "proven",
    "set_password",
    "wrong",
]

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
"""What clients send as names, addresses, passwords and codes. Nothing is longer, so that nobody
keeps the hasher busy with a book."""


class Digest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The SHA-256 of a password, which Meteor's clients send in its place."""

    digest: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    algorithm: str

    def __post_init__(self) -> None:
        """See that nothing of what was sent is in the message."""
        if self.algorithm != "sha-256":
            raise ValueError("unknown algorithm")

    def __repr__(self) -> str:
        return "Digest(…)"  # it is as good as the password


Password = Text | Digest


def check_sent(request: ConnectionRequest, *passwords: Text | Digest) -> None:
    """Refuse passwords that must not come this way, or that no hasher takes.

    Raises:
        ddpcore.MeteorError: 403, a plain one over a line that others may read; 400, no text.
    """
    for password in passwords:
        if isinstance(password, Digest):
            continue
        if not _may_be_plain(request):
            raise MeteorError(
                403,
                "Passwords are not accepted in plain here. Connect over TLS, or send {digest: "
                "SHA-256 of the password, algorithm: 'sha-256'}.",
            )
        if not is_storable(password):
            raise MeteorError(400, "Match failed")


def _may_be_plain(request: ConnectionRequest) -> bool:
    return accounts_conf().plain_passwords == "secure" and (
        request.is_secure() or request.is_local()
    )


@sensitive_variables()
def proven(
    request: ConnectionRequest, user: Any, name: str, password: Text | Digest, *, found_by: str
) -> Any:
    """The user who has proven to know their password; None if it is wrong.

    One password is hashed in each case, whatever is wrong. A plain password goes through all
    authentication backends of the project. A digest is something that only `ModelBackend` and its
    kin could know of: without one among the backends it proves nothing.

    Args:
        request: Where it came from.
        user: Who was found; None if nobody was.
        name: By what they were looked for.
        password: The password.
        found_by: Whether this is a ``"username"``, an ``"email"`` or an ``"id"``.
    """
    given = name if user is None else user.get_username()
    if isinstance(password, Digest):
        return _proven_by_digest(request, user, given, password.digest)
    if user is None and not is_storable(given):
        given = ""
    found = authenticate(request, **{username_field(): given, "password": password})
    if found is None or not found.is_active:
        return None
    if user is not None:
        return found if found.pk == user.pk else None
    # A backend may know users that have no row here before their first login.
    if found_by == "username" or (found_by == "email" and username_field() == email_field()):
        return found
    return None


def _proven_by_digest(request: ConnectionRequest, user: Any, given: str, digest: str) -> Any:
    verdict = hashers.check_digest(user, digest)
    if verdict is Verdict.RIGHT and user.is_active:
        backends: list[Any] = [each for each in get_backends() if isinstance(each, ModelBackend)]
        for backend in backends:
            if backend.user_can_authenticate(user):
                user.backend = f"{type(backend).__module__}.{type(backend).__qualname__}"
                return user
    user_login_failed.send(sender=__name__, credentials={username_field(): given}, request=request)
    if verdict is Verdict.PLAIN_NEEDED and not accounts_conf().ambiguous_errors:
        raise MeteorError(400, "old password format", hashers.PLAIN_DETAILS)
    return None


def wrong(request: ConnectionRequest, user: Any, password: Text | Digest) -> MeteorError:
    """The error of a password that does not prove what it should.

    As long as there may be hashes that no digest can be compared with, the answer to every digest
    says that the plain password might do, if it may be sent: whoever is told so learns nothing.
    """
    if user is None or not user.is_active:
        problem = ambiguous("User not found")
    elif not user.has_usable_password():
        problem = ambiguous("User has no password set")
    else:
        problem = ambiguous("Incorrect password")
    if isinstance(password, Digest) and hashers.tells_of_plain() and _may_be_plain(request):
        problem.details = hashers.PLAIN_DETAILS
    return problem


def check_new(user: Any, password: Text | Digest) -> None:
    """Ask the project's validators for their opinion of a new password.

    They cannot look into a digest. But of a digest can be told that it is that of nothing, of
    something that the user is called, or of a password that everybody has (with
    `CommonPasswordValidator`); clients are to see to its length.

    Raises:
        ddpcore.MeteorError: 403, with what is wrong as its reason.
    """
    try:
        if isinstance(password, Digest):
            _check_digest(user, password.digest)
        else:
            validate_password(password, user)
    except ValidationError as problem:
        raise MeteorError(403, " ".join(problem.messages)) from None


def _check_digest(user: Any, digest: str) -> None:
    validators: list[Any] = get_default_password_validators()
    if not validators:
        return
    names = {user.get_username(), getattr(user, email_field() or "", None) or ""}
    names |= {name.partition("@")[0] for name in names}
    guesses = names | {name.lower() for name in names} | {""}
    if digest in map(digest_of, guesses):
        raise ValidationError("The password is too easy to guess.")
    for validator in validators:
        if isinstance(validator, CommonPasswordValidator) and digest in _digests(validator):
            raise ValidationError("This password is too common.")


def _digests(validator: Any) -> frozenset[str]:
    made: frozenset[str] | None = getattr(validator, "_ddpcore_digests", None)
    if made is None:
        made = validator._ddpcore_digests = frozenset(map(digest_of, validator.passwords))
    return made


def set_password(user: Any, password: Text | Digest | None) -> None:
    """Give a user a password, or none; the row is not saved."""
    if password is None:
        user.set_unusable_password()
    elif isinstance(password, Digest):
        user.password = hashers.hash_digest(password.digest)
    else:
        user.set_password(password)
