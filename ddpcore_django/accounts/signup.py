"""Accounts that clients make."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from django.contrib.auth import get_user_model
from django.core.exceptions import (
    FieldDoesNotExist,
    ImproperlyConfigured,
    ValidationError,
)
from django.db import DataError, IntegrityError, connections, models, router, transaction
from django.views.decorators.debug import sensitive_variables

from ddpcore.errors import MeteorError
from ddpcore.server import MethodContext
from ddpcore_django.accounts import attempts, logins, mails, passwords
from ddpcore_django.accounts.attempts import ambiguous
from ddpcore_django.accounts.conf import accounts_conf
from ddpcore_django.accounts.lookup import email_field, is_storable, username_field
from ddpcore_django.accounts.passwords import Password, Text

__all__ = ["NewUser", "check_settings", "sign_up"]

_NEVER = frozenset(
    {"id", "pk", "password", "is_active", "is_staff", "is_superuser", "last_login", "date_joined"}
)


class NewUser(msgspec.Struct, frozen=True):
    """What `createUser` takes. Further options are ignored, as Meteor does."""

    username: Text | msgspec.UnsetType = msgspec.UNSET
    email: Text | msgspec.UnsetType = msgspec.UNSET
    password: Password | msgspec.UnsetType = msgspec.UNSET
    profile: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def check_settings() -> None:
    """See whether `SIGNUP_PROFILE` names what clients may be allowed to set.

    Raises:
        ImproperlyConfigured: It does not.
    """
    for name in accounts_conf().signup_profile:
        try:
            field: Any = get_user_model()._meta.get_field(name)
        except FieldDoesNotExist:
            field = None
        if field is None or field.is_relation or name in _NEVER | {username_field(), email_field()}:
            raise ImproperlyConfigured(
                f'DDPCORE_ACCOUNTS["SIGNUP_PROFILE"] names {name!r}, which clients cannot set: '
                "name fields of the user model that refer to no other model and give no rights."
            )


@sensitive_variables()
def sign_up(context: MethodContext, options: NewUser) -> Any:
    """Make an account; the user.

    Names and addresses are unique whatever their case, also where two clients are as fast as each
    other. Where the user model wants a name and the client gives an address only, it is the name.

    Raises:
        ddpcore.MeteorError: 403 "Signups forbidden", or the account cannot be made; 400, it lacks
            a name.
    """
    conf = accounts_conf()
    if not conf.signup:
        raise MeteorError(403, "Signups forbidden")
    username = _text(options.username)
    email = _text(options.email)
    if username is None and email is None:
        raise MeteorError(400, "Need to set a username or email")
    password = None if options.password is msgspec.UNSET else options.password
    if password is not None:
        passwords.check_sent(logins.request_of(context), password)
    if conf.email_domain is not None and not _is_of(conf.email_domain, email):
        raise MeteorError(403, f"@{conf.email_domain} email required")
    user = _made(username, email)
    if options.profile is not msgspec.UNSET:
        _fill(user, options.profile, conf.signup_profile)
    if password is not None:
        passwords.check_new(user, password)
    if not attempts.all_say_yes(
        context, "ddpcore_validate_new_user", user=user, connection=context.connection
    ):
        raise MeteorError(403, "User validation failed")
    passwords.set_password(user, password)
    with transaction.atomic(using=_database()):
        _save(user)
        mails.verify_new_user(context, user)
    return user


def _text(value: str | msgspec.UnsetType) -> str | None:
    if value is msgspec.UNSET:
        return None
    if not is_storable(value):
        raise MeteorError(400, "Match failed")
    return value


def _is_of(domain: str, email: str | None) -> bool:
    return email is not None and email.casefold().endswith(f"@{domain.casefold()}")


def _made(username: str | None, email: str | None) -> Any:
    model: Any = get_user_model()
    named_by, addressed_by = username_field(), email_field()
    if named_by == addressed_by:
        username = None
    if email is not None and addressed_by is None:
        raise MeteorError(400, "Users have no email here. Set a username.")
    if username is None and email is None:
        raise MeteorError(400, "Need to set a username or email")
    user = model()
    if email is not None:
        normalize = getattr(model._default_manager, "normalize_email", str)
        setattr(user, str(addressed_by), normalize(email))
    if named_by != addressed_by:
        setattr(user, named_by, model.normalize_username(username or email))
    return user


def _fill(user: Any, profile: dict[str, Any], allowed: tuple[str, ...]) -> None:
    for name in allowed:
        if name not in profile:
            continue
        value = profile[name]
        is_json = isinstance(user._meta.get_field(name), models.JSONField)
        if not _is_plain(value, deep=is_json):
            raise MeteorError(400, "Match failed")
        setattr(user, name, value)


def _is_plain(value: object, *, deep: bool) -> bool:
    if isinstance(value, str):
        return is_storable(value)
    if value is None or isinstance(value, bool | int | float):
        return True
    if deep and type(value) is dict:
        return all(_is_plain(each, deep=True) for pair in value.items() for each in pair)
    return deep and type(value) is list and all(_is_plain(each, deep=True) for each in value)


def _save(user: Any) -> None:
    try:
        with transaction.atomic(using=_database()):
            _stand_in_line(user)
            _refuse_twins(user)
            _check(user)
            user.save()
    except IntegrityError:
        # Somebody who does not stand in this line, the admin for one, was faster.
        _refuse_twins(user)
        raise MeteorError(403, "User validation failed") from None
    except DataError:
        raise MeteorError(403, "User validation failed") from None


def _database() -> str:
    return router.db_for_write(get_user_model())


def _unique(user: Any) -> list[tuple[str, str, str]]:
    # Field, value, and what to say if somebody has it.
    taken = [(username_field(), user.get_username(), "Username already exists.")]
    field = email_field()
    if field is not None and (address := getattr(user, field)):
        says = "Email already exists."
        taken = (
            [*taken, (field, address, says)] if field != taken[0][0] else [(field, address, says)]
        )
    return taken


def _stand_in_line(user: Any) -> None:
    # The database's own constraints, if there are any, take Bob and bob for two.
    connection = connections[_database()]
    if connection.vendor != "postgresql":
        return  # SQLite has one writer anyway
    keys = {f"{field} {value.casefold()}" for field, value, _ in _unique(user)}
    with connection.cursor() as cursor:
        for key in sorted(keys):  # in one order for all, so that nobody waits in a ring
            number = hashlib.sha256(f"ddpcore.signup {key}".encode()).digest()[:8]
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(number, signed=True)]
            )


def _refuse_twins(user: Any) -> None:
    users = get_user_model()._base_manager.using(_database())
    for field, value, says in _unique(user):
        if users.filter(**{f"{field}__iexact": value}).exists():
            raise ambiguous(says)


def _check(user: Any) -> None:
    # What nobody has chosen has its default, good or not, as in `create_user`.
    model = get_user_model()
    chosen = {username_field(), email_field(), *model.REQUIRED_FIELDS}
    chosen |= set(accounts_conf().signup_profile)
    others = {field.name for field in model._meta.get_fields()} - chosen
    try:
        user.full_clean(exclude=others)
    except ValidationError as problem:
        raise MeteorError(403, "User validation failed", problem.message_dict) from None
    except (TypeError, ValueError, OverflowError):  # a field that does not expect such a value
        raise MeteorError(403, "User validation failed") from None
