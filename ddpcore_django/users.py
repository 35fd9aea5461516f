"""From a DDP user id to a Django user. Projects without `django.contrib.auth` never get here."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.functional import SimpleLazyObject

__all__ = ["is_user_model", "lazy_user", "user_of"]


def user_of(user_id: str | None) -> Any:
    """The active user with this id; an `AnonymousUser` if there is none."""
    from django.contrib.auth.models import AnonymousUser  # a model: only once apps are ready

    if user_id is None:
        return AnonymousUser()
    try:
        user = get_user_model()._default_manager.filter(pk=user_id).first()
    except (ValueError, ValidationError):  # no id of this kind of user
        user = None
    return user if user is not None and user.is_active else AnonymousUser()


def lazy_user(user_id: str | None) -> Any:
    """The same, read when it is first looked at."""
    return SimpleLazyObject(lambda: user_of(user_id))


def is_user_model(model: type[Model]) -> bool:
    """Whether rows of `model` are the project's users."""
    label: str = settings.AUTH_USER_MODEL
    labels = {each._meta.label_lower for each in (model, *model._meta.all_parents)}
    return label.lower() in labels
