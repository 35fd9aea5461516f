"""Finding users by what clients know of them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ValidationError

__all__ = ["email_field", "is_storable", "user_by", "username_field"]


def username_field() -> str:
    """The name of the field that names users."""
    model: Any = get_user_model()
    return str(model.USERNAME_FIELD)


def email_field() -> str | None:
    """The name of the field that holds their address; None if there is none."""
    model: Any = get_user_model()
    name: str = model.get_email_field_name()
    try:
        model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return name


def is_storable(text: str) -> bool:
    """Whether databases take this text: no NUL, and no half of a surrogate pair."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def user_by(
    *,
    username: str | None = None,
    email: str | None = None,
    id: str | None = None,  # noqa: A002
) -> Any:
    """The user with this name, address or id; None if there is none, or no single one.

    Names and addresses are looked for as they are, then whatever their case, and then just one may
    answer (Meteor 3.0.4, `accounts_server.js`, `_findUserByQuery`). Both are asked in any case, so
    that it takes the same time whether there is such a user or not; an index on the upper case
    of the field makes the second one fast.

    Args:
        username: A name, as `USERNAME_FIELD` holds it.
        email: An address, as `EMAIL_FIELD` holds it.
        id: A primary key, as text. It must be written as the server writes it.

    Raises:
        TypeError: Anything but one string is given. What clients send never gets further.
    """
    given = [value for value in (username, email, id) if value is not None]
    if len(given) != 1 or type(given[0]) is not str:
        raise TypeError("Users are looked up by one string.")
    if not given[0] or not is_storable(given[0]):
        return None
    if id is not None:
        return _by_id(id)
    return _by_name(username) if username is not None else _by_email(given[0])


def _by_id(text: str) -> Any:
    try:
        user = get_user_model()._default_manager.filter(pk=text).first()
    except (ValueError, OverflowError, ValidationError):
        return None
    return user if user is not None and str(user.pk) == text else None


def _by_name(given: str) -> Any:
    model: Any = get_user_model()
    name = model.normalize_username(given)
    try:
        exact = model._default_manager.get_by_natural_key(name)
    except (model.DoesNotExist, model.MultipleObjectsReturned):
        exact = None
    alike = _alike(username_field(), name)
    return exact or _single(alike)


def _by_email(address: str) -> Any:
    field = email_field()
    if field is None:
        return None
    exact = list(get_user_model()._default_manager.filter(**{field: address})[:2])
    alike = _alike(field, address)
    return _single(exact) if exact else _single(alike)


def _alike(field: str, value: str) -> list[Any]:
    return list(get_user_model()._default_manager.filter(**{f"{field}__iexact": value})[:2])


def _single(users: list[Any]) -> Any:
    return users[0] if len(users) == 1 else None
